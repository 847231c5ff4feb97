"""The command line of the Inspector, one process a request.

    inspector.py NODE FOLDER
"""

import json
import os
import signal
import subprocess
import sys
import tempfile

NODE, FOLDER = sys.argv[1:]
LAUNCHER = f"{FOLDER}/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
JOB = json.load(sys.stdin)
METHODS = {
    "tools": "tools/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
    "prompts": "prompts/list",
}


class Inspector:
    """Its command line, told of the one server."""

    def __init__(self, home):
        self.home, self.config = home, f"{home}/config.json"
        server = {"type": "streamable-http", "url": JOB["url"]} if "url" in JOB else stdio()
        server |= {"protocolEra": JOB["era"], "roots": [{"uri": uri} for uri in JOB["answers"]["roots"]]}
        with open(self.config, "w") as file:
            json.dump({"mcpServers": {"server": server}}, file)

    def start(self, *options):
        known = ["--config", self.config, "--server", "server", "--connect-timeout=60000"]
        command = [NODE, LAUNCHER, "--cli", *known, "--format=json", *options]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # What node has compiled once it finds again.
        environment = {**os.environ, "HOME": self.home, "NODE_COMPILE_CACHE": f"{self.home}/compiled"}
        return subprocess.Popen(command, env=environment, text=True, **streams)

    def ask(self, *options):
        """The result, or the error, of a request."""
        process = self.start(*options)
        result, said = process.communicate()
        if result.strip():
            return {"result": json.loads(result)["result"]}
        error = json.loads(said.strip().splitlines()[-1])["error"]
        return {"error": {"code": error["code"], "message": error["message"]}}

    def call(self, tool, arguments):
        return self.ask("--method=tools/call", f"--tool-name={tool}", f"--tool-args-json={json.dumps(arguments)}")


def stdio():
    return {"type": "stdio", "command": JOB["command"], "args": [], "env": JOB["environment"], "cwd": JOB["folder"]}


def main():
    with tempfile.TemporaryDirectory() as home:
        inspector = Inspector(home)
        answers = [attempt(inspector, **step) for step in JOB["steps"]]
    print(json.dumps({"version": version(answers), "answers": answers, "complaints": []}))


def version(answers):
    """The revision that was agreed on, which it does not say: results of the modern era name their server."""
    signed = ["io.modelcontextprotocol/serverInfo" in answer["result"].get("_meta", {}) for answer in answers if "content" in answer.get("result", {})]
    return "2026-07-28" if all(signed) else "2025-11-25"


def attempt(inspector, do, **step):
    match do:
        case "list":
            return inspector.ask(f"--method={METHODS[step['what']]}")
        case "call":
            return inspector.call(step["tool"], step["arguments"]) | {"progress": []}
        case "read":
            return inspector.ask("--method=resources/read", f"--uri={step['uri']}")
        case "prompt":
            given = [f"{name}={value}" for name, value in step["arguments"].items()]
            return inspector.ask("--method=prompts/get", f"--prompt-name={step['name']}", *(["--prompt-args", *given] if given else []))
        case "listen" if "uri" in step:
            return inspector.ask("--method=resources/subscribe", f"--uri={step['uri']}")
        case "cancel" if JOB["era"] == "modern" and "url" in JOB:
            return cancel(inspector, **step)
    return {"error": {"code": 0, "message": "there is no way to do it"}}


def cancel(inspector, call):
    process = inspector.start("--method=tools/call", "--tool-name=wait", f"--tool-args-json={json.dumps({'call': call})}")
    inspector.call("look", {"call": call, "stands": "begun"})
    # As who sits at a terminal does.
    process.send_signal(signal.SIGINT)
    process.communicate()
    return inspector.call("look", {"call": call, "stands": "cancelled"})


main()
