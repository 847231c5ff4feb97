// What agents do: what was said on the left, what took how long on the right.

import { html, useEffect, useMemo, useState } from "../vendor.js";
import { events, path, post } from "../api.js";
import { Bars, Dialog, Doing, Empty, Form, Json, List, Page, State, Time, Waiting, millis, number, plain, useAnswer, usePages } from "../kit.js";
import { useLive } from "../live.js";
import { Question } from "./tools.js";

export function Runs({ rest, query }) {
  return rest[0] ? html`<${Run} key=${rest[0]} id=${rest[0]} />` : html`<${All} query=${query} />`;
}

const STATES = ["queued", "running", "waiting", "completed", "failed", "cancelled"];

function All({ query }) {
  const live = useLive();
  const [isStarting, start] = useState(false);
  const where = path("runs", { ...query, limit: 50 });
  const runs = usePages(where, "before", "runs", live.runs);
  const set = (event) => (location.hash = `#/${path("runs", { ...query, state: event.target.value })}`);
  return html`<${Page} title="Runs" actions=${html`<button class="main" onClick=${() => start(true)}>Start an agent</button>`} curl=${where}>
    <form class="filters"><label>State
      <select value=${query.state ?? ""} onChange=${set}><option value="">any</option>${STATES.map((state) => html`<option value=${state}>${state}</option>`)}</select>
    </label></form>
    <${List}
      of=${runs}
      label="Runs"
      head=${["Of", "State", "Caller", "Begun", ["Took", "figure"]]}
      rows=${runs.items.map((run) => [
        run.id,
        html`<a href=${`#/runs/${run.id}`}>${named(run)}</a>`,
        html`<${State} of=${run.state} />`,
        run.caller,
        html`<${Time} at=${run.at} />`,
        millis(run.ended && Date.parse(run.ended) - Date.parse(run.at)),
      ])}
      empty=${html`<${Empty} command="mcp-http runs start assistant 'What can you do?' --watch">There are no runs ${query.state ? "in that state" : "yet"}.<//>`}
    />
    ${isStarting && html`<${Start} close=${() => start(false)} />`}
  <//>`;
}

const named = (run) => run.arguments?.agent ?? run.arguments?.tool ?? run.kind;

function Start({ close }) {
  const agents = useAnswer("agents?limit=500");
  const send = async ({ agent, input }) => {
    const begun = await post(`agents/${encodeURIComponent(agent)}/runs`, { input });
    location.hash = `#/runs/${begun.id}`;
    close();
  };
  return html`<${Dialog} title="Start an agent" close=${close}>
    ${agents.data
      ? html`<${Form} to=${send} button="Start">
          <label class="field">Agent<select name="agent">${agents.data.agents.map((agent) => html`<option value=${agent.name}>${agent.name}: ${agent.description}</option>`)}</select></label>
          <label class="field">What it is to do<textarea name="input" rows="4" required autofocus></textarea></label>
        <//>`
      : html`<${Waiting} answer=${agents} />`}
  <//>`;
}

/** What has happened in a run, and goes on happening; and what a model is saying at this moment. */
function useEvents(id) {
  const [told, say] = useState({ events: [], saying: {} });
  useEffect(() => {
    const leave = new AbortController();
    let last;
    const follow = async () => {
      while (!leave.signal.aborted) {
        try {
          await events(
            "GET",
            `runs/${id}/events`,
            (event, data, at) => {
              if (event === "model.delta") {
                return say(({ events, saying }) => ({ events, saying: { attempt: data.attempt, agent: data.agent, text: (saying.attempt === data.attempt ? saying.text : "") + (data.text ?? "") } }));
              }
              last = at ?? last;
              say(({ events }) => ({ events: [...events, data].slice(-5000), saying: {} }));
            },
            { signal: leave.signal, headers: last ? { "last-event-id": last } : {} },
          );
          return;
        } catch (problem) {
          if (leave.signal.aborted || problem.status === 404) return;
          await new Promise((resume) => setTimeout(resume, 1000));
        }
      }
    };
    follow();
    return () => leave.abort();
  }, [id]);
  return told;
}

