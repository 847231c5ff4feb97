"use strict";
// Shows what openapi.json describes, and lets one try it. The key stays in its field.

const $ = (id) => document.getElementById(id);
const MAX_SHOWN = 300000;
const source = new URL("openapi.json", location.href);
let api;

/** An element; text is never read as markup. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function key() {
  return $("key").value.trim();
}

async function load() {
  try {
    const response = await fetch(source, { headers: key() ? { authorization: `Bearer ${key()}` } : {} });
    const body = await response.json();
    if (!response.ok) {
      trouble(response.status === 401 ? `Enter the key: ${body.detail}` : body.detail);
      if (response.status === 401) $("key").focus();
      return;
    }
    trouble("");
    api = body;
    show();
  } catch (error) {
    trouble(`The server does not answer: ${error.message}`);
  }
}

/** The schema that a reference names, and the one behind "or null". */
function resolve(schema) {
  for (let hops = 0; schema && schema.$ref && hops < 32; hops++) {
    const { $ref, ...beside } = schema;
    const path = $ref.replace(/^#\/?/, "").split("/").filter(Boolean);
    const found = path.reduce((at, part) => at?.[decodeURIComponent(part).replace(/~1/g, "/").replace(/~0/g, "~")], api);
    schema = { ...found, ...beside };
  }
  const choices = schema?.anyOf ?? schema?.oneOf;
  const real = choices?.filter((choice) => choice.type !== "null");
  if (choices && real.length === 1) {
    const { anyOf, oneOf, ...beside } = schema;
    return resolve({ ...real[0], ...beside });
  }
  return schema ?? {};
}

const kindOf = (schema) => [schema.type ?? []].flat().find((type) => type !== "null");

/** The values of a schema that lists them. */
function listed(schema) {
  if (schema.enum) return schema.enum.filter((value) => value !== null);
  const choices = schema.oneOf ?? schema.anyOf;
  return choices?.every((choice) => "const" in choice || choice.enum)
    ? choices.flatMap((choice) => choice.enum ?? [choice.const])
    : undefined;
}

/** A labelled control for one value; `read` gives it, or undefined where it is left out, or throws. */
function field(name, given, required, id) {
  const schema = resolve(given);
  const values = listed(schema);
  const kind = values ? "choice" : kindOf(schema);
  const fallback = schema.default === undefined || schema.default === null ? "" : JSON.stringify(schema.default);
  const common = { id, name, "aria-describedby": schema.description && `${id}-about`, placeholder: fallback, spellcheck: "false" };
  let control;
  let read;
  if (values || kind === "boolean") {
    const options = values ?? [true, false];
    control = el("select", common, el("option", { value: "" }, required ? "choose" : fallback ? `${fallback} (default)` : "–"));
    options.forEach((value, n) => control.append(el("option", { value: n }, String(value))));
    read = () => (control.value === "" ? undefined : options[control.value]);
  } else if (kind === "integer" || kind === "number") {
    control = el("input", { ...common, inputmode: "decimal" });
    // As it was written: a large number must not be rounded here.
    read = () => (control.value.trim() === "" ? undefined : JSON.rawJSON ? JSON.rawJSON(check(control.value.trim(), name)) : JSON.parse(check(control.value.trim(), name)));
  } else if (kind === "string") {
    control = schema.format ? el("input", common) : el("textarea", { ...common, rows: 1 });
    read = () => (control.value === "" && !required ? undefined : control.value);
  } else {
    control = el("textarea", { ...common, rows: 2, class: "code", placeholder: fallback || `JSON${kind ? `: ${kind}` : ""}` });
    read = () => (control.value.trim() === "" ? undefined : JSON.parse(check(control.value, name)));
  }
  if (required) control.required = kind !== "string";
  const word = values ? "one of these" : [kind ?? "any", schema.format].filter(Boolean).join(", ");
  const row = el("div", { class: "field" },
    el("label", { for: id }, el("code", {}, name), el("small", {}, required ? `${word}, needed` : word)),
    control,
    schema.description ? el("p", { class: "about", id: `${id}-about` }, schema.description) : null);
  return { name, row, read, control };
}

function check(text, name) {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}

/** JSON with line breaks, every token as it came: numbers beyond a double stay what they are. */
function indent(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return json.replace(/"(?:[^"\\]|\\.)*"|[[{]\s*[\]}]|[{}[\],:]|\s+/g, (token) => {
    if (token[0] === '"') return token;
    if (/^[[{]\s*[\]}]$/.test(token)) return token[0] + token.at(-1);
    if (token === "{" || token === "[") return depth++, token + line();
    if (token === "}" || token === "]") return depth--, line() + token;
    if (token === ",") return token + line();
    return token === ":" ? ": " : "";
  });
}

