// What happened: each call that was recorded, the newest first.

import { html } from "../vendor.js";
import { path } from "../api.js";
import { Bars, Empty, FAILURES, Json, List, Page, State, Time, Waiting, millis, number, useAnswer, useLiveAnswer, usePages } from "../kit.js";
import { Plot } from "../plot.js";
import { useLive } from "../live.js";

const OUTCOMES = ["ok", "input_required", "cancelled", ...FAILURES];

export function Calls({ rest, query }) {
  return rest[0] ? html`<${Call} key=${rest[0]} id=${rest[0]} />` : html`<${All} query=${query} />`;
}

/** Filters are in the address, so that a view can be kept and sent to others. */
const filtered = (query) => (location.hash = `#/${path("calls", query)}`);

function All({ query }) {
  const live = useLive();
  const isFollowed = query.follow !== "no";
  const { follow, ...filter } = query;
  const where = path("calls", { ...filter, limit: 50 });
  const calls = usePages(where, "before", "calls", isFollowed ? live.calls : undefined);
  const stats = useLiveAnswer(path("stats", { measure: "calls", by: "outcome", from: filter.from, to: filter.to }), isFollowed ? "calls" : "");
  const set = (name) => (event) => filtered({ ...query, [name]: event.target.value });
  const isFiltered = Object.keys(filter).length > 0;
  return html`<${Page} title="Calls" curl=${where}>
    ${stats.data && html`<${Plot} title="Calls by outcome" stats=${[stats.data]} unit=${number} pick=${(from, to) => filtered({ ...query, from, to })} />`}
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <label>Tool <input type="search" value=${query.tool ?? ""} onChange=${set("tool")} /></label>
      <label>Caller <input value=${query.caller ?? ""} onChange=${set("caller")} /></label>
      <label>Outcome
        <select value=${query.outcome ?? ""} onChange=${set("outcome")}>
          <option value="">any</option>
          ${OUTCOMES.map((outcome) => html`<option value=${outcome}>${outcome.replaceAll("_", " ")}</option>`)}
        </select>
      </label>
      ${filter.from && html`<span><${Time} at=${filter.from} /> – <${Time} at=${filter.to} /></span>`}
      <label class="check"><input type="checkbox" checked=${isFollowed} onChange=${(event) => filtered({ ...query, follow: event.target.checked ? undefined : "no" })} /> Live</label>
      ${isFiltered && html`<a href="#/calls">All calls</a>`}
    </form>
    <${List}
      of=${calls}
      label="Calls"
      head=${["Tool", "Outcome", ["Took", "figure"], "Caller", "Begun"]}
      rows=${calls.items.map((call) => [
        call.id,
        html`<a href=${`#/calls/${call.id}`}>${call.tool}</a>`,
        html`<${State} of=${call.outcome} />`,
        millis(call.duration_ms),
        call.caller,
        html`<${Time} at=${call.at} />`,
      ])}
      empty=${html`<${Empty} command=${isFiltered ? undefined : "mcp-http call time.now zone=Europe/Lisbon"}>${isFiltered ? "No recorded call is like that." : "Nothing was called yet."}<//>`}
    />
  <//>`;
}

/** What it spent its time with. */
const phases = ({ duration_ms: took, waited_ms: waited }) => [
  ...(waited ? [{ kind: "waiting", name: "waited", from: 0, to: waited }] : []),
  { kind: "tool", name: "worked", from: waited, to: took },
];

function Call({ id }) {
  const answer = useAnswer(`calls/${id}`);
  const call = answer.data;
  if (!call) return html`<${Page} title="Call"><${Waiting} answer=${answer} /><//>`;
  const again = `#/tools/${encodeURIComponent(call.tool)}?again=${call.id}`;
  return html`<${Page} title=${call.tool} about=${html`<${State} of=${call.outcome} /> after ${millis(call.duration_ms)}, for ${call.caller}, <${Time} at=${call.at} />`} actions=${html`<a class="button main" href=${again}>Edit and run again</a>`} curl=${`calls/${id}`}>
    <div class="trial">
      <div><h2>Arguments</h2><${Json} value=${call.arguments} label="Arguments" /></div>
      <div><h2>Result</h2><${Json} value=${call.result} label="Result" /></div>
    </div>
    <h2>Phases</h2><${Bars} bars=${phases(call)} from=${0} to=${call.duration_ms} />
    <p class="quiet">${call.address && `From ${call.address}. `}${call.parent && html`Made by <a href=${`#/calls/${call.parent}`}>another call</a>. `}<small>${call.id}</small></p>
  <//>`;
}
