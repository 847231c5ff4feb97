// The older official TypeScript client, @modelcontextprotocol/sdk.
import { createRequire } from "node:module";
import { drive, job } from "./session.mjs";

const require = createRequire(`${process.argv[2]}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const client = new Client({ name: "interoperability", version: "1.0.0" });
const transport = new StreamableHTTPClientTransport(new URL(job.url));
await drive(
    client,
    transport,
    (params, options) => client.callTool(params, undefined, options),
    () => transport.protocolVersion,
);
