// What agents do: what was said on the left, what took how long on the right.

import { html, useEffect, useMemo, useState } from "../vendor.js";
import { events, path, post } from "../api.js";
import { Dialog, Doing, Empty, Form, Json, List, Page, State, Time, Waiting, millis, number, useAnswer, usePages } from "../kit.js";
import { useLive } from "../live.js";
import { Question } from "./tools.js";

export function Runs({ about, rest, query }) {
  return rest[0] ? html`<${Run} key=${rest[0]} id=${rest[0]} about=${about} />` : html`<${All} query=${query} about=${about} />`;
}

const STATES = ["queued", "running", "waiting", "completed", "failed", "cancelled"];

function All({ query, about }) {
  const live = useLive();
  const [isStarting, start] = useState(false);
  const where = path("runs", { ...query, limit: 50 });
  const runs = usePages(where, "before", "runs", live.runs);
  const set = (event) => (location.hash = `#/${path("runs", { ...query, state: event.target.value })}`);
  return html`<${Page} title="Runs" actions=${html`<button class="main" onClick=${() => start(true)}>Start an agent</button>`} curl=${{ where, isOpen: about.is_open }}>
    <form class="filters"><label>State
      <select value=${query.state ?? ""} onChange=${set}><option value="">any</option>${STATES.map((state) => html`<option value=${state}>${state}</option>`)}</select>
    </label></form>
    <${List}
      of=${runs}
      label="Runs"
      head=${["Of", "State", "Caller", "Begun", "Took"]}
      rows=${runs.items.map(
        (run) => html`<tr tabindex="0" key=${run.id}>
          <td><a href=${`#/runs/${run.id}`}>${named(run)}</a></td>
          <td><${State} of=${run.state} /></td>
          <td>${run.caller}</td>
          <td><${Time} at=${run.at} /></td>
          <td class="figure">${run.ended ? millis(Date.parse(run.ended) - Date.parse(run.at)) : "–"}</td>
        </tr>`,
      )}
      empty=${html`<${Empty} command="mcp-http runs start assistant 'What can you do?' --watch">There are no runs ${query.state ? "in that state" : "yet"}.<//>`}
    />
    ${isStarting && html`<${Start} close=${() => start(false)} />`}
  <//>`;
}

/** What a run is called. */
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

function Run({ id, about }) {
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
  const spent = events.findLast((event) => event.spent)?.spent ?? {};
  const budget = record.arguments?.budget;
  return html`<${Page}
    title=${named(record)}
    about=${html`<${State} of=${record.state} /> for ${record.caller}, begun <${Time} at=${record.at} />${spent.tokens && `, ${number(spent.tokens)} tokens`}${spent.money && `, cost ${number(spent.money / 1e6)}`}${budget && `, of a budget of ${JSON.stringify(budget)}`}`}
    actions=${!isOver && html`<${Doing} to=${() => post(`runs/${id}/cancel`)}>Cancel<//>`}
    curl=${{ where: `runs/${id}/events`, accept: "text/event-stream", isOpen: about.is_open }}
  >
    ${Object.entries(asked.data?.questions ?? {}).map(([name, request]) => html`<${Question} key=${name} name=${name} request=${request} answer=${(response) => answer(name, response)} />`)}
    <div class="trial">
      <div aria-live="polite"><h2>Transcript</h2><${Transcript} record=${record} events=${events} saying=${saying} /></div>
      <div><h2>Timeline</h2><${Timeline} record=${record} events=${events} /></div>
    </div>
    <p class="quiet">${record.parent && html`Begun by <a href=${`#/runs/${record.parent}`}>another run</a>. `}<small>${id}</small></p>
  <//>`;
}

const said = (result) => result?.content?.map((part) => part.text ?? part.type).join("\n") ?? JSON.stringify(result);

function Transcript({ record, events, saying }) {
  return html`<ol class="transcript">
    <li><b>${record.caller}</b><p>${typeof record.arguments?.input === "string" ? record.arguments.input : JSON.stringify(record.arguments)}</p></li>
    ${events.map((event) => {
      switch (event.event) {
        case "step":
          return event.text && html`<li><b>${event.agent}</b><p>${event.text}</p></li>`;
        case "tool.started":
          return html`<li class="tool"><details><summary>${event.tool}</summary><${Json} value=${event.arguments} /></details></li>`;
        case "tool.ended":
          return html`<li class="tool"><details><summary>${event.tool}: ${said(event.result)?.slice(0, 120)}</summary><${Json} value=${event.result} /></details></li>`;
        case "question":
          return html`<li><b>${event.agent ?? "asks"}</b><p>${event.request?.params?.message}</p></li>`;
        case "handoff":
          return html`<li class="quiet">${event.from} → ${event.to}</li>`;
        case "run.ended":
          return html`<li><b>${event.state}</b><p>${typeof event.result === "string" ? event.result : JSON.stringify(event.result)}</p></li>`;
      }
    })}
    ${saying.text && html`<li><b>${saying.agent}</b><p>${saying.text}<span class="caret" aria-hidden="true"></span></p></li>`}
  </ol>`;
}

/** Bars of what the model, tools and other agents took; time in which it waited for somebody is hatched. */
function Timeline({ record, events }) {
  const end = record.ended ? Date.parse(record.ended) : Date.now();
  const bars = useMemo(() => {
    const [open, done] = [new Map(), []];
    let since = Date.parse(record.at);
    events.forEach((event, n) => {
      const at = Date.parse(event.at);
      if (event.event === "step") done.push({ kind: "model", name: event.agent, from: since, to: at });
      else if (event.event === "tool.started") open.set(event.call, { kind: event.run ? "agent" : "tool", name: event.tool, from: at });
      else if (event.event === "tool.ended" && open.has(event.call)) {
        done.push({ ...open.get(event.call), to: at });
        open.delete(event.call);
      } else if (event.event === "question") done.push({ kind: "waiting", name: event.name, from: at, to: events[n + 1] ? Date.parse(events[n + 1].at) : end });
      since = at;
    });
    return [...done, ...[...open.values()].map((bar) => ({ ...bar, to: end }))].sort((a, b) => a.from - b.from);
  }, [record, events]);
  if (!bars.length) return html`<p class="quiet">Nothing has taken time yet.</p>`;
  const start = Date.parse(record.at);
  const whole = Math.max(1, end - start);
  return html`<ol class="timeline">
    ${bars.map(
      (bar) => html`<li>
        <span>${bar.name}</span>
        <svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${`${bar.kind} ${bar.name}: ${millis(bar.to - bar.from)}`}>
          <rect class=${bar.kind} x=${((bar.from - start) / whole) * 100} width=${Math.max(0.5, ((bar.to - bar.from) / whole) * 100)} height="10" rx="1" />
        </svg>
        <span class="figure">${millis(bar.to - bar.from)}</span>
      </li>`,
    )}
  </ol>`;
}
