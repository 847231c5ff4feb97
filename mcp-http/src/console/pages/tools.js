// Let me try it: each tool with its form, and beside it what came of a call.

import { html, useEffect, useRef, useState } from "../vendor.js";
import { Problem, about, ask, curl, events, path, quoted } from "../api.js";
import { Doing, Empty, Folded, Json, List, Page, Spark, State, Waiting, millis, number, plain, useAnswer, useLiveAnswer, usePages } from "../kit.js";
import { Arguments, Fields, initial } from "../form.js";

export function Tools({ rest, query }) {
  return rest[0] ? html`<${Tool} key=${rest[0]} name=${rest[0]} again=${query.again} />` : html`<${All} />`;
}

function All() {
  const [text, find] = useState("");
  const tools = usePages("tools?limit=500", "after", "tools");
  const used = useLiveAnswer(path("stats", { measure: "calls", by: "tool" }), "calls");
  const series = Object.fromEntries(used.data?.series.map((series) => [series.name, series]) ?? []);
  const isOperating = about.parts.includes("operating");
  const off = useAnswer(isOperating && "tools?enabled=false");
  const reload = () => (tools.reload(), off.reload());
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...tools.items, ...(off.data?.tools ?? []).map((tool) => ({ ...tool, isOff: true }))];
  const found = all.filter((tool) => words.every((word) => `${tool.name} ${tool.title ?? ""} ${tool.description}`.toLowerCase().includes(word)));
  return html`<${Page} title="Tools" curl="tools">
    <input type="search" aria-label="Find a tool" placeholder="Find a tool ( / )" value=${text} onInput=${(event) => find(event.target.value)} />
    <${List}
      of=${tools}
      label="Tools"
      head=${["Name", ["What it does", "wide"], ["Calls, last hour", "figure"], "Over that time", ...(isOperating ? ["Offered"] : [])]}
      rows=${found.map((tool) => {
        const { name, title = name } = tool;
        return [
          name,
          html`${tool.isOff ? title : html`<a href=${`#/tools/${encodeURIComponent(name)}`}>${title}</a>`}${title !== name && html`<br /><small class="quiet">${name}</small>`}`,
          tool.description.split("\n")[0],
          number(series[name]?.total || null),
          html`<${Spark} values=${series[name]?.values ?? []} label=${`Calls of ${name} over the last hour`} />`,
          ...(isOperating ? [html`<${Switch} tool=${tool} reload=${reload} />`] : []),
        ];
      })}
      empty=${html`<${Empty} command="mcp-http list">${all.length ? "No tool has that in its name or description." : "There are no tools that you may see."}<//>`}
    />
  <//>`;
}

function Tool({ name, again }) {
  const place = `tools/${encodeURIComponent(name)}`;
  const tool = useAnswer(place);
  // What was called before is written down once more.
  const earlier = useAnswer(again && `calls/${again}`);
  if (!tool.data || (again && !earlier.data && !earlier.problem)) return html`<${Page} title=${name}><${Waiting} answer=${tool} /><//>`;
  const begin = earlier.data?.arguments ?? initial(tool.data.inputSchema);
  return html`<${Page} title=${tool.data.title ?? name} about=${tool.data.description}>
    <${Trial} place=${place} name=${name} tool=${tool.data} begin=${begin} />
  <//>`;
}

/** Whether a tool is offered, on every replica and to all callers. */
function Switch({ tool, reload }) {
  const turn = async () => {
    await ask("PATCH", `tools/${encodeURIComponent(tool.name)}`, { body: { enabled: Boolean(tool.isOff) } });
    reload();
  };
  return html`<${Doing} class="small" to=${turn} title=${`${tool.name}, on every replica and for all callers`}>${tool.isOff ? "Switch on" : "Switch off"}<//>`;
}

function Trial({ place, name, tool, begin }) {
  const [values, change] = useState(begin);
  const [call, told] = useState();
  const leave = useRef();
  useEffect(() => () => leave.current?.abort(), []);

  const follow = async (step, body) => {
    leave.current?.abort();
    leave.current = new AbortController();
    const begun = performance.now();
    const say = (change) => told((before) => ({ ...before, ...change }));
    told({ isRunning: true, said: [] });
    try {
      await events(
        "POST",
        `${place}/${step}`,
        (event, data) => {
          if (event === "result") say({ isRunning: false, result: data, took: performance.now() - begun });
          else if (event === "problem") say({ isRunning: false, problem: new Problem(data.status, data), took: performance.now() - begun });
          else told((before) => ({ ...before, said: [...before.said, [event, data]].slice(-200) }));
        },
        { body, signal: leave.current.signal },
      );
      say({ isRunning: false });
    } catch (problem) {
      if (problem.name !== "AbortError") say({ isRunning: false, problem });
    }
  };
  const send = () => follow("call", values);
  const answer = (responses) => follow("answer", { arguments: values, inputResponses: responses, requestState: call.result.requestState });
  return html`<div class="trial">
    <div>
      <h2>Arguments</h2>
      <${Arguments} schema=${tool.inputSchema} value=${values} change=${change} send=${send} />
      <${Elsewhere} place=${place} name=${name} values=${values} />
    </div>
    <div aria-live="polite">
      <h2>Result ${call?.took != null && html`<small class="quiet">${millis(call.took)}</small>`}</h2>
      ${call ? html`<${Result} call=${call} answer=${answer} stop=${() => (leave.current.abort(), told({ ...call, isRunning: false }))} />` : html`<p class="quiet">What the tool says stands here.</p>`}
    </div>
  </div>`;
}

