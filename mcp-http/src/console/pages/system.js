// The machine room: what the server leans on, its replicas, its log, its configuration, alerts, backups, and what doctor finds.

import { html, useEffect, useRef, useState } from "../vendor.js";
import { base, events, get } from "../api.js";
import { Doing, Empty, List as Rows, Page, State, Table, Time, millis, span, useAnswer, useLiveAnswer } from "../kit.js";

const PARTS = { "": ["Health", Health], replicas: ["Replicas", Replicas], log: ["Log", Log], config: ["Configuration", Config], alerts: ["Alerts", Alerts], backups: ["Backups", Backups], doctor: ["Doctor", Doctor] };

export function System({ about, rest }) {
  const [, Part] = PARTS[rest[0] ?? ""] ?? PARTS[""];
  return html`<${Page} title="System" about=${`${about.name} ${about.version}`}>
    <ul class="tabs" aria-label="Parts">
      ${Object.entries(PARTS).map(([place, [name]]) => html`<li><a href=${`#/system/${place}`} aria-current=${place === (rest[0] ?? "") ? "page" : undefined}>${name}</a></li>`)}
    </ul>
    <${Part} key=${rest[0]} />
  <//>`;
}

const List = ({ answer, rows, ...more }) => html`<${Rows} of=${answer} rows=${answer.data ? rows(answer.data) : []} ...${more} />`;

/** The same again every few seconds. */
function useEvery(seconds) {
  const [turn, next] = useState(0);
  useEffect(() => {
    const each = setInterval(() => document.hidden || next((turn) => turn + 1), seconds * 1000);
    return () => clearInterval(each);
  }, []);
  return turn;
}

function Health() {
  const answer = useAnswer(new URL("../../health", base).href, useEvery(5));
  const rows = (health) =>
    Object.entries(health.checks ?? {}).map(
      ([name, check]) => html`<tr>
        <td>${name}</td>
        <td><${State} of=${check.state} /></td>
        <td class="figure">${millis(check.latency_ms)}</td>
        <td><${Time} at=${check.since} /></td>
        <td class="wide">${check.last_error && html`${check.last_error.message} <span class="quiet"><${Time} at=${check.last_error.at} /></span>`}</td>
      </tr>`,
    );
  return html`<${List} label="What it leans on" answer=${answer} rows=${rows} head=${["What", "State", "Took", "Since", "Last error"]} empty=${html`<${Empty} command="mcp-http health">You may not see more than whether it serves.<//>`} />`;
}

function Replicas() {
  const answer = useAnswer("system/replicas", useEvery(5));
  const rows = ({ replicas }) => replicas.map((replica) => html`<tr><td>${replica.host}${replica.is_this && " (this one)"}</td><td>${replica.version}</td><td><${Time} at=${replica.started} /></td><td><${Time} at=${replica.until} /></td><td><small class="quiet">${replica.id}</small></td></tr>`);
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
    ${shown.length ? html`<div class="log" tabindex="0" role="log" aria-label="Log">${shown.slice(-300).map((line) => html`<p class=${line.level?.toLowerCase()}><${Time} at=${line.timestamp} /> <b>${line.level}</b> ${line.message} <span class="quiet">${rest(line)}</span></p>`)}</div>` : html`<${Empty} command="LOG_LEVEL=debug mcp-http">Nothing was logged.<//>`}`;
}

const rest = ({ timestamp, level, message, ...fields }) => Object.entries(fields).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`).join(" ");

function Config() {
  const answer = useAnswer("system/config");
  const rows = ({ settings }) => settings.map((setting) => html`<tr><td><code>${setting.key}</code></td><td class="wide"><code>${setting.value ?? "–"}</code></td><td>${setting.origin}</td><td class="wide quiet">${setting.about}</td></tr>`);
  return html`<${List} label="Settings" answer=${answer} rows=${rows} head=${["Setting", "Value", "From", "What it does"]} />`;
}

function Alerts() {
  const answer = useLiveAnswer("alerts", "alerts");
  const alerts = ({ alerts }) => alerts.map((alert) => html`<tr><td>${alert.rule}</td><td>${alert.subject ?? ""}</td><td><${State} of=${alert.phase} /></td><td><${Time} at=${alert.since} /></td><td><${Time} at=${alert.until} /></td></tr>`);
  const rules = ({ rules }) => rules.map((rule) => html`<tr><td>${rule.name}</td><td><${State} of=${rule.state} /></td><td class="wide">${rule.about} ${rule.above != null ? `above ${rule.above}` : `below ${rule.below}`}, for ${span(rule.for_seconds)}</td><td>${rule.severity}</td></tr>`);
  return html`<h2>Now, and last</h2>
    <${List} label="Alerts" answer=${answer} rows=${alerts} head=${["Rule", "Of", "State", "Since", "Until"]} empty=${html`<${Empty} command="mcp-http alert list">No alert has fired.<//>`} />
    <h2>Rules</h2>
    <${List} label="Rules" answer=${answer} rows=${rules} head=${["Rule", "State", "When", "Severity"]} />`;
}

function Backups() {
  const answer = useAnswer("system/backups");
  const rows = ({ backups }) => backups.map((backup) => html`<tr><td><${Time} at=${backup.at} /></td><td><${State} of=${backup.outcome} /></td><td class="wide">${backup.folder}</td><td>${backup.verified ? "tried" : "not tried"}</td></tr>`);
  return html`<${List} label="Backups" answer=${answer} rows=${rows} head=${["When", "How it ended", "Where", "Restored for a trial"]} empty=${html`<${Empty} command="mcp-http backup ./backup-of-today">No backup was made.<//>`} />`;
}

function Doctor() {
  const [found, told] = useState();
  return html`<p class="quiet">It looks at the configuration and all that it names, which takes some seconds.</p>
    <${Doing} class="main" to=${async () => told(await get("system/doctor"))}>Look<//>
    ${found && html`<${Table} label="Findings" head=${["Check", "Found", "What"]} rows=${found.checks.map((check) => html`<tr><td>${check.check}</td><td><${State} of=${check.status} /></td><td class="wide">${check.detail}</td></tr>`)} />`}`;
}
