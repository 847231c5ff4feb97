// Is it well: a sentence and a light, figures, what fires, and the first steps.

import { html } from "../vendor.js";
import { about, base, path } from "../api.js";
import { useLive } from "../live.js";
import { Code, Page, Time, Waiting, millis, number, percent, useAnswer, useEvery, useLiveAnswer } from "../kit.js";
import { Plot } from "../plot.js";

const HOUR = 3_600_000;

export function Overview() {
  const live = useLive();
  useEvery(5);
  // All figures of the page are of the hour before it, which moves on with it.
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  const since = new Date(minute - HOUR).toISOString();
  const stats = (measure, by) => path("stats", { measure, by, from: since });
  const mayMonitor = about.parts.includes("monitoring");
  const outcomes = useLiveAnswer(stats("calls", "outcome"), "calls");
  const errors = useLiveAnswer(stats("errors"), "calls");
  const half = useLiveAnswer(stats("p50"), "calls");
  const most = useLiveAnswer(stats("p99"), "calls");
  const tokens = useLiveAnswer(about.parts.includes("agents") && stats("tokens", "model"), "calls");
  const cost = useLiveAnswer(about.parts.includes("agents") && stats("cost", "model"), "calls");
  const health = useAnswer(new URL("../../health", base).href, minute);
  const alerts = useLiveAnswer(mayMonitor && "alerts", "alerts");

  const calls = outcomes.data?.series.reduce((sum, series) => sum + series.total, 0);
  const failed = errors.data?.series[0]?.total;
  const firing = alerts.data?.alerts.filter((alert) => alert.phase === "firing") ?? [];
  const waiting = live.questions ?? 0;
  return html`<${Page} title="Overview" curl=${stats("calls", "outcome")}>
    <${Sentence} health=${health.data} calls=${calls} failed=${failed} firing=${firing} waiting=${waiting} state=${live.state} />
    <dl class="figures">
      <div><dt>Calls, last hour</dt><dd><a href="#/calls">${number(calls || null)}</a></dd></div>
      <div><dt>Errors</dt><dd>${calls ? html`${number(failed)} <small>${percent(failed / calls)}</small>` : "–"}</dd></div>
      <div><dt>p99</dt><dd>${millis(most.data?.series[0]?.total)}</dd></div>
      <div><dt>Waiting for you</dt><dd>${waiting ? html`<a href="#/inbox">${number(waiting)}</a>` : "–"}</dd></div>
    </dl>
    ${firing.length > 0 &&
    html`<section>
      <h2>Alerts</h2>
      <ul class="alerts">
        ${firing.map((alert) => html`<li><a href="#/system/alerts">${alert.summary}</a> <span class="quiet">since <${Time} at=${alert.since} /></span></li>`)}
      </ul>
    </section>`}
    ${outcomes.data
      ? html`<div class="plots">
          <${Plot} title="Calls a minute" href="#/calls" stats=${[outcomes.data]} unit=${number} />
          ${half.data && most.data && html`<${Plot} title="How long they take" stats=${[{ ...half.data, called: () => "p50" }, { ...most.data, called: () => "p99" }]} unit=${millis} />`}
          ${tokens.data?.series.length > 0 && html`<${Plot} title="Tokens" stats=${[tokens.data]} unit=${number} />`}
          ${cost.data?.series.some((series) => series.total > 0) && html`<${Plot} title="Cost" stats=${[cost.data]} unit=${number} />`}
        </div>`
      : html`<${Waiting} answer=${outcomes} />`}
    <${FirstSteps} calls=${calls} />
  <//>`;
}

function Sentence({ health, calls, failed, firing, waiting, state }) {
  const isDown = state === "away" || health?.status === "down";
  const isTroubled = isDown || firing.length > 0 || health?.status === "degraded";
  const checks = Object.entries(health?.checks ?? {}).filter(([, check]) => check.state === "down");
  let text;
  if (state === "away") text = "The server does not answer.";
  else if (isDown) text = "Calls fail.";
  else if (firing.length) text = `It serves, and ${firing.length === 1 ? "an alert fires" : `${firing.length} alerts fire`}.`;
  else if (health?.status === "degraded") text = "It serves, and can do without what is down.";
  else if (!calls) text = "It is ready. Nobody has called a tool in the last hour.";
  else if (!failed) text = "All is well.";
  else text = `It serves; ${number(failed)} of ${number(calls)} calls failed in the last hour.`;
  return html`<p class=${`sentence ${isDown ? "bad" : isTroubled ? "warn" : "good"}`} role="status">
    <span class="light" aria-hidden="true"></span> ${text}
    ${checks.length > 0 && html` <a href="#/system">${checks.map(([name]) => name).join(", ")}</a>`} ${waiting > 0 && html` <a href="#/inbox">${waiting === 1 ? "One question waits" : `${number(waiting)} questions wait`} for you.</a>`}
  </p>`;
}

/** What one does first; each ticks itself once it is done. */
function FirstSteps({ calls }) {
  const keys = useLiveAnswer("keys?limit=1", "calls");
  const system = useAnswer("system", useEvery(5));
  const steps = [
    [calls > 0, "Call a tool", html`<a href="#/tools">Tools</a>`, "mcp-http call time.now zone=Europe/Lisbon"],
    [keys.data?.keys.length > 0, "Make a key for somebody else", html`<a href="#/keys">Keys</a>`, "mcp-http keys create ci --expires 90d"],
    [(system.data ?? about).is_connected, "Connect a client", html`<a href="#/connect">Connect</a>`, "mcp-http connect claude-code --print"],
  ];
  if (steps.every(([isDone]) => isDone)) return null;
  return html`<section>
    <h2>First steps</h2>
    <ol class="steps">
      ${steps.map(
        ([isDone, what, where, command]) => html`<li class=${isDone ? "done" : ""}>
          <span aria-hidden="true">${isDone ? "✓" : "○"}</span> ${what} <span class="quiet">${isDone ? "done" : where}</span> ${!isDone && html`<${Code} text=${command} />`}
        </li>`,
      )}
    </ol>
  </section>`;
}