function Result({ call, answer, stop }) {
  const progress = call.said.findLast(([event]) => event === "progress")?.[1];
  const logs = call.said.filter(([event]) => event === "log");
  const { result, problem } = call;
  return html`${call.isRunning && html`<p><progress value=${progress?.progress} max=${progress?.total}></progress> ${progress?.message} <button class="small" onClick=${stop}>Stop</button></p>`}
    ${logs.map(([, line]) => html`<p class="quiet">${line.level}: ${plain(line.data)}</p>`)}
    ${problem && html`<p class="trouble" role="alert">${problem.message}</p>`} ${problem?.errors.map((error) => html`<p class="trouble"><code>${error.pointer}</code> ${error.detail}</p>`)}
    ${result?.resultType === "input_required" && html`<${Questions} requests=${result.inputRequests} answer=${answer} />`}
    ${result?.isError && html`<p><${State} of="error" /> The tool says that it failed.</p>`} ${result?.content?.map((part) => html`<${Content} part=${part} />`)}
    ${result?.structuredContent !== undefined && html`<${Json} value=${result.structuredContent} label="Structured result" />`}`;
}

function Content({ part }) {
  if (part.type === "text") return html`<${Json} value=${part.text} label="Text" />`;
  const source = `data:${part.mimeType};base64,${part.data}`;
  if (part.type === "image") return html`<img src=${source} alt="What the tool shows" />`;
  if (part.type === "audio") return html`<audio controls src=${source}></audio>`;
  return html`<${Json} value=${part} label=${part.type} />`;
}

function Questions({ requests, answer }) {
  return Object.entries(requests).map(([key, request]) => html`<${Question} key=${key} name=${key} request=${request} answer=${(response) => answer({ [key]: response })} />`);
}

export function Question({ name, request, answer }) {
  const params = request.params ?? {};
  const schema = params.requestedSchema ?? { properties: {} };
  const [values, change] = useState(() => initial(schema));
  if (request.method !== "elicitation/create") return html`<p class="trouble">${name}: it asks for ${request.method}, which nobody here can answer.</p>`;
  const isUrl = params.mode === "url";
  const needed = schema.required ?? Object.keys(schema.properties);
  // What is yes or no, and nothing else that must be said, is one click.
  const yes = needed.length === 1 && schema.properties[needed[0]]?.type === "boolean" && needed[0];
  const { [yes]: _, ...others } = schema.properties ?? {};
  const accept = (content) => answer({ action: "accept", ...(isUrl ? {} : { content }) });
  const say = (word, kind) => html`<${Doing} class=${kind} to=${() => accept({ ...values, [yes]: word === "Yes" })}>${word}<//> `;
  return html`<form class="question" onSubmit=${(event) => (event.preventDefault(), yes || accept(values))}>
    <p><strong>${params.message}</strong></p>
    ${isUrl && html`<p><a href=${/^https?:/.test(params.url) ? params.url : undefined} target="_blank" rel="noreferrer noopener">${params.url}</a></p>`}
    ${yes && Object.keys(others).length > 0 && html`<${Fields} schema=${{ ...schema, properties: others }} value=${values} change=${change} />`}
    ${yes ? html`${say("Yes", "main")}${say("No")}` : html`${!isUrl && html`<${Fields} schema=${schema} value=${values} change=${change} />`} <${Doing} class="main" to=${() => accept(values)}>Answer<//> `}
    <${Doing} to=${() => answer({ action: "decline" })}>Decline<//>
  </form>`;
}

function Elsewhere({ place, name, values }) {
  const word = ([key, value]) => {
    const pair = `${key}${typeof value === "object" ? ":=" : "="}${plain(value)}`;
    return /^[\w.,:=@/+-]+$/.test(pair) ? pair : quoted(pair);
  };
  const command = ["mcp-http call", name, ...Object.entries(values).map(word)].join(" ");
  const rust = `let result = TestClient::new(server).call("${name}", json!(${JSON.stringify(values)})).await;`;
  const same = { curl: curl("POST", `${place}/call`, { body: values }), "Command line": command, "Rust test": rust };
  return Object.entries(same).map(([name, text]) => html`<${Folded} name=${name} text=${text} />`);
}
