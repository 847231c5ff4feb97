"""Writes records of each kind to a server without a pause, or looks whether they are there.

    records.py write URL     until the server is gone; a line for each that was acknowledged: KIND NAME
    records.py look URL      those on the standard input
"""

import json
import os
import sys
import urllib.error
import urllib.request
import uuid

verb, url = sys.argv[1:]


def ask(method, path, body=None, kind="application/json"):
    headers = {"Authorization": "Bearer " + os.environ["API_KEY"], "Content-Type": kind}
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    with urllib.request.urlopen(urllib.request.Request(url + "/api/v1" + path, data, headers, method=method), timeout=10) as answer:
        return answer.read()


def content(name):
    # Some are large, and stand in a folder and not in the database.
    return (name * (8 if int(name, 16) % 4 else 8192)).encode()


def write():
    while True:
        name = uuid.uuid4().hex
        ask("POST", "/tools/notes.write/call", {"name": name, "text": f"of {name}"})
        print("note", name, flush=True)
        ask("PUT", f"/files/{name}", content(name), "application/octet-stream")
        print("file", name, flush=True)
        thread = json.loads(ask("POST", "/threads", {"title": name}))["thread"]
        print("thread", thread["id"], flush=True)
        ask("POST", "/users", {"principal": name})
        print("user", name, flush=True)


def look():
    counted = {}
    for line in sys.stdin:
        kind, name = line.split()
        if kind == "note":
            there = f"of {name}".encode() in ask("POST", "/tools/notes.read/call", {"name": name})
        elif kind == "file":
            there = ask("GET", f"/files/{name}") == content(name)
        elif kind == "thread":
            there = b"messages" in ask("GET", f"/threads/{name}/messages")
        else:
            there = name.encode() in ask("GET", f"/users/{name}")
        if not there:
            sys.exit(f"{kind} {name} was acknowledged, and is not what it was")
        counted[kind] = counted.get(kind, 0) + 1
    if len(counted) != 4:
        sys.exit(f"of some kind there was nothing: {counted}")
    print("all that was acknowledged before is there: " + ", ".join(f"{count} {kind}s" for kind, count in counted.items()), end="")


try:
    {"write": write, "look": look}[verb]()
except urllib.error.HTTPError as error:
    sys.exit(f"{error.url}: {error.code} {error.read().decode()}")
except (OSError, urllib.error.URLError) as error:
    if verb == "look":
        sys.exit(str(error))
