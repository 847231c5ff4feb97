// The machine room: what the server leans on, its replicas, its log, its configuration, alerts, backups, and what doctor finds.

import { html, useEffect, useRef, useState } from "../vendor.js";
import { about, base, events, get } from "../api.js";
import { Doing, Empty, List as Rows, Page, State, Table, Time, millis, plain, span, useAnswer, useEvery, useLiveAnswer } from "../kit.js";

const PARTS = { "": ["Health", Health], replicas: ["Replicas", Replicas], log: ["Log", Log], config: ["Configuration", Config], alerts: ["Alerts", Alerts], backups: ["Backups", Backups], doctor: ["Doctor", Doctor] };

export function System({ rest }) {
  const [, Part] = PARTS[rest[0] ?? ""] ?? PARTS[""];
  return html`<${Page} title="System" about=${`${about.name} ${about.version}`}>
    <ul class="tabs" aria-label="Parts">
      ${Object.entries(PARTS).map(([place, [name]]) => html`<li><a href=${`#/system/${place}`} aria-current=${place === (rest[0] ?? "") ? "page" : undefined}>${name}</a></li>`)}
    </ul>
    <${Part} key=${rest[0]} />
  <//>`;
}

const List = ({ answer, rows, ...more }) => html`<${Rows} of=${answer} rows=${answer.data ? rows(answer.data) : []} ...${more} />`;

function Health() {
  const answer = useAnswer(new URL("../../health", base).href, useEvery(5));
  const error = ({ last_error: last }) => last && html`${last.message} <span class="quiet"><${Time} at=${last.at} /></span>`;
  const rows = ({ checks = {} }) => Object.entries(checks).map(([name, check]) => [name, name, html`<${State} of=${check.state} />`, millis(check.latency_ms), html`<${Time} at=${check.since} />`, error(check)]);
  return html`<${List} label="What it leans on" answer=${answer} rows=${rows} head=${["What", "State", ["Took", "figure"], "Since", ["Last error", "wide"]]} empty=${html`<${Empty} command="mcp-http health">You may not see more than whether it serves.<//>`} />`;
}

function Replicas() {
  const answer = useAnswer("system/replicas", useEvery(5));
  const rows = ({ replicas }) => replicas.map(({ id, host, version, started, until, is_this }) => [id, `${host}${is_this ? " (this one)" : ""}`, version, html`<${Time} at=${started} />`, html`<${Time} at=${until} />`, html`<small class="quiet">${id}</small>`]);
  return html`<${List} label="Replicas" answer=${answer} rows=${rows} head=${["Host", "Version", "Since", "Alive until", "Id"]} />`;
}

const MOST_LINES = 1000;

/** The log of the replica that answers, as it is written; no more is kept than can be read. */
function Log() {
  const [lines, told] = useState([]);
  const [text, find] = useState("");
  const [isFollowed, follow] = useState(true);
  const kept = useRef([]);
  useEffect(() => {
    if (!isFollowed) return;
    const leave = new AbortController();
    // Many lines are shown at once, so that none of them is waited for.
    const each = setInterval(() => told(kept.current.slice(-MOST_LINES)), 250);
    const keep = (name, line) => {
      kept.current.push(name === "line" ? line : { level: "WARN", message: `${line.lines} lines were written faster than they were read` });
      if (kept.current.length > 2 * MOST_LINES) kept.current = kept.current.slice(-MOST_LINES);
    };
    const read = async () => {
      while (!leave.signal.aborted) {
        // Each stream begins with the last lines.
        kept.current = [];
        await events("GET", "system/log", keep, { signal: leave.signal }).catch((problem) => problem.status && follow(false));
        await new Promise((resume) => setTimeout(resume, 500));
      }
    };
    read();
    return () => (leave.abort(), clearInterval(each));
  }, [isFollowed]);
  const shown = lines.filter((line) => JSON.stringify(line).toLowerCase().includes(text.toLowerCase()));
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <label>Find <input type="search" value=${text} onInput=${(event) => find(event.target.value)} /></label>
      <label class="check"><input type="checkbox" checked=${isFollowed} onChange=${(event) => follow(event.target.checked)} /> Live</label>
    </form>
    ${shown.length ? html`<div class="log" tabindex="0" role="log" aria-label="Log">${shown.slice(-300).map((line) => html`<p class=${line.level?.toLowerCase()}><${Time} at=${line.timestamp} /> <b>${line.level}</b> ${line.message} <span class="quiet">${rest(line)}</span></p>`)}</div>` : html`<${Empty} command="mcp-http config">Nothing was logged; LOG_LEVEL says what is.<//>`}`;
}

const rest = ({ timestamp, level, message, ...fields }) => Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`).join(" ");

function Config() {
  const answer = useAnswer("system/config");
  const rows = ({ settings }) => settings.map(({ key, value, origin, about }) => [key, html`<code>${key}</code>`, html`<code>${value || "–"}</code>`, origin, html`<span class="quiet">${about}</span>`]);
  return html`<${List} label="Settings" answer=${answer} rows=${rows} head=${["Setting", ["Value", "wide"], "From", ["What it does", "wide"]]} />`;
}

function Alerts() {
  const answer = useLiveAnswer("alerts", "alerts");
  const alerts = ({ alerts }) => alerts.map((alert) => [alert.key, alert.summary, html`<${State} of=${alert.phase} />`, html`<${Time} at=${alert.since} />`, html`<${Time} at=${alert.until} />`]);
  const rules = ({ rules }) => rules.map((rule) => [rule.name, rule.name, html`<${State} of=${rule.state} />`, `${rule.about} ${rule.above != null ? `above ${rule.above}` : `below ${rule.below}`}, for ${span(rule.for_seconds)}`, rule.severity]);
  return html`<h2>Now, and last</h2>
    <${List} label="Alerts" answer=${answer} rows=${alerts} head=${[["What", "wide"], "State", "Since", "Until"]} empty=${html`<${Empty} command="mcp-http alert list">No alert has fired.<//>`} />
    <h2>Rules</h2>
    <${List} label="Rules" answer=${answer} rows=${rules} head=${["Rule", "State", ["When", "wide"], "Severity"]} />`;
}

function Backups() {
  const answer = useAnswer("system/backups");
  const rows = ({ backups }) => backups.map(({ at, outcome, folder, verified }) => [at, html`<${Time} at=${at} />`, html`<${State} of=${outcome} />`, folder, verified ? "yes" : "no"]);
  return html`<${List} label="Backups" answer=${answer} rows=${rows} head=${["When", "How it ended", ["Where", "wide"], "Restored for a trial"]} empty=${html`<${Empty} command="mcp-http backup ./backup-of-today">No backup was made.<//>`} />`;
}

function Doctor() {
  const [found, told] = useState();
  const rows = found?.checks.map(({ check, status, detail }) => [check, check, html`<${State} of=${status} />`, detail]);
  return html`<p class="quiet">It looks at the configuration and all that it names, which takes some seconds.</p>
    <${Doing} class="main" to=${async () => told(await get("system/doctor"))}>Look<//>
    ${rows && html`<${Table} label="Findings" head=${["Check", "Found", ["What", "wide"]]} rows=${rows} />`}`;
}
