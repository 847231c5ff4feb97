// The frame around the pages: where one is, how the server does, and how one gets elsewhere.

import { html, render, useEffect, useMemo, useRef, useState } from "./vendor.js";
import { about, ask, get, onRefused, path, post } from "./api.js";
import { start, useLive } from "./live.js";
import { Dialog, Form, State, number } from "./kit.js";
import { Overview } from "./pages/overview.js";
import { Tools } from "./pages/tools.js";
import { Calls } from "./pages/calls.js";
import { Runs } from "./pages/runs.js";
import { Inbox } from "./pages/inbox.js";
import { Connect } from "./pages/connect.js";
import { Keys } from "./pages/keys.js";
import { System } from "./pages/system.js";

/** Each page: its place, its name, what it shows, and which part of the server it is of. */
const PAGES = [
  { place: "", name: "Overview", page: Overview },
  { place: "tools", name: "Tools", page: Tools },
  { place: "calls", name: "Calls", page: Calls },
  { place: "runs", name: "Runs", page: Runs, part: "agents" },
  { place: "inbox", name: "Inbox", page: Inbox, part: "agents", count: "questions" },
  { place: "connect", name: "Connect", page: Connect },
  { place: "keys", name: "Keys", page: Keys },
  { place: "system", name: "System", page: System, part: "operating" },
];

