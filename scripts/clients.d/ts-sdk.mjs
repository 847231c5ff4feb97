// The older official TypeScript client, @modelcontextprotocol/sdk.
import { createRequire } from "node:module";
import { asked, capabilities, drive, told, transport } from "./session.mjs";

const require = createRequire(`${process.argv[2]}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const types = require("@modelcontextprotocol/sdk/types.js");

const schemas = {
    "elicitation/create": types.ElicitRequestSchema,
    "sampling/createMessage": types.CreateMessageRequestSchema,
    "roots/list": types.ListRootsRequestSchema,
    "notifications/tools/list_changed": types.ToolListChangedNotificationSchema,
    "notifications/resources/updated": types.ResourceUpdatedNotificationSchema,
};
const client = new Client({ name: "interoperability", version: "1.0.0" }, { capabilities });
for (const [method, answer] of Object.entries(asked)) client.setRequestHandler(schemas[method], answer);
for (const [method, hear] of Object.entries(told)) client.setNotificationHandler(schemas[method], hear);

const way = transport(StreamableHTTPClientTransport, StdioClientTransport);
let agreed;
const agree = way.setProtocolVersion?.bind(way);
way.setProtocolVersion = (version) => {
    agreed = version;
    agree?.(version);
};
await drive(client, way, {
    call: (params, options) => client.callTool(params, undefined, options),
    listen: (uri) => uri && client.subscribeResource({ uri }),
    version: () => agreed,
});
