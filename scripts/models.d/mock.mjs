// Serves the APIs of providers, in the package's folder that is given: what they answer follows from what the user says. Prints where
// it is, and serves until its stdin ends.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder] = process.argv.slice(2);
const { LLMock } = await import(pathToFileURL(join(folder, "node_modules/@copilotkit/aimock/dist/index.js")).href);

const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 8 });
const says = (userMessage, response, more = {}) => mock.addFixture({ match: { userMessage }, response, ...more });

mock.addFixture({ match: { hasToolResult: true }, response: { content: "The sum is three." } });
says("greet", { content: "Good day to you, and to all of yours." });
// The tool is called as the provider was told of it.
says("two calls", (request) => {
  const call = (id, a, b) => ({ id, name: request.tools[0].function.name, arguments: JSON.stringify({ a, b }) });
  return { toolCalls: [call("call_one", 1, 2), call("call_two", 3, 4)] };
});
says("be cut", { content: "This is long, and it is never told to its end, whoever waits for it." }, {
  // What it has written is on its way before it is cut.
  latency: 20,
  truncateAfterChunks: 3,
});
says("be slow", { error: { message: "slowly", type: "rate_limit_error" }, status: 429, retryAfter: 7 });
says("break", { error: { message: "it broke", type: "server_error" }, status: 500 });
says("garble", { content: "never told" }, { chaos: { malformedRate: 1 } });
says("hang up", { content: "never told" }, { chaos: { disconnectRate: 1 } });

console.log(await mock.start());
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
