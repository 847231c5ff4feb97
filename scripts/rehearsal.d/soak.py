"""What scripts/soak needs beside servers.

    soak.py users URL SINK_PORT SECONDS   whoever uses the server beside the load, until SIGTERM; then all that came of it, as JSON
    soak.py watch PID PORT POOLED...      each second: the time, the memory of a process, its open files but for the connections that clients
                                          of PORT hold open and those to the ports POOLED, and how many the latter are
    soak.py judge FOLDER [--short]        whether all that is promised holds
"""

import collections
import datetime
import http.client
import http.server
import json
import os
import signal
import sys
import threading
import time
import uuid

# An outage is counted until at most so long after its server accepts again, in seconds.
AFTERWARDS = 5
# What a server may answer meanwhile, and where the answer had begun.
ALLOWED = {"http 503", "rpc -32603"}
# How many sessions of the older era are opened and left.
SESSIONS = 10_000
# Memory is judged from here on, in seconds, and where so much is left behind it.
WARM, LEAST = 600, 600
# So long after an outage it may still be at work on what was left then, in seconds.
SETTLED = 60
MODERN = "2026-07-28"


class Sink(http.server.BaseHTTPRequestHandler):
    """A language model that says what it is told to, and whoever is told of alerts."""

    protocol_version = "HTTP/1.1"
    told = []

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/alert":
            self.told.append(asked)
            return self.answer(b"", "text/plain")
        delta, end = {"content": "It is noted."}, "stop"
        if asked["messages"][-1]["role"] != "tool":
            name = next(tool["function"]["name"] for tool in asked["tools"] if "write" in tool["function"]["name"])
            arguments = json.dumps({"name": f"of-an-agent-{time.time_ns() % 50}", "text": "What an agent has noted."})
            delta, end = {"tool_calls": [{"index": 0, "id": "call", "type": "function", "function": {"name": name, "arguments": arguments}}]}, "tool_calls"
        said = [
            {"model": "scripted", "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]},
            {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5}},
        ]
        self.answer("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in said).encode() + b"data: [DONE]\n\n", "text/event-stream")

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Failed(Exception):
    pass


class Client:
    """One connection to the server, which is made again where it was closed."""

    def __init__(self, url):
        self.host, self.connection = url.removeprefix("http://"), None

    def ask(self, method, path, body=None, headers=None, allowed=()):
        headers = {"Authorization": "Bearer " + os.environ["API_KEY"], "Content-Type": "application/json", **(headers or {})}
        body = json.dumps(body) if isinstance(body, dict) else body
        # One that was idle may have been closed.
        for fresh in (self.connection is None, True):
            self.connection = self.connection or http.client.HTTPConnection(self.host, timeout=60)
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                self.connection = None
                if fresh or not isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
                    raise Failed(type(error).__name__) from error
        if answer.status not in (200, 201, 202, 204, *allowed):
            raise Failed(f"http {answer.status}")
        self.session = answer.headers.get("mcp-session-id")
        return text

    def rpc(self, method, params, headers):
        text = self.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, {"Accept": "application/json, text/event-stream", **headers})
        lines = [line[6:] for line in text.splitlines() if line.startswith(b"data: ")]
        said = json.loads(lines[-1] if lines else text)
        if "error" in said:
            raise Failed(f"rpc {said['error']['code']}")
        return said["result"]

    def modern(self, method, params):
        capabilities = {"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": capabilities}
        name = params.get("taskId") or params["name"]
        return self.rpc(method, {**params, "_meta": meta}, {"Mcp-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Name": name})


class Users:
    """Each does one thing again and again, by the clock."""

    def __init__(self, url):
        self.url, self.over, self.lock = url, threading.Event(), threading.Lock()
        self.done, self.failed = collections.Counter(), []
        self.open, self.ended = collections.deque(), collections.Counter()

    def again(self, name, each, deed, most=None):
        client, begun, turn = Client(self.url), time.monotonic(), 0
        while (most is None or turn < most) and not self.over.wait(max(0, begun + turn * each - time.monotonic())):
            at = time.time()
            try:
                deed(client, turn)
                with self.lock:
                    self.done[name] += 1
            except Failed as failed:
                with self.lock:
                    self.failed.append([at, time.time(), name, str(failed)])
                # What was refused is done by the next one.
                self.over.wait(0.1)
            turn += 1

    def agent(self, client, turn):
        run = str(uuid.uuid4())
        client.ask("POST", "/api/v1/agents/helper/runs", {"input": "Note it.", "id": run})
        self.open.append(run)
        self.look(client)

    def look(self, client):
        """Each run that was acknowledged ends, and well; it is looked at before it is too old to be kept."""
        while self.open:
            state = json.loads(client.ask("GET", f"/api/v1/runs/{self.open[0]}"))["run"]["state"]
            if state in ("queued", "running", "waiting"):
                return
            self.ended[state] += 1
            self.open.popleft()

    def task(self, client, turn):
        task = client.modern("tools/call", {"name": "agent.helper", "arguments": {"input": "Note it."}})["taskId"]
        for _ in range(300):
            status = client.modern("tasks/get", {"taskId": task})["status"]
            if status == "completed":
                return
            if status != "working" or self.over.wait(0.2):
                break
        if not self.over.is_set():
            raise Failed(f"a task that is {status}")

    def note(self, client, turn):
        client.ask("POST", "/api/v1/tools/notes.write/call", {"name": f"n{turn % 100}", "text": "Milk and bread."}, {"Idempotency-Key": str(uuid.uuid4())})
        client.ask("POST", "/api/v1/tools/notes.search/call", {"query": "milk"})

    def file(self, client, turn):
        kept = os.urandom(100_000)
        client.ask("PUT", f"/api/v1/files/f{turn % 20}", kept, {"Content-Type": "application/octet-stream"})
        if client.ask("GET", f"/api/v1/files/f{turn % 20}") != kept:
            raise Failed("a file that is not what it was")

    def session(self, client, turn):
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}
        client.rpc("initialize", params, {})
        if turn % 20 == 0:
            headers = {"Mcp-Session-Id": client.session, "Mcp-Protocol-Version": "2025-11-25"}
            client.rpc("tools/call", {"name": "time.now", "arguments": {}}, headers)


