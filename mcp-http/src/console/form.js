// A form by a JSON Schema, and the same as JSON.

import { html, useMemo, useState } from "./vendor.js";

function resolve(schema, root) {
  for (let hops = 0; schema?.$ref && hops < 32; hops++) {
    const { $ref, ...beside } = schema;
    const parts = $ref.replace(/^#\/?/, "").split("/").filter(Boolean);
    const found = parts.reduce((at, part) => at?.[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")], root);
    schema = { ...found, ...beside };
  }
  const choices = schema?.anyOf ?? schema?.oneOf;
  const real = choices?.filter((choice) => choice.type !== "null");
  if (real?.length === 1) {
    const { anyOf, oneOf, ...beside } = schema;
    return resolve({ ...real[0], ...beside }, root);
  }
  return schema ?? {};
}

const kind = (schema) => (Array.isArray(schema.type) ? schema.type.find((type) => type !== "null") : schema.type);

function choices(schema) {
  if (schema.enum) return schema.enum.map((name) => [name, String(name)]);
  const listed = (schema.oneOf ?? schema.anyOf)?.filter((choice) => "const" in choice);
  return listed?.length ? listed.map((choice) => [choice.const, choice.title ?? choice.description ?? String(choice.const)]) : undefined;
}

/** Whether a form can show all of it; what it cannot is written as JSON. */
const isPlain = (schema) => choices(schema) || ["string", "number", "integer", "boolean"].includes(kind(schema));

/** How many fields there were: two questions may ask for the same name. */
let fields = 0;

function Field({ name, schema, isNeeded, value, change }) {
  const from = choices(schema);
  const type = kind(schema);
  const id = useMemo(() => `field-${++fields}`, []);
  const about = schema.description;
  const set = (text) => {
    if (text === "" && !isNeeded) return change(undefined);
    if (type === "integer" || type === "number") return change(text === "" || Number.isNaN(Number(text)) ? text : Number(text));
    change(text);
  };
  let input;
  if (from) {
    input = html`<select id=${id} value=${value ?? ""} onChange=${(event) => set(from.find(([known]) => String(known) === event.target.value)?.[0] ?? "")}>
      ${!isNeeded && html`<option value="">–</option>`} ${isNeeded && value === undefined && html`<option value="" disabled selected>choose</option>`}
      ${from.map(([known, called]) => html`<option value=${String(known)}>${called}</option>`)}
    </select>`;
  } else if (type === "boolean") {
    input = html`<input id=${id} type="checkbox" checked=${value === true} onChange=${(event) => change(event.target.checked)} />`;
  } else if (type === "string" && !["email", "date", "date-time", "uri"].includes(schema.format)) {
    input = html`<textarea id=${id} rows="1" required=${isNeeded} placeholder=${schema.default ?? ""} value=${value ?? ""} onInput=${(event) => set(event.target.value)}></textarea>`;
  } else if (isPlain(schema)) {
    input = html`<input id=${id} inputmode=${type === "string" ? undefined : "decimal"} required=${isNeeded} placeholder=${schema.default ?? ""} value=${value ?? ""} onInput=${(event) => set(event.target.value)} />`;
  } else {
    input = html`<${JsonField} id=${id} value=${value} change=${change} />`;
  }
  return html`<div class=${type === "boolean" && !from ? "field check" : "field"}>
    <label for=${id}>${schema.title ?? name}${isNeeded ? "" : html` <small class="quiet">optional</small>`}</label>
    ${input} ${about && html`<small class="quiet">${about}</small>`}
  </div>`;
}

function JsonField({ id, value, change }) {
  const [text, told] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const [wrong, say] = useState();
  const read = (text) => {
    told(text);
    try {
      change(text.trim() === "" ? undefined : JSON.parse(text));
      say();
    } catch (error) {
      say(error.message);
    }
  };
  return html`<textarea id=${id} class="code" rows="3" spellcheck="false" value=${text} onInput=${(event) => read(event.target.value)}></textarea>
    ${wrong && html`<small class="trouble" role="alert">${wrong}</small>`}`;
}

export function initial(schema) {
  const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => [name, resolve(field, schema)]);
  const filled = fields.filter(([, field]) => field.default != null).map(([name, field]) => [name, field.default]);
  const off = fields.filter(([name, field]) => kind(field) === "boolean" && field.default == null && schema.required?.includes(name));
  return Object.fromEntries([...filled, ...off.map(([name]) => [name, false])]);
}

export function Fields({ schema, value, change }) {
  const names = Object.keys(schema.properties ?? {});
  if (!names.length) return html`<p class="quiet">It takes no arguments.</p>`;
  const set = (name, next) => {
    const { [name]: _, ...others } = value;
    change(next === undefined ? others : { ...value, [name]: next });
  };
  return names.map(
    (name) => html`<${Field} key=${name} name=${name} schema=${resolve(schema.properties[name], schema)} isNeeded=${schema.required?.includes(name)} value=${value[name]} change=${(next) => set(name, next)} />`,
  );
}

/** The same as a form or as JSON, as one likes; Ctrl+Enter sends it. */
export function Arguments({ schema, value, change, send }) {
  const [asJson, choose] = useState(false);
  const key = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  };
  return html`<form class="arguments" onKeyDown=${key} onSubmit=${(event) => (event.preventDefault(), send())}>
    <div class="tabs" role="group" aria-label="How arguments are written">
      <button type="button" aria-pressed=${!asJson} onClick=${() => choose(false)}>Form</button>
      <button type="button" aria-pressed=${asJson} onClick=${() => choose(true)}>JSON</button>
    </div>
    ${asJson ? html`<label class="field">Arguments<${JsonField} value=${value} change=${(next) => change(next ?? {})} /></label>` : html`<${Fields} schema=${schema} value=${value} change=${change} />`}
    <button class="main" title="Ctrl+Enter">Run</button>
  </form>`;
}
