//! Calls that are sent twice under a key, from outside.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::tool::function::NoInput;
use mcp_core::{ToolError, tool_with};
use mcp_http::Config;
use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::outages::SECRET_KEYS;
use crate::served::{Reply, Served, until};

const NOW: &str = "/api/v1/tools/time.now/call";

fn rest(server: &Served, path: &str, key: &str, body: &str) -> Reply {
    server.send("POST", path, &[("idempotency-key", key)], body)
}

/// A call by MCP, in one of its eras.
fn mcp(server: &Served, modern: bool, tool: &str, arguments: &Value, key: &str) -> Reply {
    let mut meta = json!({"io.github.mcp-embed/idempotencyKey": key});
    let version = if modern { "2026-07-28" } else { "2025-11-25" };
    let mut headers = vec![("accept", "application/json, text/event-stream"), ("mcp-protocol-version", version)];
    if modern {
        meta["io.modelcontextprotocol/protocolVersion"] = version.into();
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        headers.extend([("mcp-method", "tools/call"), ("mcp-name", tool)]);
    }
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    server.send("POST", "/mcp", &headers, &body.to_string())
}

fn is_replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == Some("true")
}

/// What a call by MCP answered, and whether an earlier one had.
fn result(reply: &Reply) -> (Value, bool) {
    let mut result = reply.body["result"].clone();
    let meta = result.as_object_mut().unwrap().remove("_meta").unwrap_or_default();
    result.as_object_mut().unwrap().remove("resultType");
    (result, meta["io.github.mcp-embed/replayed"] == true)
}

#[test]
fn a_call_is_answered_once_by_every_way_in() {
    let server = Served::start(&[]);
    // The time goes on: only the same answer is the same.
    let first = rest(&server, NOW, "k", "{}");
    assert_eq!((first.status, is_replayed(&first)), (200, false));
    until("the clock has moved", || server.post(NOW, "{}").body != first.body);
    let again = rest(&server, NOW, "k", "{}");
    assert_eq!((again.status, &again.body, is_replayed(&again)), (200, &first.body, true));
    let xml = server.send("POST", NOW, &[("idempotency-key", "k"), ("accept", "application/xml")], "{}");
    assert!(is_replayed(&xml) && xml.content_type == "application/xml", "{xml:?}");
    for modern in [true, false] {
        let (replay, replayed) = result(&mcp(&server, modern, "time.now", &json!({}), "k"));
        assert_eq!((&replay, replayed), (&first.body, true), "modern: {modern}");
    }

    let refused = rest(&server, NOW, "k", "{\"zone\": \"Europe/Lisbon\"}");
    assert_eq!((refused.status, &*refused.content_type), (422, "application/problem+json"));
    assert!(refused.body["detail"].as_str().unwrap().contains("other arguments"), "{:?}", refused.body);
    for bad in ["a key", &"k".repeat(256)] {
        assert_eq!(rest(&server, NOW, bad, "{}").status, 400);
    }
    let twice = server.send("POST", NOW, &[("idempotency-key", "k"), ("idempotency-key", "k")], "{}");
    assert_eq!(twice.status, 400);

    let replays = server.metric(r#"mcp_tool_replays_total{tool="time.now",result="replayed"}"#);
    assert_eq!(replays, Some(4));
    let recorded = server.get("/api/v1/calls?tool=time.now&outcome=ok").body["calls"].as_array().unwrap().len();
    let counted = server.metric(r#"mcp_tool_calls_total{tool="time.now",outcome="ok"}"#);
    assert_eq!(Some(recorded), counted, "a replay is no call");
}

#[test]
fn an_answer_is_found_after_a_restart_and_on_another_replica() {
    let server = Served::start(&[]);
    let first = rest(&server, NOW, "k", "{}");
    let (code, _, folder) = server.stop();
    assert_eq!(code, Some(0));
    let server = Served::start_in(folder, &[]);
    assert_eq!(rest(&server, NOW, "k", "{}").body, first.body);

    let (url, redis) = (PostgresServer::shared().database(), RedisServer::start());
    let redis = redis.url();
    let settings = [("DATABASE_URL", &*url), ("REDIS_URL", &*redis), ("SECRET_KEYS", SECRET_KEYS)];
    let (one, other) = (Served::start(&settings), Served::start(&settings));
    let (first, _) = result(&mcp(&one, true, "time.now", &json!({}), "k"));
    assert_eq!(result(&mcp(&other, true, "time.now", &json!({}), "k")), (first.clone(), true));
    let rest = rest(&other, NOW, "k", "{}");
    assert_eq!((&rest.body, is_replayed(&rest)), (&first, true));
}

/// Set for the process that [`a_server_with_slow_tools`] is.
const CHILD: &str = "MCP_TEST_KEYED_FOLDER";

/// Not a test: the server that the tests below start, with tools that wait for a file.
#[test]
fn a_server_with_slow_tools() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    async fn slow(folder: Arc<str>, _: NoInput) -> Result<String, ToolError> {
        let folder = Path::new(&*folder);
        let begun = std::fs::read_dir(folder.join("begun"))?.count();
        std::fs::write(folder.join("begun").join(begun.to_string()), "")?;
        while !folder.join("go").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(format!("begun before: {begun}"))
    }
    let folder: Arc<str> = folder.into();
    let slow_twice = tool_with("twice", "Waits for a file.", folder.clone(), slow).repeatable();
    let slow = tool_with("once", "Waits for a file.", folder, slow);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let run = async {
        let bundled = mcp_http::bundled(Config::load().unwrap()).await.unwrap();
        bundled.tool(slow).tool(slow_twice).run().await
    };
    runtime.block_on(run).unwrap();
}

/// Starts the server with the slow tools.
fn start(folder: tempfile::TempDir) -> Served {
    std::fs::create_dir_all(folder.path().join("begun")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "keyed::a_server_with_slow_tools", "--nocapture"]);
    command.current_dir(folder.path()).env(CHILD, folder.path()).env("PORT", "0").env("REPLICA_LEASE", "1s");
    Served::run(command, folder)
}