def users(url, port, seconds):
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    here, seconds = Users(url), int(seconds)
    deeds = [("agent", 0.5, here.agent), ("task", 1, here.task), ("note", 0.2, here.note), ("file", 1, here.file)]
    threads = [threading.Thread(target=here.again, args=deed, daemon=True) for deed in deeds]
    # Two, since one of them may wait; before memory is looked at.
    each, most = 2 * 0.9 * min(seconds, WARM) / SESSIONS, SESSIONS // 2
    threads += [threading.Thread(target=here.again, args=("session", each, here.session, most), daemon=True) for _ in range(2)]
    signal.signal(signal.SIGTERM, lambda *_: here.over.set())
    for thread in threads:
        thread.start()
    here.over.wait()
    for thread in threads:
        thread.join(70)
    client, until = Client(url), time.monotonic() + 120
    while here.open and time.monotonic() < until:
        here.look(client)
        time.sleep(0.2)
    here.ended.update(["not ended"] * len(here.open))
    print(json.dumps({"done": here.done, "failed": here.failed, "runs": here.ended, "told": Sink.told}))


def watch(pid, port, *pooled):
    served, pooled = f":{int(port):04X}", {f"{int(port):04X}" for port in pooled}
    while True:
        inodes = {os.path.basename(name)[8:-1] for name in map(target, os.scandir(f"/proc/{pid}/fd")) if name.startswith("socket:[")}
        clients = pools = 0
        for local, remote, state, inode in ([*line.split()[1:4], line.split()[9]] for line in open("/proc/net/tcp")):
            if state == "01" and inode in inodes:
                clients += local.endswith(served)
                pools += remote.split(":")[-1] in pooled
        resident = int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        print(time.time(), resident, len(os.listdir(f"/proc/{pid}/fd")) - clients - pools, pools, flush=True)
        time.sleep(1)


def target(file):
    try:
        return os.readlink(file)
    except FileNotFoundError:
        return ""


