"""The command line of the Inspector, one process a request.

    inspector.py NODE FOLDER
"""

import json
import os
import subprocess
import sys
import tempfile

NODE, FOLDER = sys.argv[1:]
LAUNCHER = f"{FOLDER}/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"


def main():
    job = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as home:
        server = {"type": "streamable-http", "url": job["url"], "protocolEra": job["era"]}
        config = f"{home}/config.json"
        with open(config, "w") as file:
            json.dump({"mcpServers": {"server": server}}, file)

        def inspect(*options):
            command = [NODE, LAUNCHER, "--cli", "--config", config, "--server", "server", "--format=json", *options]
            return subprocess.run(command, env={**os.environ, "HOME": home}, stdin=subprocess.DEVNULL, capture_output=True, text=True)

        listed = inspect("--method=tools/list")
        if listed.returncode != 0:
            sys.exit(listed.stderr)
        tools = json.loads(listed.stdout)["result"]["tools"]
        answers = [call(inspect, **wanted) for wanted in job["calls"]]
    print(json.dumps({"version": version(answers), "tools": tools, "answers": answers}))


def version(answers):
    """The revision that was agreed on, which it does not say: results of the modern era name their server."""
    signed = ["io.modelcontextprotocol/serverInfo" in answer["result"].get("_meta", {}) for answer in answers if "result" in answer]
    return "2026-07-28" if all(signed) else "2025-11-25"


def call(inspect, tool, arguments, listen):
    done = inspect("--method=tools/call", f"--tool-name={tool}", f"--tool-args-json={json.dumps(arguments)}")
    if done.stdout.strip():
        return {"result": json.loads(done.stdout)["result"], "progress": []}
    # It looks a tool up in the list before it calls it.
    said = json.loads(done.stderr.strip().splitlines()[-1])["error"]
    return {"error": {"code": said["code"], "message": said["message"]}}


main()
