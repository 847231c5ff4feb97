// Who may come in.

import { html, useState } from "../vendor.js";
import { ask, base } from "../api.js";
import { Code, Dialog, Doing, Empty, Form, List, Page, Time, usePages } from "../kit.js";

export function Keys() {
  const keys = usePages("keys?limit=100", "after", "keys");
  const [made, show] = useState();
  const [isMaking, make] = useState(false);
  const change = async (method, where, body) => {
    const answer = await ask(method, where, { body });
    keys.reload();
    if (answer?.secret) show(answer);
  };
  return html`<${Page} title="Keys" about="Each lets its user in, with no more than its user may do." actions=${html`<button class="main" onClick=${() => make(true)}>Make a key</button>`} curl="keys">
    <${List}
      of=${keys}
      label="API keys"
      head=${["Name", "User", "Roles", "Used", "Ends", "Change"]}
      rows=${keys.items.map((key) => [
        key.id,
        html`${key.name}<br /><small class="quiet">${key.id}</small>`,
        key.principal,
        key.roles.join(", ") || "–",
        html`<${Time} at=${key.used} />`,
        html`${key.revoked && "revoked "}<${Time} at=${key.revoked ?? key.expires} />`,
        !key.revoked &&
          html`<${Doing} class="small" to=${() => change("POST", `keys/${key.id}/rotate`, { overlap_seconds: 86400 })} title="A new one; this one lets in for a day more">Rotate<//>${" "}
            <${Doing} class="small" to=${() => change("DELETE", `keys/${key.id}`)}>Revoke<//>`,
      ])}
      empty=${html`<${Empty} command="mcp-http keys create ci --expires 90d">Nobody has a key yet.<//>`}
    />
    ${isMaking && html`<${Make} close=${() => make(false)} to=${(key) => change("POST", "keys", key)} />`}
    ${made && html`<${Shown} made=${made} close=${() => show()} />`}
  <//>`;
}

function Make({ close, to }) {
  const send = async ({ name, days }) => {
    await to({ name, expires: days ? new Date(Date.now() + days * 86_400_000).toISOString() : undefined });
    close();
  };
  return html`<${Dialog} title="Make a key" close=${close}>
    <${Form} to=${send} button="Make it">
      <label class="field">What it is for<input name="name" required maxlength="100" autofocus /></label>
      <label class="field">It ends after<select name="days"><option value="90">90 days</option><option value="30">30 days</option><option value="1">a day</option><option value="">never</option></select></label>
    <//>
  <//>`;
}

function Shown({ made, close }) {
  return html`<${Dialog} title=${`The key ${made.key.name}`} close=${close}>
    <p>It is shown this once.</p>
    <${Code} text=${made.secret} label="The key" />
    <p class="quiet">It lets in whoever has it:</p>
    <${Code} text=${`curl -s '${new URL("tools", base).href}' -H 'Authorization: Bearer ${made.secret}'`} />
  <//>`;
}
