//! Clients of the older era, which begin with a handshake and are given a session.

use serde_json::json;

use super::cases;
use crate::host::Served;
use crate::request::{Request, call, legacy};

cases! {
    a_handshake_opens_a_session,
    a_session_that_has_ended_is_not_found,
    a_stream_of_a_session_is_opened_by_get,
    the_version_is_agreed_on,
    a_ping_is_answered_with_nothing,
    tools_are_listed,
    a_tool_is_called,
    a_method_that_is_not_served_is_an_error,
    an_unknown_version_is_refused,
    no_version_header_is_the_first_version,
    a_call_goes_on_when_its_client_leaves,
}

fn initialize(version: &str) -> Request {
    legacy(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    ))
    .without("MCP-Protocol-Version")
}

async fn a_handshake_opens_a_session(server: &Served) {
    let response = server.send(initialize("2025-11-25")).await;
    response.expect_json(concat!(
        r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"logging":{}},"#,
        r#""serverInfo":{"name":"black-box","version":"1.0.0"}}}"#
    ));
    let session = response.head.header("mcp-session-id").expect("a session is begun");
    assert!(session.len() >= 22 && session.bytes().all(|byte| byte.is_ascii_graphic()), "{session}");
    let initialized = server.send(legacy(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)).await;
    assert_eq!((initialized.head.status, initialized.text()), (202, ""));
}

async fn a_session_that_has_ended_is_not_found(server: &Served) {
    let response = server.send(initialize("2025-11-25")).await;
    let session = response.head.header("mcp-session-id").expect("a session is begun").to_owned();
    let ping = || legacy(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).header("Mcp-Session-Id", &session);
    assert_eq!(server.send(ping()).await.head.status, 200);
    let end = format!("DELETE /mcp HTTP/1.1\nHost: 127.0.0.1\nMcp-Session-Id: {session}");
    assert_eq!(server.send(Request::literal(&end)).await.head.status, 204);
    server.send(ping()).await.expect_error(404, -32600, Some(1.into()), "no such session");
    server.send(Request::literal(&end)).await.expect_error(404, -32600, None, "no such session");
}

async fn a_stream_of_a_session_is_opened_by_get(server: &Served) {
    let get = "GET /mcp HTTP/1.1\nHost: 127.0.0.1\nAccept: text/event-stream\nMcp-Session-Id: no-such";
    server.send(Request::literal(get)).await.expect_error(404, -32600, None, "no such session");
}

async fn the_version_is_agreed_on(server: &Served) {
    for (asked, agreed) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let answer = server.send(initialize(asked)).await.json();
        assert_eq!(answer["result"]["protocolVersion"], agreed, "{asked}");
    }
}

async fn a_ping_is_answered_with_nothing(server: &Served) {
    let response = server.send(legacy(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#)).await;
    response.expect_json(r#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
}

async fn tools_are_listed(server: &Served) {
    let first = server.send(legacy(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#)).await.json();
    let members: Vec<_> = first["result"].as_object().expect("a result").keys().cloned().collect();
    assert_eq!(members, ["nextCursor", "tools"], "nothing of the modern era");
    let names: Vec<_> = first["result"]["tools"].as_array().expect("a list").iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["echo", "add", "nothing"]);
}

async fn a_tool_is_called(server: &Served) {
    let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{"a":2,"b":3}}}"#;
    server.send(legacy(body)).await.expect_json(concat!(
        r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"{\"sum\":5}"}],"#,
        r#""structuredContent":{"sum":5}}}"#
    ));
}

async fn a_method_that_is_not_served_is_an_error(server: &Served) {
    let response = server.send(legacy(r#"{"jsonrpc":"2.0","id":4,"method":"prompts/list"}"#)).await;
    response.expect_error(200, -32601, Some(json!(4)), "prompts/list");
}

async fn an_unknown_version_is_refused(server: &Served) {
    let ping = legacy(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#);
    for version in ["1999-01-01", "latest", ""] {
        let response = server.send(ping.clone().with("MCP-Protocol-Version", version)).await;
        response.expect_error(400, -32600, Some(json!(5)), "2025-11-25");
    }
}

async fn no_version_header_is_the_first_version(server: &Served) {
    let ping = legacy(r#"{"jsonrpc":"2.0","id":6,"method":"ping"}"#).without("MCP-Protocol-Version");
    assert_eq!(server.send(ping).await.head.status, 200);
}

async fn a_call_goes_on_when_its_client_leaves(server: &Served) {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"steps"}}"#;
    let exchange = server.open(legacy(body)).await;
    server.probe.started.happened().await;
    drop(exchange);
    // A client of the modern era leaves as well, and the server notices: by then it knows of the first.
    let exchange = server.open(call("waits", "{}")).await;
    server.probe.started.happened().await;
    drop(exchange);
    server.probe.cancelled.happened().await;
    server.probe.go_on.happens();
    server.probe.finished.happened().await;
    assert_eq!(server.probe.cancelled.count(), 0, "the call was told to end");
}
