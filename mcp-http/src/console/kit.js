// What pages are made of. Texts of the server are never read as markup.

import { html, useCallback, useEffect, useMemo, useRef, useState } from "./vendor.js";
import { get, curl } from "./api.js";
import { useLive } from "./live.js";

const NOTHING = "–";

/** How calls end, but for those that end well or ask. */
export const FAILURES = ["error", "internal", "timed_out", "outcome_unknown", "invalid", "limited"];

export const number = (value) => (value == null ? NOTHING : new Intl.NumberFormat(undefined, { maximumFractionDigits: value < 10 ? 2 : 0 }).format(value));
export const percent = (value) => (value == null ? NOTHING : new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 2 }).format(value));

/** A text as it is, and anything else as JSON. */
export const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

export function millis(value) {
  if (value == null) return NOTHING;
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  if (value < 1000) return `${number(value)} ms`;
  if (value < 60_000) return `${number(value / 1000)} s`;
  return span(value / 1000);
}

export function span(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.max(0, Math.round(seconds));
  const told = [];
  for (const [name, size] of parts) {
    const count = Math.floor(rest / size);
    if (count || (name === "s" && !told.length)) told.push(`${count} ${name}`);
    rest -= count * size;
    if (told.length === 2) break;
  }
  return told.join(" ");
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** A moment as it is here; the whole of it is in its title. */
export function Time({ at }) {
  if (!at) return NOTHING;
  const date = new Date(at);
  const told = date.toDateString() === new Date().toDateString() ? clock : day;
  return html`<time datetime=${at} title=${at}>${told.format(date)}</time>`;
}

/** What a caller may be shown of a place, asked for again whenever `again` is another one. */
export function useAnswer(where, again) {
  const [answer, told] = useState({});
  const [turn, next] = useState(0);
  // What could not be had while nobody answered is asked for once somebody does.
  const { returns } = useLive();
  useEffect(() => {
    if (!where) return;
    const leave = new AbortController();
    get(where, { signal: leave.signal })
      .then((data) => told({ data }))
      .catch((problem) => problem.name === "AbortError" || told({ problem }));
    return () => leave.abort();
  }, [where, again, turn, returns]);
  return { ...answer, reload: useCallback(() => next((turn) => turn + 1), []) };
}

/** Another number every so many seconds, while somebody looks. */
export function useEvery(seconds) {
  const [turn, next] = useState(0);
  useEffect(() => {
    const each = setInterval(() => document.hidden || next((turn) => turn + 1), seconds * 1000);
    return () => clearInterval(each);
  }, []);
  return turn;
}

/** The same, which is asked for again as soon as something has changed of which the figures of the stream with these names tell. */
export function useLiveAnswer(where, ...names) {
  const live = useLive();
  return useAnswer(where, names.map((name) => live[name]).join("|"));
}

export function Waiting({ answer }) {
  if (answer.problem) return html`<p class="trouble" role="alert">${answer.problem.message} <button onClick=${answer.reload}>Try again</button></p>`;
  return html`<p class="quiet" aria-busy="true">…</p>`;
}

export function Empty({ children, command }) {
  return html`<div class="empty">
    <p>${children}</p>
    ${command && html`<${Code} text=${command} />`}
  </div>`;
}

export function Code({ text, label }) {
  const [word, say] = useState("Copy");
  const box = useRef();
  const take = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      // A page that came without TLS may not: it is selected, for whoever reads it.
      getSelection().selectAllChildren(box.current);
      say("Press Ctrl+C");
    }
    setTimeout(() => say("Copy"), 1500);
  };
  return html`<div class="code">
    <pre aria-label=${label} tabindex="0" ref=${box}>${text}</pre>
    <button class="small" onClick=${take} aria-live="polite">${word}</button>
  </div>`;
}

/** How the same is had elsewhere. */
export const Folded = ({ name, text }) => html`<details class="curl"><summary>${name}</summary><${Code} text=${text} label=${name} /></details>`;

export function Page({ title, about, actions, curl: by, children }) {
  useEffect(() => {
    document.title = `${title} · Console`;
  }, [title]);
  return html`<section class="page">
    <header>
      <h1 tabindex="-1">${title}</h1>
      ${about && html`<p class="quiet">${about}</p>`}
      <div class="actions">${actions}</div>
    </header>
    ${children} ${by && html`<${Folded} name="curl" text=${curl("GET", by.where ?? by, by)} />`}
  </section>`;
}

export function State({ of }) {
  const kind =
    { ok: "good", completed: "good", up: "good", live: "good", resolved: "good", warning: "warn", "cannot apply": "quiet", waiting: "warn", input_required: "warn", pending: "warn", degraded: "warn", queued: "quiet", running: "info", cancelled: "quiet" }[of] ?? "bad";
  return html`<span class=${`state ${kind}`}>${of.replaceAll("_", " ")}</span>`;
}

