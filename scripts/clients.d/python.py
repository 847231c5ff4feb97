"""The official Python client, mcp."""

import asyncio
import json
import sys

from mcp.client import Client
from mcp.shared.exceptions import MCPError


async def main():
    job = json.load(sys.stdin)
    async with Client(job["url"], mode=job["era"]) as client:
        tools = await client.list_tools()
        answers = [await call(client, **wanted) for wanted in job["calls"]]
        version = client.session.protocol_version
    print(json.dumps({"version": version, "tools": dump(tools)["tools"], "answers": answers}))


async def call(client, tool, arguments, listen):
    heard = []

    async def on_progress(progress, total, message):
        heard.append(progress)

    try:
        result = await client.call_tool(tool, arguments, progress_callback=on_progress if listen else None)
    except MCPError as error:
        return {"error": {"code": error.error.code, "message": error.error.message}}
    return {"result": dump(result), "progress": heard}


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


asyncio.run(main())
