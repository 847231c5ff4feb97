//! The log as JSON, and the ids by which its lines are found.

use std::collections::BTreeSet;
use std::process::Command;

use mcp_core::{ToolError, tool_fn};
use mcp_http::Config;
use serde_json::{Map, Value};

use crate::served::Served;

/// Set for the process that [`a_server_with_a_broken_tool`] is.
const CHILD: &str = "MCP_TEST_BROKEN";

/// Not a test: the server that the tests below start.
#[test]
fn a_server_with_a_broken_tool() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    async fn broken() -> Result<String, ToolError> {
        // By now the call has left the request.
        tokio::task::yield_now().await;
        tracing::warn!("from inside of the tool");
        Err(std::io::Error::other("disk 7 is full"))?
    }
    let config = Config::load().unwrap();
    let _log = mcp_http::log::init(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let broken = tool_fn("broken", "Breaks.", broken);
    runtime.block_on(async { mcp_http::bundled(config).await.unwrap().tool(broken).run().await }).unwrap();
}

fn start(format: &str, level: &str) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "log::a_server_with_a_broken_tool", "--nocapture", "--test-threads=2"]);
    command.current_dir(folder.path()).env(CHILD, "1").env("PORT", "0");
    command.env("LOG_FORMAT", format).env("LOG_LEVEL", level);
    Served::run(command, folder)
}

/// All lines that the server wrote, each a flat object.
fn stop(server: Served) -> Vec<Map<String, Value>> {
    let first = server.said.clone();
    let (code, rest, _) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
    // A test that is a server says at its end that it has passed.
    let rest = rest.split("\ntest result:").next().unwrap();
    let lines = first.iter().map(String::as_str).chain(rest.lines()).filter(|line| {
        let harness = line.is_empty() || line.starts_with("test log::");
        !harness
    });
    lines
        .map(|line| match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => {
                assert!(!fields.values().any(|value| value.is_object() || value.is_array()), "it is flat: {line}");
                fields
            }
            other => panic!("{other:?} in {line:?}"),
        })
        .collect()
}

fn with<'a>(lines: &'a [Map<String, Value>], key: &str, value: &str) -> Vec<&'a Map<String, Value>> {
    lines.iter().filter(|line| line.get(key).is_some_and(|found| found == value)).collect()
}

#[test]
fn each_line_of_a_request_has_its_id_and_says_no_secret() {
    let server = start("json", "info,mcp_core=debug,mcp_store=debug,mcp_http=debug");
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let headers = [("x-request-id", "mine-1"), ("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))];
    let broken = server.send("POST", "/api/v1/tools/broken/call", &headers, "{}");
    assert_eq!((broken.status, broken.header("x-request-id")), (500, Some("mine-1")));
    let secrets = [("authorization", "Bearer hunter2-in-a-header"), ("x-request-id", "hunter2 is no id")];
    let refused = server.send("GET", "/api/v1/calls?tool=hunter2-in-a-query", &secrets, "");
    let made = refused.header("x-request-id").unwrap().to_owned();
    let listed = server.send("GET", "/api/v1/tools?limit=1", &[], "");
    let lost = server.send("GET", "/hunter2-in-a-path", &[], "");
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "time.now")];
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"time.now","_meta":{
        "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let over_mcp = server.send("POST", "/mcp", &headers, body);
    let mut ids = BTreeSet::from(["mine-1".to_owned(), made.clone()]);
    for answer in [&listed, &lost, &over_mcp] {
        ids.insert(answer.header("x-request-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 5, "each request has its own");

    let call = broken.body["instance"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap().to_owned();
    let lines = stop(server);
    assert!(!format!("{lines:?}").contains("hunter2"), "{lines:#?}");

    let of_broken = with(&lines, "request_id", "mine-1");
    let messages: Vec<_> = of_broken.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["from inside of the tool", "a call failed", "request"]);
    for line in of_broken {
        for (key, value) in [("trace_id", trace), ("tool", "broken"), ("call", &call), ("caller", "local")] {
            assert_eq!(line[key], value, "{line:?}");
        }
    }
    let failed = with(&lines, "message", "a call failed")[0];
    assert_eq!((&failed["level"], &failed["cause"]), (&"ERROR".into(), &"disk 7 is full".into()));

    let requests = with(&lines, "message", "request");
    let seen: Vec<_> =
        requests.iter().map(|line| ["level", "method", "route"].map(|key| line[key].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ["INFO", "POST", "/api/v1/tools/{name}/call"],
            ["DEBUG", "GET", "/api/v1/calls"],
            ["DEBUG", "GET", "/api/v1/tools"],
            ["DEBUG", "GET", "unmatched"],
            ["DEBUG", "POST", "/mcp"],
        ]
    );
    let statuses: Vec<_> = requests.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [broken.status, refused.status, listed.status, lost.status, 200].map(u64::from));
    assert!(requests.iter().all(|line| line["duration_ms"].as_f64().is_some_and(|took| took > 0.0)));
    assert_eq!(requests[1]["request_id"], *made);
    assert_eq!((&requests[4]["tool"], &requests[4]["caller"]), (&"time.now".into(), &"local".into()));
}

#[test]
fn every_field_is_in_the_docs() {
    const DOCS: &str = include_str!("../../../docs/logging.md");
    let listed: BTreeSet<_> =
        DOCS.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(field, _)| field).collect();
    let server = start("json", "info,mcp_core=debug,mcp_store=debug,mcp_http=debug");
    let headers = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    server.send("POST", "/api/v1/tools/broken/call", &headers, "{}");
    server.get("/api/v1/tools");
    let lines = stop(server);
    let seen: BTreeSet<_> = lines.iter().flat_map(|line| line.keys().map(String::as_str)).collect();
    assert!(seen.is_subset(&listed), "not in docs/logging.md: {:?}", seen.difference(&listed).collect::<Vec<_>>());
    assert!(seen.len() >= 15, "{seen:?}");
}

#[test]
fn what_goes_well_is_quiet_and_what_fails_is_not() {
    let server = start("json", "info");
    server.get("/api/v1/tools");
    server.post("/api/v1/tools/time.now/call", "{}");
    server.post("/api/v1/tools/broken/call", "{}");
    let lines = stop(server);
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let stopping = "stopping: no new requests; running calls may finish";
    assert_eq!(messages, ["serving", "from inside of the tool", "a call failed", "request", stopping]);
}

#[test]
fn an_error_has_its_request_also_where_only_errors_are_logged() {
    let server = start("text", "error");
    let answer = server.send("POST", "/api/v1/tools/broken/call", &[("x-request-id", "r-1")], "{}");
    assert_eq!(answer.status, 500);
    let (_, text, _) = server.stop();
    let logged: Vec<_> = text.lines().filter(|line| line.contains("a call failed")).collect();
    assert!(matches!(logged[..], [line] if line.contains("request{request_id=\"r-1\" caller=\"local\"")), "{text}");
    assert!(!text.contains("from inside"), "{text}");
}

#[test]
fn a_server_whose_log_nobody_reads_goes_on_and_tells_how_much_is_left_out() {
    let server = start("json", "debug");
    // Each is a line of more than a hundred bytes: more than a pipe and the server hold.
    let lines = 8_000;
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..lines / 8 {
                    assert_eq!(server.get("/health/live").status, 200);
                }
            });
        }
    });
    let written = stop(server);
    let requests = written.iter().filter(|line| line["message"] == "request").count();
    assert!(requests < lines, "{requests} lines were kept");
}
