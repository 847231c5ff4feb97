//! Tasks on several replicas, each a process of its own: begun at one, found and answered at another, and taken over from what is killed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mcp_core::{Context, NoInput, Question, ToolError, tool_fn};
use mcp_http::Config;
use mcp_store::test_servers::{PostgresServer, RedisServer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::outages::SECRET_KEYS;
use crate::served::{Reply, Served, until};

/// Set for the process that [`a_server_with_slow_tools`] is.
const CHILD: &str = "MCP_TEST_TASKS";

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// Where it writes what it does.
    folder: PathBuf,
}

/// Writes a line in the file `log` of its folder, and ends when there is a file `go`.
async fn work(place: Place, cx: Context) -> Result<String, ToolError> {
    let mut log = OpenOptions::new().create(true).append(true).open(place.folder.join("log"))?;
    log.write_all(format!("{} {}\n", std::process::id(), cx.key()).as_bytes())?;
    while !place.folder.join("go").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(cx.key())
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

async fn ask(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let (first, last) = (Question::<Name>::form("First?"), Question::<Name>::form("Last?"));
    let (first, last) = tokio::try_join!(cx.ask("first", first), cx.ask("last", last))?;
    Ok(format!("{} {}", first.name, last.name))
}

/// Not a test: the server that the tests below start.
#[test]
fn a_server_with_slow_tools() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let serve = async {
        let server = mcp_http::bundled(Config::load().unwrap()).await.unwrap();
        let server = server
            .tool(tool_fn("once", "Works.", work).task())
            .tool(tool_fn("again", "Works.", work).task().repeatable())
            .tool(tool_fn("ask", "Asks.", ask).task());
        server.run().await
    };
    runtime.block_on(serve).unwrap();
}

fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Served {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tasks::a_server_with_slow_tools", "--nocapture"]);
    command.current_dir(folder.path()).env(CHILD, "").env("PORT", "0").envs(settings.iter().copied());
    Served::run(command, folder)
}

/// What replicas share.
struct House {
    url: String,
    redis: RedisServer,
}

impl House {
    fn new() -> Self {
        Self { url: PostgresServer::shared().database(), redis: RedisServer::start() }
    }

    fn replica(&self) -> Served {
        let redis = self.redis.url();
        let settings =
            [("DATABASE_URL", &*self.url), ("REDIS_URL", &redis), ("SECRET_KEYS", SECRET_KEYS), ("RUN_LEASE", "4s")];
        start_in(tempfile::tempdir().unwrap(), &settings)
    }
}

/// Sends a request of a client that can follow tasks.
fn send(server: &Served, method: &str, mut params: Value) -> Reply {
    let name = params["taskId"].as_str().or(params["name"].as_str()).unwrap().to_owned();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {
            "elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}},
        },
    });
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
        ("mcp-name", &name),
    ];
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    server.send("POST", "/mcp", &headers, &body.to_string())
}

fn begin(server: &Served, tool: &str, arguments: Value) -> String {
    let reply = send(server, "tools/call", json!({"name": tool, "arguments": arguments}));
    assert_eq!(reply.body["result"]["resultType"], "task", "{:?}", reply.body);
    reply.body["result"]["taskId"].as_str().unwrap().to_owned()
}

fn task(server: &Served, id: &str) -> Value {
    let reply = send(server, "tasks/get", json!({"taskId": id}));
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    reply.body["result"].clone()
}

fn ends(server: &Served, id: &str, status: &str) -> Value {
    let ended = |task: &Value| !["working", "input_required"].contains(&task["status"].as_str().unwrap());
    until("the task has ended", || ended(&task(server, id)));
    let task = task(server, id);
    assert_eq!(task["status"], status, "{task}");
    task
}

fn answer(server: &Served, id: &str, key: &str, name: &str) {
    let answers = json!({key: {"action": "accept", "content": {"name": name}}});
    let reply = send(server, "tasks/update", json!({"taskId": id, "inputResponses": answers}));
    assert_eq!(reply.body["result"]["resultType"], "complete", "{:?}", reply.body);
}

fn open(server: &Served, id: &str) -> Vec<String> {
    task(server, id)["inputRequests"].as_object().into_iter().flat_map(|open| open.keys().cloned()).collect()
}

/// The lines that were written by a process.
fn log(folder: &Path, pid: u32) -> Vec<String> {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let own = format!("{pid} ");
    log.lines().filter_map(|line| line.strip_prefix(&own)).map(str::to_owned).collect()
}

#[test]
fn the_task_of_a_killed_replica_is_found_by_another_and_made_again_only_where_it_may_be() {
    let (house, place) = (House::new(), tempfile::tempdir().unwrap());
    let first = house.replica();
    let [once, again] = ["once", "again"].map(|tool| begin(&first, tool, json!({"folder": place.path()})));
    until("both work", || log(place.path(), first.pid()).len() == 2);
    let other = house.replica();
    assert_eq!(task(&other, &once)["status"], "working");
    let pid = first.pid();
    drop(first);
    fs::write(place.path().join("go"), "").unwrap();
    let unknown = ends(&other, &once, "failed");
    assert_eq!(unknown["error"]["data"]["code"], "outcome_unknown", "{unknown}");
    assert_eq!(unknown["result"], Value::Null);
    let done = ends(&other, &again, "completed");
    let key = done["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(log(place.path(), other.pid()), [key], "it alone is made again");
    assert!(log(place.path(), pid).contains(&key.to_owned()), "under the same key");
}

#[test]
fn a_task_is_answered_at_any_replica_and_cancelled_too() {
    let (house, place) = (House::new(), tempfile::tempdir().unwrap());
    let (one, other) = (house.replica(), house.replica());
    let id = begin(&one, "ask", json!({}));
    until("it asks", || open(&other, &id) == ["first", "last"]);
    answer(&one, &id, "last", "Lovelace");
    assert_eq!((open(&other, &id), open(&one, &id)), (vec!["first".to_owned()], vec!["first".to_owned()]));
    answer(&other, &id, "first", "Ada");
    assert_eq!(ends(&one, &id, "completed")["result"]["content"][0]["text"], "Ada Lovelace");
    for (tool, arguments) in [("ask", json!({})), ("once", json!({"folder": place.path()}))] {
        let id = begin(&one, tool, arguments);
        until("it is under way", || !open(&other, &id).is_empty() || place.path().join("log").exists());
        for server in [&one, &other] {
            let reply = send(server, "tasks/cancel", json!({"taskId": id}));
            assert_eq!(reply.body["result"]["resultType"], "complete", "{:?}", reply.body);
        }
        ends(&one, &id, "cancelled");
    }
}

#[test]
fn a_task_survives_a_restart() {
    let server = start_in(tempfile::tempdir().unwrap(), &[("RUN_LEASE", "4s")]);
    let id = begin(&server, "ask", json!({}));
    until("it asks", || open(&server, &id) == ["first", "last"]);
    answer(&server, &id, "first", "Ada");
    let server = start_in(server.kill(), &[("RUN_LEASE", "4s")]);
    assert_eq!(open(&server, &id), ["last"]);
    answer(&server, &id, "last", "Lovelace");
    assert_eq!(ends(&server, &id, "completed")["result"]["content"][0]["text"], "Ada Lovelace");
    let server = start_in(server.kill(), &[("RUN_LEASE", "4s")]);
    assert_eq!(task(&server, &id)["result"]["content"][0]["text"], "Ada Lovelace");
}