/** Where one is: `#/calls/ID?tool=x`. */
function here() {
  const [places, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [place, ...rest] = places.split("/").map(decodeURIComponent);
  return { place, rest, query: Object.fromEntries(new URLSearchParams(query)) };
}

function useHere() {
  const [now, told] = useState(here);
  useEffect(() => {
    const moved = () => told(here());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return now;
}

const to = (place, query) => `#/${path(place, query)}`;

function Frame({ leave }) {
  const now = useHere();
  const live = useLive();
  const [dialog, open] = useState();
  const pages = useMemo(() => PAGES.filter((page) => !page.part || about.parts.includes(page.part)), []);
  const page = pages.find((page) => page.place === now.place);
  useKeys(pages, open);
  const main = useRef();
  // Whoever has no pointer begins where the page begins.
  useEffect(() => main.current?.querySelector("h1")?.focus({ preventScroll: true }), [now.place]);
  return html`<a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current.querySelector("h1")?.focus())}>To the page</a>
    <nav aria-label="Pages">
      <a class="name" href="#/">${about.name}</a>
      <ul>
        ${pages.map(
          (page) => html`<li>
            <a href=${to(page.place)} aria-current=${page.place === now.place ? "page" : undefined}>${page.name}${page.count && live[page.count] ? html` <b aria-label="waiting">${number(live[page.count])}</b>` : ""}</a>
          </li>`,
        )}
      </ul>
      <button class="small" title="Ctrl+K" onClick=${() => open("go")}>Go to…</button>
      <button class="small" title="?" onClick=${() => open("keys")}>Shortcuts</button>
      ${!about.is_open && html`<button class="small" title=${`You are ${about.caller}`} onClick=${leave}>Sign out</button>`}
      <p class="quiet" role="status">${live.state === "away" ? html`<${State} of="down" /> the server does not answer; it is tried again` : html`<${State} of=${live.state === "live" ? "live" : "pending"} />`}</p>
    </nav>
    <main id="main" ref=${main}>
      ${page ? html`<${page.page} key=${now.place} rest=${now.rest} query=${now.query} />` : html`<h1 tabindex="-1">There is no such page</h1><p><a href="#/">Overview</a></p>`}
    </main>
    ${dialog === "go" && html`<${Go} pages=${pages} close=${() => open()} />`} ${dialog === "keys" && html`<${Help} close=${() => open()} />`}`;
}

function useKeys(pages, open) {
  useEffect(() => {
    const pressed = (event) => {
      const isTyping = event.target.matches("input, textarea, select, [contenteditable]");
      if ((event.ctrlKey || event.metaKey) && event.key === "k") {
        event.preventDefault();
        return open("go");
      }
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const rows = [...document.querySelectorAll("main tbody tr[tabindex]")];
      const at = rows.indexOf(document.activeElement);
      const act = {
        "/": () => document.querySelector('main input[type="search"]')?.focus(),
        j: () => rows[Math.min(rows.length - 1, at + 1)]?.focus(),
        k: () => rows[Math.max(0, at - 1)]?.focus(),
        Enter: () => at >= 0 && rows[at].querySelector("a, button")?.click(),
        "?": () => open("keys"),
      }[event.key];
      if (act) {
        if (event.key !== "Enter" || at >= 0) event.preventDefault();
        act();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [pages]);
}

/** Ctrl+K: a page, or a tool, by a few letters of its name. */
function Go({ pages, close }) {
  const [tools, know] = useState([]);
  useEffect(() => {
    get("tools?limit=500").then((found) => know(found.tools), () => {});
  }, []);
  const places = new Map([...pages.map((page) => [page.name, to(page.place)]), ...tools.map(({ name }) => [name, to(`tools/${encodeURIComponent(name)}`)])]);
  const go = async ({ place }) => {
    const names = [...places.keys()];
    const name = names.find((name) => name === place) ?? names.find((name) => name.toLowerCase().includes(place.toLowerCase()));
    if (!name) throw new Error("There is nothing of that name.");
    location.hash = places.get(name);
    close();
  };
  return html`<${Dialog} title="Go to" close=${close}>
    <${Form} to=${go} button="Go">
      <label class="field">A page or a tool<input name="place" list="places" required autofocus autocomplete="off" /></label>
      <datalist id="places">${[...places.keys()].map((name) => html`<option value=${name} />`)}</datalist>
    <//>
  <//>`;
}

const KEYS = [
  ["/", "search on this page"],
  ["Ctrl K", "go anywhere"],
  ["j k", "the next row, the one before"],
  ["Enter", "open the row"],
  ["Ctrl Enter", "run the tool"],
  ["Esc", "close"],
  ["?", "this"],
];

function Help({ close }) {
  return html`<${Dialog} title="Shortcuts" close=${close}>
    <dl class="keys">${KEYS.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl>
  <//>`;
}

/** A key becomes a cookie, which no script reads. */
function SignIn({ enter, why }) {
  const send = async ({ key }) => {
    await post(new URL("console/session", document.baseURI), { key: key.trim() });
    enter();
  };
  return html`<main class="sign-in">
    <h1>Console</h1>
    ${why && html`<p class="trouble" role="alert">${why}</p>`}
    <${Form} to=${send} button="Sign in"><label class="field">API key<input name="key" type="password" required autofocus autocomplete="off" /></label><//>
    <p class="quiet">On the server's machine, <code>mcp-http console</code> prints a link that needs no key.</p>
  </main>`;
}

function App() {
  const [state, told] = useState({});
  const enter = async () => {
    try {
      const token = new URLSearchParams(location.hash.slice(1)).get("token");
      if (token) {
        // It is in no history, and lets nobody in a second time.
        history.replaceState(null, "", location.pathname);
        await post(new URL("console/session", document.baseURI), { token });
      }
      Object.assign(about, await get("system"));
      told({ isIn: true });
      start();
    } catch (problem) {
      told({ why: problem.status === 401 ? undefined : problem.message, isOut: true });
    }
  };
  useEffect(() => {
    enter();
    return onRefused(() => told({ isOut: true }));
  }, []);
  const leave = async () => {
    await ask("DELETE", new URL("console/session", document.baseURI));
    told({ isOut: true });
  };
  if (state.isIn) return html`<${Frame} leave=${leave} />`;
  return state.isOut ? html`<${SignIn} enter=${enter} why=${state.why} />` : html`<p class="quiet" aria-busy="true">…</p>`;
}

render(html`<${App} />`, document.getElementById("app"));