/** XML with line breaks between tags. */
function indentXml(xml) {
  let depth = 0;
  return xml.replace(/></g, ">\n<").split("\n<").map((part, n) => {
    const tag = n ? `<${part}` : part;
    if (tag.startsWith("</")) depth--;
    const line = "  ".repeat(Math.max(depth, 0)) + tag;
    if (/^<[^/?!]/.test(tag) && !tag.includes("</") && !tag.endsWith("/>")) depth++;
    return line;
  }).join("\n").replace(/(<([^\s>]+)[^>]*>)\n\s*(<\/\2>)/g, "$1$3");
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** One operation, closed at first; what is inside is made when it is opened. */
function operation(path, method, what) {
  const title = what.tags?.includes("Tools") ? path.split("/").at(-2) : path;
  const gist = (what.description || (what.summary !== title && what.summary) || "").split("\n")[0];
  const box = el("details", { class: "operation", id: what.operationId },
    el("summary", {}, el("span", { class: "method" }, method.toUpperCase()), el("code", {}, title), el("span", { class: "gist" }, gist)));
  box.dataset.words = `${path} ${what.summary ?? ""} ${what.description ?? ""}`.toLowerCase();
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(inside(path, method, what));
    if (box.open) history.replaceState(null, "", `#${what.operationId}`);
  });
  return box;
}

function inside(path, method, what) {
  const id = (name) => `${what.operationId}-${name}`;
  const parameters = (what.parameters ?? []).map((parameter) => ({
    place: parameter.in,
    ...field(parameter.name, { ...parameter.schema, description: parameter.description }, parameter.required, id(parameter.name)),
  }));
  const given = what.requestBody?.content["application/json"]?.schema;
  const schema = given && resolve(given);
  const needed = (name) => Boolean(schema.required?.includes(name));
  const properties = Object.entries(schema?.properties ?? {}).sort(([a], [b]) => needed(b) - needed(a));
  const fields = properties.map(([name, inner]) => field(name, inner, needed(name), id(`body-${name}`)));
  const raw = schema && el("textarea", { class: "code", rows: 3, spellcheck: "false", "aria-label": "The body as JSON" });
  // Where there are no fields to fill in there may still be something to send.
  const byHand = schema && el("input", { type: "checkbox", checked: !fields.length && schema.additionalProperties !== false });
  const sheet = el("div", {}, ...fields.map(({ row }) => row));

  const collect = () => Object.fromEntries(fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined));
  const request = () => {
    let target = path;
    const query = new URLSearchParams();
    for (const { name, place, read } of parameters) {
      const value = read();
      if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(value));
      else if (value !== undefined) query.set(name, value.rawJSON ?? value);
    }
    const headers = { accept: $("form").value };
    if (schema) headers["content-type"] = "application/json";
    const body = schema && (byHand.checked ? raw.value : JSON.stringify(collect()));
    const base = new URL(api.servers?.[0]?.url ?? "/", source).href.replace(/\/$/, "");
    return { url: base + target + (query.size ? `?${query}` : ""), headers, body: body || undefined };
  };
  const asCurl = ({ url, headers, body }) => ["curl -s", quote(url),
    method === (body ? "post" : "get") ? "" : `-X ${method.toUpperCase()}`,
    headers.accept === "application/json" ? "" : `-H ${quote(`Accept: ${headers.accept}`)}`,
    key() ? `-H "Authorization: Bearer $API_KEY"` : "",
    body ? `-H 'Content-Type: application/json' -d ${quote(body)}` : ""].filter(Boolean).join(" ");

  const status = el("p", { class: "status", role: "status" });
  const answer = el("pre", { tabindex: "0", "aria-label": "The answer", hidden: true });
  const curl = el("pre", {});
  const send = el("button", { class: "main", type: "submit" }, schema ? "Call" : method === "delete" ? "Delete" : "Get");
  const refresh = () => {
    try { curl.textContent = asCurl(request()); } catch (error) { curl.textContent = error.message; }
  };
  const swap = () => {
    raw.hidden = !byHand.checked;
    sheet.hidden = byHand.checked;
    // What is hidden must not be checked by the browser.
    sheet.querySelectorAll("input, select, textarea").forEach((control) => (control.disabled = byHand.checked));
    if (byHand.checked && fields.length) {
      try { raw.value = JSON.stringify(collect(), null, 2); } catch { /* What was written so far stays. */ }
    }
    refresh();
  };

  let running;
  const submit = async (event) => {
    event.preventDefault();
    if (running) return running.abort();
    running = new AbortController();
    send.textContent = "Stop";
    status.className = "status";
    status.textContent = "…";
    answer.hidden = true;
    try {
      const { url, headers, body } = request();
      if (key()) headers.authorization = `Bearer ${key()}`;
      const begun = performance.now();
      const response = await fetch(url, { method: method.toUpperCase(), headers, body, signal: running.signal });
      const text = await response.text();
      const took = performance.now() - begun;
      const type = response.headers.get("content-type") ?? "";
      const failed = !response.ok || /"isError":true|<isError type="boolean">true/.test(text);
      status.classList.toggle("failed", failed);
      status.replaceChildren(el("b", {}, `${response.status} ${response.statusText}`), ` · ${took.toFixed(0)} ms · ${type.split(";")[0]}`);
      let shown = text.length > MAX_SHOWN ? text : type.includes("json") ? indent(text) : type.includes("xml") ? indentXml(text) : text;
      if (shown.length > MAX_SHOWN) shown = `${shown.slice(0, MAX_SHOWN)}\n… (${text.length} characters in all)`;
      answer.textContent = shown;
      answer.hidden = false;
    } catch (error) {
      status.classList.add("failed");
      status.textContent = error.name === "AbortError" ? "Stopped." : error.message;
    }
    running = undefined;
    send.textContent = schema ? "Call" : "Get";
  };

  const form = el("form", { onsubmit: submit, oninput: refresh },
    ...parameters.map(({ row }) => row), sheet, raw,
    el("div", { class: "actions" }, send,
      fields.length ? el("label", {}, byHand, "write the arguments as JSON") : null));
  if (schema) {
    byHand.addEventListener("change", swap);
    swap();
  }
  refresh();
  $("form").addEventListener("change", refresh);
  $("key").addEventListener("input", refresh);
  return el("div", { class: "inside" },
    what.description ? el("p", { class: "description" }, what.description) : null,
    form, status, answer,
    el("details", { class: "more" }, el("summary", {}, "The same by curl"), curl),
    el("details", { class: "more" }, el("summary", {}, "What may come back"), answers(what)),
    schema ? el("details", { class: "more" }, el("summary", {}, "The schema of the body"), el("pre", {}, JSON.stringify(schema, null, 2))) : null);
}

