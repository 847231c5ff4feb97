//! How headers are read.

use serde_json::json;

use super::cases;
use crate::host::Served;
use crate::request::{call, discover};

cases! {
    the_name_of_a_header_has_no_case_and_its_value_has,
    white_space_around_a_value_is_not_part_of_it,
    a_name_may_come_in_base64,
    base64_that_is_none_is_refused,
    a_repeated_header_is_refused,
    a_header_that_is_not_ascii_is_refused,
    headers_of_sessions_are_passed_over,
}

const MISMATCH: i64 = -32020;

async fn the_name_of_a_header_has_no_case_and_its_value_has(server: &Served) {
    for name in ["mcp-method", "MCP-METHOD"] {
        let request = discover().without("Mcp-Method").header(name, "server/discover");
        assert_eq!(server.send(request).await.head.status, 200, "{name}");
    }
    let response = server.send(discover().with("Mcp-Method", "SERVER/DISCOVER")).await;
    response.expect_error(400, MISMATCH, Some(json!(1)), "Mcp-Method");
}

async fn white_space_around_a_value_is_not_part_of_it(server: &Served) {
    let request = call("echo", r#"{"message":"a"}"#).with("Mcp-Name", " \t echo \t ");
    assert_eq!(server.send(request).await.head.status, 200);
}

async fn a_name_may_come_in_base64(server: &Served) {
    let request = call("echo", r#"{"message":"a"}"#).with("Mcp-Name", "=?base64?ZWNobw==?=");
    assert_eq!(server.send(request).await.head.status, 200);
}

async fn base64_that_is_none_is_refused(server: &Served) {
    for name in ["=?base64?ZWNobw?=", "=?base64?ZWN!bw==?=", "=?base64?/w==?=", "ZWNobw==", "=?BASE64?ZWNobw==?="] {
        let response = server.send(call("echo", "{}").with("Mcp-Name", name)).await;
        response.expect_error(400, MISMATCH, Some(json!(1)), "Mcp-Name");
    }
}

async fn a_repeated_header_is_refused(server: &Served) {
    for name in ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"] {
        for second in ["2026-07-28", "tools/call", "echo"] {
            let response = server.send(call("echo", "{}").header(name, second)).await;
            let error = response.expect_error(400, MISMATCH, Some(json!(1)), "more than once");
            assert!(error["error"]["message"].to_string().contains(name), "{error}");
        }
    }
}

async fn a_header_that_is_not_ascii_is_refused(server: &Served) {
    for name in ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"] {
        for value in ["größe".as_bytes(), b"gr\xf6\xdfe"] {
            let response = server.send(call("echo", "{}").with(name, value)).await;
            let error = response.expect_error(400, MISMATCH, Some(json!(1)), "ASCII");
            assert!(error["error"]["message"].to_string().contains(name), "{error}");
        }
    }
}

async fn headers_of_sessions_are_passed_over(server: &Served) {
    let request = discover().header("Mcp-Session-Id", "1868a90c").header("Last-Event-ID", "7");
    let response = server.send(request).await;
    assert_eq!((response.head.status, response.head.header("mcp-session-id")), (200, None));
}