function Run({ id }) {
  const live = useLive();
  const run = useAnswer(`runs/${id}?limit=1`, live.runs);
  const { events, saying } = useEvents(id);
  const asked = useAnswer(`runs/${id}/questions`, events.length);
  const answer = async (name, response) => {
    await post(`runs/${id}/answers`, { answers: { [name]: response } });
    asked.reload();
  };
  if (!run.data) return html`<${Page} title="Run"><${Waiting} answer=${run} /><//>`;
  const { run: record } = run.data;
  const isOver = Boolean(record.ended);
  const spent = events.at(-1)?.result?.spent ?? events.findLast((event) => event.spent)?.spent ?? {};
  return html`<${Page}
    title=${named(record)}
    about=${html`<${State} of=${record.state} /> for ${record.caller}, begun <${Time} at=${record.at} />`}
    actions=${!isOver && html`<${Doing} to=${() => post(`runs/${id}/cancel`)}>Cancel<//>`}
    curl=${{ where: `runs/${id}/events`, accept: "text/event-stream" }}
  >
    ${Object.entries(asked.data?.questions ?? {}).map(([name, request]) => html`<${Question} key=${name} name=${name} request=${request} answer=${(response) => answer(name, response)} />`)}
    <${Used} spent=${spent} budget=${record.arguments?.budget} record=${record} />
    <div class="trial">
      <div aria-live="polite"><h2>Transcript</h2><${Transcript} record=${record} events=${events} saying=${saying} /></div>
      <div><h2>Timeline</h2><${Timeline} record=${record} events=${events} /></div>
    </div>
    <p class="quiet">${record.parent && html`Begun by <a href=${`#/runs/${record.parent}`}>another run</a>. `}<small>${id}</small></p>
  <//>`;
}

const said = (result) => result?.content?.map((part) => part.text ?? part.type).join("\n") ?? JSON.stringify(result);

/** What came of it, without what it took. */
const outcome = ({ result, state }) => {
  return plain(result?.output ?? result?.error ?? result) ?? state;
};

function Transcript({ record, events, saying }) {
  const ended = useMemo(() => new Map(events.filter((event) => event.event === "tool.ended").map((event) => [event.call, event])), [events]);
  return html`<ol class="transcript">
    <li><b>${record.caller}</b><p>${typeof record.arguments?.input === "string" ? record.arguments.input : JSON.stringify(record.arguments)}</p></li>
    ${events.map((event) => {
      switch (event.event) {
        case "tool.started": {
          const end = ended.get(event.call);
          return html`<li class="tool"><details>
            <summary>${event.tool} <span class="quiet">${end ? said(end.result)?.slice(0, 120) : "is at work"}</span></summary>
            <${Json} value=${event.arguments} label="Arguments" />${end && html`<${Json} value=${end.result} label="Result" />`}
          </details></li>`;
        }
        case "question":
          return html`<li><b>asks</b><p>${event.request?.params?.message}</p></li>`;
        case "handoff":
          return html`<li class="quiet">${event.from} leaves it to ${event.to}</li>`;
        case "run.ended":
          return html`<li><b>${event.state}</b><p>${outcome(event)}</p></li>`;
      }
    })}
    ${saying.text && html`<li><b>${saying.agent}</b><p>${saying.text}<span class="caret" aria-hidden="true"></span></p></li>`}
  </ol>`;
}

function Used({ spent, budget, record }) {
  const seconds = (spent.millis ?? 0) / 1000;
  const used = { steps: spent.steps, calls: spent.calls, tokens: spent.tokens, cost: spent.money && spent.money / 1e6, seconds: seconds || undefined };
  const most = { ...budget, cost: budget?.money && budget.money / 1e6 };
  const parts = Object.entries(used).filter(([name, count]) => count || most[name]);
  if (!parts.length) return null;
  return html`<dl class="used">
    ${parts.map(([name, count]) => html`<div><dt>${name}</dt><dd>${number(count ?? 0)}${most[name] != null && html` <small class="quiet">of ${number(most[name])}</small>`}</dd></div>`)}
    ${record.epoch > 1 && html`<div><dt>taken up</dt><dd>${number(record.epoch)} <small class="quiet">times</small></dd></div>`}
  </dl>`;
}

/** Bars of what the model, tools and other agents took; time in which it waited for somebody is hatched, and what interrupted it is marked. */
function Timeline({ record, events }) {
  const end = record.ended ? Date.parse(record.ended) : Date.now();
  const bars = useMemo(() => {
    const [open, done] = [new Map(), []];
    let [since, epoch, isWaiting] = [Date.parse(record.at), 1, false];
    const taken = (by, at) => {
      // What waits for an answer, or for another agent, is taken up again for that alone.
      const isMeant = isWaiting || [...open.values()].some((bar) => bar.kind === "agent");
      if (by > epoch && !isMeant) done.push({ kind: "restart", name: "interrupted", from: since, to: at });
      epoch = Math.max(epoch, by);
    };
    events.forEach((event, n) => {
      const at = Date.parse(event.at);
      taken(event.epoch, at);
      isWaiting = event.event === "question" || (isWaiting && event.event !== "step");
      if (event.event === "step") done.push({ kind: "model", name: event.agent, from: since, to: at });
      else if (event.event === "tool.started") open.set(event.call, { kind: event.run ? "agent" : "tool", name: event.tool, from: at });
      else if (event.event === "tool.ended" && open.has(event.call)) {
        done.push({ ...open.get(event.call), to: at });
        open.delete(event.call);
      } else if (event.event === "question") done.push({ kind: "waiting", name: "an answer", from: at, to: events[n + 1] ? Date.parse(events[n + 1].at) : end });
      since = at;
    });
    taken(record.epoch, end);
    return [...done, ...[...open.values()].map((bar) => ({ ...bar, to: end }))].sort((a, b) => a.from - b.from);
  }, [record, events]);
  if (!bars.length) return html`<p class="quiet">Nothing has taken time yet.</p>`;
  return html`<${Bars} bars=${bars} from=${Date.parse(record.at)} to=${end} />`;
}
