// Servers to be looked at, with a model that says what it is told to.

import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as listen, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const program = process.env.PROGRAM;
const started = [];

process.on("exit", () => {
  for (const { child, folder } of started) {
    child?.kill("SIGKILL");
    if (folder) rmSync(folder, { recursive: true, force: true });
  }
});

export const pause = (millis) => new Promise((resume) => setTimeout(resume, millis));

/** Asks until it is so, for so many seconds at the most. */
export async function until(what, ask, seconds = 30) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(50)) {
    if (await ask()) return;
  }
  throw new Error(`it did not come to pass: ${what}`);
}

export const freePort = () =>
  new Promise((told) => {
    const server = listen().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => told(port));
    });
  });

/** A model: it writes a note where it has not done so yet, and then takes its time and says that it has. */
export async function scripted(millis = 0) {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const asked = JSON.parse(body);
    const write = asked.tools?.find((tool) => tool.function.name.includes("write"))?.function.name;
    const isDone = asked.messages.at(-1).role === "tool" || !write;
    if (isDone) await pause(millis);
    const call = { index: 0, id: "call", type: "function", function: { name: write, arguments: JSON.stringify({ name: "of-an-agent", text: "Milk, and bread." }) } };
    const said = isDone ? { content: "It is noted: milk, and bread." } : { tool_calls: [call] };
    const chunks = [
      { model: "scripted", choices: [{ index: 0, delta: { role: "assistant", ...said } }] },
      { choices: [{ index: 0, delta: {}, finish_reason: isDone ? "stop" : "tool_calls" }] },
      { choices: [], usage: { prompt_tokens: 20, completion_tokens: 5 } },
    ];
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("") + "data: [DONE]\n\n");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  server.unref();
  return `http://127.0.0.1:${server.address().port}/v1`;
}

export class House {
  /** A server with these settings, in a folder of its own; what becomes one is the bundled server if nothing else is said. */
  static async open(settings = {}, folder = mkdtempSync(join(tmpdir(), "console-")), server = program) {
    const house = new House();
    house.folder = folder;
    house.settings = { PATH: process.env.PATH, HOME: folder, PORT: String(await freePort()), LOG_LEVEL: "warn", ...settings };
    house.url = `http://127.0.0.1:${house.settings.PORT}`;
    house.child = spawn(server, ["serve"], { cwd: folder, env: house.settings, stdio: ["ignore", "pipe", "inherit"] });
    house.child.stdout.resume();
    started.push(house);
    await until("a server is ready", () => fetch(`${house.url}/health/ready`).then((answer) => answer.ok, () => false));
    return house;
  }

  /** Runs a command as it stands in a page, in the server's folder. */
  run(line) {
    const command = line.replace(/\bmcp-http\b/g, `"${program}"`);
    // The model that it may ask is in this process.
    return new Promise((told) => {
      execFile("bash", ["-c", command], { cwd: this.folder, env: this.settings, timeout: 60_000 }, (error, stdout, stderr) => told({ status: error ? (error.code ?? -1) : 0, stdout, stderr }));
    });
  }

  async ask(method, path, body) {
    const answer = await fetch(`${this.url}${path}`, { method, headers: body === undefined ? {} : { "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, text, body: text.startsWith("{") ? JSON.parse(text) : undefined };
  }

  call(tool, values = {}) {
    return this.ask("POST", `/api/v1/tools/${tool}/call`, values);
  }

  kill() {
    this.child.kill("SIGKILL");
  }

  /** Ends it as a deployment does. */
  async stop() {
    const ended = new Promise((told) => this.child.once("exit", told));
    this.child.kill("SIGTERM");
    await ended;
  }
}

/** Gives each connection to the next of several servers that takes it, as a balancer does. */
export async function balancer(houses) {
  let turn = 0;
  const server = listen((client) => {
    const reach = (left) => {
      if (!left) return client.destroy();
      const house = houses[turn++ % houses.length];
      const there = connect(Number(house.settings.PORT), "127.0.0.1");
      there.once("error", () => (there.connecting || !there.bytesRead ? reach(left - 1) : client.destroy()));
      there.once("connect", () => {
        client.pipe(there).pipe(client);
        for (const [one, other] of [[client, there], [there, client]]) one.on("close", () => other.destroy());
      });
    };
    client.on("error", () => {});
    reach(houses.length);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  server.unref();
  return `http://127.0.0.1:${server.address().port}`;
}