function answers(what) {
  const rows = Object.entries(what.responses).map(([status, given]) => {
    const response = resolve(given);
    return el("tr", {}, el("td", {}, status), el("td", {}, response.description));
  });
  const [, good] = Object.entries(what.responses)[0] ?? [];
  const content = Object.values(resolve(good).content ?? {})[0]?.schema;
  const whole = content?.allOf ? content.allOf.map(resolve) : content && resolve(content);
  return el("div", {}, el("table", {}, el("tbody", {}, ...rows)), whole ? el("pre", {}, JSON.stringify(whole, null, 2)) : null);
}

function show() {
  document.title = `${api.info.title} API`;
  document.querySelector("h1").replaceChildren(api.info.title, el("small", {}, api.info.version));
  $("forms").replaceChildren(...api.info.description.split("\n\n").map((text) => el("p", {}, text)));
  const groups = new Map(api.tags.map(({ name }) => [name, []]));
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, what] of Object.entries(methods)) groups.get(what.tags[0])?.push(operation(path, method, what));
  const tools = groups.get("Tools")?.length ?? 0;
  $("about").textContent = tools ? `${tools} ${tools === 1 ? "tool" : "tools"} to call, here or from a program.` : "No tools are offered yet.";
  document.querySelector("main").replaceChildren(...[...groups].filter(([, boxes]) => boxes.length).map(([name, boxes]) =>
    el("section", {}, el("h2", {}, name), ...boxes)));
  find();
  go();
}

/** Opens the operation that the address names. */
function go() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted?.matches(".operation")) {
    wanted.open = true;
    wanted.scrollIntoView();
  }
}

function find() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    const boxes = [...section.querySelectorAll(".operation")];
    boxes.forEach((box) => (box.hidden = !words.every((word) => box.dataset.words.includes(word))));
    section.hidden = boxes.every((box) => box.hidden);
  }
}

$("find").addEventListener("input", find);
$("key").addEventListener("change", load);
addEventListener("hashchange", go);
load();
