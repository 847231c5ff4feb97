// The official TypeScript client, @modelcontextprotocol/client.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { asked, capabilities, drive, job, told, transport } from "./session.mjs";

const require = createRequire(`${process.argv[2]}/`);
const library = (name) => import(pathToFileURL(require.resolve(name)));
const { Client, StreamableHTTPClientTransport } = await library("@modelcontextprotocol/client");
const { StdioClientTransport } = await library("@modelcontextprotocol/client/stdio");

const mode = ["legacy", "auto"].includes(job.era) ? job.era : { pin: job.era };
const info = { name: "interoperability", version: "1.0.0" };
const client = new Client(info, { capabilities, versionNegotiation: { mode } });
for (const [method, answer] of Object.entries(asked)) client.setRequestHandler(method, answer);
for (const [method, hear] of Object.entries(told)) client.setNotificationHandler(method, hear);

await drive(client, transport(StreamableHTTPClientTransport, StdioClientTransport), {
    call: (params, options) => client.callTool(params, options),
    listen: (uri) => {
        if (job.era !== "legacy") return client.listen(uri ? { resourceSubscriptions: [uri] } : { toolsListChanged: true });
        return uri && client.subscribeResource({ uri });
    },
    version: () => client.getNegotiatedProtocolVersion(),
});
