// Exact texts for the usual clients, with this address and a key that is made here.

import { html, useState } from "../vendor.js";
import { about, post } from "../api.js";
import { Code, Doing, Page, State, useAnswer, useEvery } from "../kit.js";

const CLIENTS = [
  ["Claude Code", (url, key) => `claude mcp add --transport http server ${url}${key ? ` --header "Authorization: Bearer ${key}"` : ""}`],
  ["Cursor, ~/.cursor/mcp.json", (url, key) => JSON.stringify({ mcpServers: { server: { url, ...headers(key) } } }, null, 2)],
  ["VS Code, .vscode/mcp.json", (url, key) => JSON.stringify({ servers: { server: { type: "http", url, ...headers(key) } } }, null, 2)],
  ["Claude Desktop, claude_desktop_config.json", (url, key) => JSON.stringify({ mcpServers: { server: { command: "npx", args: ["-y", "mcp-remote", url, ...(key ? ["--header", "Authorization:${AUTH}"] : [])], ...(key ? { env: { AUTH: `Bearer ${key}` } } : {}) } } }, null, 2)],
];

const headers = (key) => (key ? { headers: { Authorization: `Bearer ${key}` } } : {});

export function Connect() {
  const url = new URL(about.mcp ?? "mcp", document.baseURI).href;
  const [made, show] = useState();
  const used = useAnswer(made && `keys?principal=${encodeURIComponent(made.key.principal)}&limit=500`, useEvery(2));
  const isThere = used.data?.keys.find((key) => key.id === made.key.id)?.used;
  const make = async () => show(await post("keys", { name: `console ${new Date().toISOString().slice(0, 10)}`, expires: new Date(Date.now() + 90 * 86_400_000).toISOString() }));
  return html`<${Page} title="Connect" about=${html`Clients reach this server at <code>${url}</code>.`} actions=${!made && html`<${Doing} class="main" to=${make}>Make a key for a client<//>`}>
    ${made && html`<p role="status">${isThere ? html`<${State} of="ok" /> The client was here.` : html`<${State} of="waiting" /> The key is in the texts below, and is shown this once; it ends in 90 days. This turns green at the first request.`}</p>`}
    ${CLIENTS.map(([name, text]) => html`<section><h2>${name}</h2><${Code} text=${text(url, made?.secret)} label=${name} /></section>`)}
    <p class="quiet">On this machine, <code>mcp-http connect claude-code</code> writes it into the client's own file.</p>
  <//>`;
}
