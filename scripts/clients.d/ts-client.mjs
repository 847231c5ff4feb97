// The official TypeScript client, @modelcontextprotocol/client.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { drive, job } from "./session.mjs";

const library = createRequire(`${process.argv[2]}/`).resolve("@modelcontextprotocol/client");
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(library));

const mode = ["legacy", "auto"].includes(job.era) ? job.era : { pin: job.era };
const client = new Client({ name: "interoperability", version: "1.0.0" }, { versionNegotiation: { mode } });
await drive(
    client,
    new StreamableHTTPClientTransport(new URL(job.url)),
    (params, options) => client.callTool(params, options),
    () => client.getNegotiatedProtocolVersion(),
);