def judge(folder, short=None):
    read = lambda name: open(os.path.join(folder, name)).read()
    load, others = json.loads(read("load.json") or "null"), json.loads(read("users") or "null")
    if load is None or others is None:
        sys.exit("FAILED: there are no figures: " + read("load.log") + read("users.log"))
    wrong = []
    # Before that, it was tried what the server can do.
    begun = datetime.datetime.fromisoformat(load["begun"].replace("Z", "+00:00")).timestamp()
    failed = [entry for entry in others["failed"] if entry[1] >= begun]
    outages = [(name, float(killed), float(accepted)) for name, killed, accepted in map(str.split, read("outages").splitlines())]
    within = lambda first, last: any(last >= killed and first <= accepted + AFTERWARDS for _, killed, accepted in outages)

    due = well = slow = 0
    outside, inside, last, when = collections.Counter(), collections.Counter(), {}, collections.Counter()
    for second in load["timeline"]:
        at = begun + second["second"]
        if within(at, at + 1):
            inside.update(second["errors"])
            if second["errors"]:
                name, _, accepted = [outage for outage in outages if outage[1] <= at + 1][-1]
                last[name] = at + 1 - accepted
        else:
            due, well, slow = due + second["due"], well + second["ok"], slow + second["over_100_ms"]
            outside.update(second["errors"])
            when[second["second"] // 60] += second["over_100_ms"]
    print(load["machine"])
    print(f"{load['due']} requests were due in {load['seconds']} s, {load['rate']} a second; {load['ok']} went well: {load['latency_ms']}")
    for name, killed, accepted in outages:
        told = f"the last request that failed was due {last[name]:.0f} s after that" if last.get(name, -1) >= 0 else "none failed after that"
        print(f"{name} was away for {accepted - killed:.1f} s, until it accepted again; {told}")
    print(f"while something was away: {dict(inside) or 'no error'}")
    print(f"otherwise: of {due} requests {sum(outside.values())} failed {dict(outside) or ''} and {slow} took more than 100 ms")
    print("the minutes with the most of these: " + ", ".join(f"{count} in minute {minute}" for minute, count in when.most_common(5)))
    if sum(outside.values()) >= due / 1000:
        wrong.append(f"the error rate is not below 0.1 %: {dict(outside)}")
    if set(inside) - ALLOWED:
        wrong.append(f"while something was away there was more than 503: {dict(inside)}")
    if not short and slow >= well / 100:
        wrong.append(f"p99 is not below 100 ms: {slow} of {well} took longer")

    print(f"beside it went well: {others['done']}; runs: {others['runs']}; the webhook heard of {len(others['told'])} alerts")
    away = collections.Counter(f"{name}: {what}" for first, end, name, what in failed if within(first, end))
    otherwise = collections.Counter(f"{name}: {what}" for first, end, name, what in failed if not within(first, end))
    print(f"beside it failed while something was away: {dict(away) or 'nothing'}; otherwise: {dict(otherwise) or 'nothing'}")
    if [what for what in away if what.split(": ")[1] not in ALLOWED]:
        wrong.append(f"while something was away there was more than 503: {dict(away)}")
    if sum(otherwise.values()) >= sum(others["done"].values()) / 1000:
        wrong.append(f"of others too much failed: {dict(otherwise)}")
    if set(others["runs"]) != {"completed"}:
        wrong.append(f"not each run ended well: {others['runs']}")
    if others["done"].get("session", 0) < (0.5 if short else 0.95) * SESSIONS:
        wrong.append(f"too few sessions were opened: {others['done']}")
    if not short and not {"database", "redis"} <= {alert.get("subject") for alert in others["told"]}:
        wrong.append(f"the webhook did not hear of both: {others['told']}")

    samples = [tuple(map(float, line.split())) for line in read("samples").splitlines() if line.count(" ") == 3]
    known = samples[-1][0] - samples[0][0] >= WARM + LEAST
    first = WARM if known else (samples[-1][0] - samples[0][0]) / 4
    calm = [sample for sample in samples if sample[0] >= samples[0][0] + first and not within(sample[0], sample[0])]
    third = len(calm) // 3
    (before, pooled), (after, then) = ([min(figures) for figures in list(zip(*part))[2:]] for part in (calm[:third], calm[-third:]))
    print(f"open files, but for connections: {before:.0f} at the least in the first third, {after:.0f} in the last; connections to the database, Redis and the model: {pooled:.0f}, {then:.0f}")
    if after > before:
        wrong.append(f"open files grow: {before:.0f}, {after:.0f}")
    # What an outage leaves behind is a step, and no growth: each stretch between outages has a height of its own, and all have one slope.
    ends = [accepted + SETTLED for _, _, accepted in outages]
    # What many requests at once need is given back, and a leak is not: so it is the least of each minute that is looked at.
    least = collections.defaultdict(dict)
    for at, resident, *_ in calm:
        if not any(killed <= at <= accepted + SETTLED for _, killed, accepted in outages):
            minute, minutes = (at - samples[0][0]) // 60, least[sum(at > end for end in ends)]
            minutes[minute] = min(resident / 2**20, minutes.get(minute, resident))
    stretches = {stretch: [(minute * 60, held) for minute, held in minutes.items()] for stretch, minutes in least.items()}
    for points in stretches.values():
        held = sorted(resident for _, resident in points)
        print(f"memory from minute {points[0][0] / 60:.0f} to {points[-1][0] / 60:.0f}: {held[0]:.1f} to {held[-1]:.1f} MiB, {growth([points]):+.2f} an hour")
    slope = growth(stretches.values())
    print(f"memory: {slope:+.2f} MiB an hour{'' if known else ' (not judged: that takes twenty minutes)'}")
    if known and slope >= 1:
        wrong.append(f"memory grows by {slope:.2f} MiB an hour")
    for what in wrong:
        print("FAILED: " + what)
    sys.exit(1 if wrong else 0)


def growth(stretches):
    """The slope, an hour, that lines through stretches of (seconds, height) have in common, by least squares."""
    over = under = 0
    for points in stretches:
        middle, height = (sum(values) / len(points) for values in zip(*points))
        over += sum((x - middle) * (y - height) for x, y in points)
        under += sum((x - middle) ** 2 for x, _ in points)
    return 3600 * over / under if under else 0


try:
    {"users": users, "watch": watch, "judge": judge}[sys.argv[1]](*sys.argv[2:])
except FileNotFoundError as gone:
    sys.exit(f"it is gone: {gone}")