export function Json({ value, label }) {
  const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? NOTHING);
  const shown = text.length > 200_000 ? `${text.slice(0, 200_000)}\n… (${number(text.length)} characters in all)` : text;
  return html`<pre class="json" tabindex="0" aria-label=${label ?? "JSON"}>${shown}</pre>`;
}

/** What took how long between two moments, one bar below the other; that of a wait is hatched. */
export function Bars({ bars, from, to }) {
  const part = (length) => (length / Math.max(1, to - from)) * 100;
  return html`<ol class="timeline">
    <svg class="hidden" aria-hidden="true"><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2" height="4" /></pattern></svg>
    ${bars.map(
      (bar) => html`<li>
        <span>${bar.name}</span>
        <svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${`${bar.kind} ${bar.name}: ${millis(bar.to - bar.from)}`}>
          <rect class=${bar.kind} x=${part(bar.from - from)} width=${Math.max(0.5, part(bar.to - bar.from))} height="10" rx="1" />
        </svg>
        <span class="figure">${millis(bar.to - bar.from)}</span>
      </li>`,
    )}
  </ol>`;
}

export function Spark({ values, label }) {
  const known = values.filter((value) => value != null);
  if (!known.length) return html`<span class="quiet">${NOTHING}</span>`;
  const most = Math.max(...known, 1e-9);
  const place = (value, n) => `${((n / Math.max(1, values.length - 1)) * 100).toFixed(1)},${(24 - ((value ?? 0) / most) * 22).toFixed(1)}`;
  return html`<svg class="spark" viewBox="0 0 100 25" preserveAspectRatio="none" role="img" aria-label=${label}><polyline points=${values.map(place).join(" ")} /></svg>`;
}

export function Dialog({ title, close, children }) {
  const box = useRef();
  useEffect(() => {
    box.current.showModal();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onClose=${close} onClick=${(event) => event.target === box.current && box.current.close()}>
    <header>
      <h2>${title}</h2>
      <button class="small" onClick=${() => box.current.close()}>Close</button>
    </header>
    ${children}
  </dialog>`;
}

/** A table, of which `j`, `k` and Enter go through the rows. A column has a name, and may have a class; a row begins with its key. */
export function Table({ head, rows, label }) {
  const columns = head.map((column) => [column].flat());
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table>
    <thead><tr>${columns.map(([name]) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${rows.map(([key, ...cells]) => html`<tr tabindex="0" key=${key}>${cells.map((cell, n) => html`<td class=${columns[n][1]}>${cell}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** A list: on its way, its rows, or why there are none; and more of it. */
export function List({ of, label, head, rows, empty }) {
  if (!of.data) return html`<${Waiting} answer=${of} />`;
  return html`${rows.length ? html`<${Table} label=${label} head=${head} rows=${rows} />` : empty} ${of.more && html`<${Doing} to=${of.more}>More<//>`}`;
}

/** Fields that are sent together; what keeps them from that is said beside the button. */
export function Form({ to, button, children }) {
  const [wrong, say] = useState();
  const send = (event) => {
    event.preventDefault();
    to(Object.fromEntries(new FormData(event.target))).catch((problem) => say(problem.message));
  };
  return html`<form onSubmit=${send}>${children}<button class="main">${button}</button> ${wrong && html`<p class="trouble" role="alert">${wrong}</p>`}</form>`;
}

export function Doing({ to, children, class: kind, title }) {
  const [state, told] = useState({});
  const begin = async () => {
    told({ isBusy: true });
    try {
      await to();
      told({});
    } catch (problem) {
      told({ problem });
    }
  };
  return html`<button type="button" class=${kind} title=${title} disabled=${state.isBusy} onClick=${begin}>${children}</button>
    ${state.problem && html`<span class="trouble" role="alert">${state.problem.message}</span>`}`;
}

export function usePages(where, cursor, member, again) {
  const first = useAnswer(where, again);
  const [more, told] = useState({ items: [], of: where });
  useEffect(() => told({ items: [], of: where }), [where, again]);
  const next = more.items.length ? more.next : first.data?.next;
  const items = useMemo(() => [...(first.data?.[member] ?? []), ...(more.of === where ? more.items : [])], [first.data, more, where]);
  const load = async () => {
    const page = await get(`${where}${where.includes("?") ? "&" : "?"}${cursor}=${encodeURIComponent(next)}`);
    told({ items: [...more.items, ...page[member]], next: page.next, of: where });
  };
  return { ...first, items, more: next ? load : undefined };
}