fn begun(server: &Served) -> usize {
    std::fs::read_dir(server.folder().join("begun")).unwrap().count()
}

/// Sends a call, and leaves when it has begun.
fn leave(server: &Served, tool: &str) {
    let before = begun(server);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let path = format!("/api/v1/tools/{tool}/call");
    write!(client, "POST {path} HTTP/1.1\r\nhost: {address}\r\nidempotency-key: k\r\ncontent-length: 2\r\n\r\n{{}}")
        .unwrap();
    until("it has begun", || begun(server) > before);
}

#[test]
fn a_client_that_leaves_finds_its_answer_when_it_comes_back() {
    let server = start(tempfile::tempdir().unwrap());
    leave(&server, "once");
    std::fs::write(server.folder().join("go"), "").unwrap();
    let answer = rest(&server, "/api/v1/tools/once/call", "k", "{}");
    assert_eq!(answer.body["content"][0]["text"], "begun before: 0");
    assert_eq!((is_replayed(&answer), begun(&server)), (true, 1));
    let recorded = server.get("/api/v1/calls?tool=once").body["calls"].clone();
    assert_eq!((recorded.as_array().unwrap().len(), &recorded[0]["outcome"]), (1, &json!("ok")));
}

#[test]
fn what_a_killed_server_had_begun_is_run_again_only_if_it_may_be() {
    for (tool, text, times) in [("twice", "begun before: 1", 2), ("once", "the outcome is unknown", 1)] {
        let server = start(tempfile::tempdir().unwrap());
        leave(&server, tool);
        let folder = server.kill();
        std::fs::write(folder.path().join("go"), "").unwrap();
        let server = start(folder);
        let path = format!("/api/v1/tools/{tool}/call");
        let answer = rest(&server, &path, "k", "{}");
        assert_eq!((answer.status, is_replayed(&answer)), (200, false));
        assert!(answer.body["content"][0]["text"].as_str().unwrap().starts_with(text), "{:?}", answer.body);
        let again = rest(&server, &path, "k", "{}");
        assert_eq!((&again.body, is_replayed(&again)), (&answer.body, true));
        assert_eq!(begun(&server), times);
    }
}
