"""The official Python client, mcp."""

import json
import sys

import anyio
from mcp import types
from mcp.client import Client, session
from mcp.client.stdio import StdioServerParameters
from mcp.client.subscriptions import ToolsListChanged
from mcp.shared.exceptions import MCPError

JOB = json.load(sys.stdin)
ANSWERS = JOB["answers"]
PATIENCE = 60
# On a busy machine a server may take longer to start than this client waits before it falls back to the older era.
session.DISCOVER_TIMEOUT_SECONDS = PATIENCE


class Heard:
    """What the server has said by itself."""

    def __init__(self):
        self.changes, self.complaints, self.more = set(), [], anyio.Event()

    async def __call__(self, message):
        if isinstance(message, Exception):
            self.complaints.append(repr(message))
        elif isinstance(message, types.ToolListChangedNotification):
            self.changes.add("the tools")
        elif isinstance(message, types.ResourceUpdatedNotification):
            self.changes.add(str(message.params.uri))
        self.more.set()
        self.more = anyio.Event()


async def fill_in(_, params):
    known = {name: ANSWERS["form"][name] for name in params.requested_schema["properties"]}
    return types.ElicitResult(action="accept", content=known)


async def sample(_, params):
    text = types.TextContent(type="text", text=ANSWERS["model"])
    return types.CreateMessageResult(role="assistant", content=text, model="a model")


async def roots(_):
    return types.ListRootsResult(roots=[types.Root(uri=uri) for uri in ANSWERS["roots"]])


async def main():
    heard = Heard()
    server = JOB.get("url") or StdioServerParameters(
        command=JOB["command"], env=JOB["environment"], cwd=JOB["folder"]
    )
    client = Client(
        server,
        mode=JOB["era"],
        elicitation_callback=fill_in,
        sampling_callback=sample,
        list_roots_callback=roots,
        message_handler=heard,
    )
    async with client:
        answers = [await attempt(client, heard, **step) for step in JOB["steps"]]
        version = client.protocol_version
    print(json.dumps({"version": version, "answers": answers, "complaints": heard.complaints}))


async def attempt(client, heard, do, **step):
    try:
        match do:
            case "list":
                return {"result": dump(await lister(client, **step)())}
            case "call":
                return await call(client, **step)
            case "read":
                return {"result": dump(await client.read_resource(step["uri"]))}
            case "prompt":
                return {"result": dump(await client.get_prompt(step["name"], step["arguments"]))}
            case "listen":
                with anyio.fail_after(PATIENCE):
                    return {"heard": [await listen(client, heard, **step)]}
            case "cancel":
                return await cancel(client, **step)
    except MCPError as error:
        return {"error": {"code": error.error.code, "message": error.error.message}}


def lister(client, what):
    return {
        "tools": client.list_tools,
        "resources": client.list_resources,
        "resourceTemplates": client.list_resource_templates,
        "prompts": client.list_prompts,
    }[what]


async def call(client, tool, arguments, listen):
    progress = []

    async def on_progress(done, total, message):
        progress.append(done)

    result = await client.call_tool(tool, arguments, progress_callback=on_progress if listen else None)
    return {"result": dump(result), "progress": progress}


async def listen(client, heard, trigger, uri=None):
    if client.protocol_version >= "2026":
        wanted = {"resource_subscriptions": [uri]} if uri else {"tools_list_changed": True}
        async with client.listen(**wanted) as listening:
            await client.call_tool(trigger)
            event = await anext(listening)
        return "the tools" if isinstance(event, ToolsListChanged) else event.uri
    if uri:
        await client.session.subscribe_resource(uri)
    wanted = uri or "the tools"
    # The stream on which it is told may be opened only now.
    while wanted not in heard.changes:
        more = heard.more
        await client.call_tool(trigger)
        with anyio.move_on_after(1):
            await more.wait()
    return wanted


async def cancel(client, call):
    with anyio.CancelScope() as scope:

        async def on_progress(done, total, message):
            scope.cancel()

        await client.call_tool("wait", {"call": call}, progress_callback=on_progress)
    return {"result": dump(await client.call_tool("look", {"call": call, "stands": "cancelled"}))}


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


anyio.run(main)
