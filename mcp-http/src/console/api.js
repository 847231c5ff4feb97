// What the console asks of the server: its public REST, and nothing else.

export const base = new URL(document.querySelector('meta[name="api"]').content, document.baseURI);

/** What the server is, and what of it there is for who has signed in: /system. */
export const about = {};

/** What the server says of why it does not do something (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? body?.title ?? `the server answers ${status}`);
    this.status = status;
    this.errors = body?.errors ?? [];
  }
}

const refusals = new Set();

/** Calls `told` whenever the server does not know who asks. */
export const onRefused = (told) => {
  refusals.add(told);
  return () => refusals.delete(told);
};

/** A path with a query, of which nothing is left that is empty. */
export function path(start, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value != null && value !== "");
  return kept.length ? `${start}?${new URLSearchParams(kept)}` : start;
}

async function send(method, where, { body, headers, signal } = {}) {
  const request = {
    method,
    signal,
    credentials: "same-origin",
    // A page of another host cannot send this one along with the cookie.
    headers: { accept: "application/json", "x-requested-by": "console", ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  };
  let response;
  for (let turn = 1; !response; turn++) {
    try {
      response = await fetch(new URL(where, base), request);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (method !== "GET" || turn === 3) throw new Problem(0, { detail: "the server does not answer" });
      // Where one replica has gone, another one answers.
      await new Promise((resume) => setTimeout(resume, turn * 300));
    }
  }
  // A server that is down answers what it is asked for, and says by its status that it is down.
  if (response.ok || response.headers.get("content-type") === "application/json") return response;
  const problem = new Problem(response.status, await response.json().catch(() => undefined));
  if (response.status === 401) refusals.forEach((told) => told(problem));
  throw problem;
}

export async function ask(method, where, options) {
  const response = await send(method, where, options);
  return response.status === 204 ? undefined : response.json();
}

export const get = (where, options) => ask("GET", where, options);
export const post = (where, body = {}, options) => ask("POST", where, { ...options, body });

/** Reads a stream of events: `told(event, data, id)` for each. It ends when the server ends it, or with `signal`. */
export async function events(method, where, told, options = {}) {
  const response = await send(method, where, { ...options, headers: { accept: "text/event-stream", ...options.headers } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const fields = {};
      for (const line of rest.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      rest = rest.slice(end + 2);
      if (fields.data) told(fields.event ?? "message", JSON.parse(fields.data), fields.id);
    }
  }
}

/** A text for a shell. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(method, where, { body, accept } = {}) {
  const words = ["curl", "-s"];
  if (method !== "GET") words.push("-X", method);
  words.push(quoted(new URL(where, base).href));
  if (!about.is_open) words.push("-H", '"Authorization: Bearer $API_KEY"');
  if (accept) words.push("-N", "-H", quoted(`Accept: ${accept}`));
  if (body !== undefined) words.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(body)));
  return words.join(" ");
}
