//! Bodies that are no message.

use serde_json::json;

use super::cases;
use crate::host::Served;
use crate::request::{META, call, discover};

cases! {
    what_is_no_json_is_refused,
    an_empty_body_is_refused,
    invalid_utf_8_is_refused_wherever_it_stands,
    a_hundred_levels_are_too_deep,
    a_key_that_stands_twice_is_refused,
    an_array_is_refused,
    ten_megabytes_are_too_many,
    the_largest_body_is_served,
}

const PARSE_ERROR: i64 = -32700;

async fn what_is_no_json_is_refused(server: &Served) {
    for body in ["{", "nonsense", "{\"jsonrpc\":\"2.0\",}", "{} {}", "\"", "{\"a\":01}", "\u{feff}{}", "{'a':1}"] {
        server.send(discover().body(body)).await.expect_error(400, PARSE_ERROR, None, "JSON");
    }
}

async fn an_empty_body_is_refused(server: &Served) {
    for body in ["", " ", "\r\n\r\n"] {
        server.send(discover().raw_body(body)).await.expect_error(400, PARSE_ERROR, None, "JSON");
    }
}

async fn invalid_utf_8_is_refused_wherever_it_stands(server: &Served) {
    let whole = call("echo", r#"{"message":"?","unknown":"?"}"#).body;
    for (at, _) in whole.iter().enumerate().filter(|(_, byte)| **byte == b'?') {
        let mut body = whole.clone();
        body[at] = 0xff;
        server.send(call("echo", "{}").raw_body(body)).await.expect_error(400, PARSE_ERROR, None, "UTF-8");
    }
}

async fn a_hundred_levels_are_too_deep(server: &Served) {
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let response = server.send(call("echo", &format!(r#"{{"message":"a","more":{nested}}}"#))).await;
    response.expect_error(400, PARSE_ERROR, None, "64 levels");
    let bottomless = server.send(discover().raw_body("[".repeat(1024 * 1024))).await;
    bottomless.expect_error(400, PARSE_ERROR, None, "64 levels");
}

async fn a_key_that_stands_twice_is_refused(server: &Served) {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"server/discover","params":{META}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"a","message":"b"},META}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"add",META}}"#,
    ] {
        server.send(call("echo", "{}").body(body)).await.expect_error(400, PARSE_ERROR, None, "twice");
    }
}

async fn an_array_is_refused(server: &Served) {
    let one = format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}]"#);
    for body in ["[]", "[1,2]", &one] {
        server.send(discover().raw_body(body)).await.expect_error(400, -32600, None, "batches");
    }
}

async fn ten_megabytes_are_too_many(server: &Served) {
    let large = format!(r#"{{"message":"{}"}}"#, "a".repeat(10 * 1024 * 1024));
    server.send(call("echo", &large)).await.expect_error(413, -32600, None, "4194304 bytes");
}

/// One byte less than too many, and one byte more.
async fn the_largest_body_is_served(server: &Served) {
    const LIMIT: usize = 4 * 1024 * 1024;
    let mut body = discover().body;
    body.resize(LIMIT, b' ');
    let response = server.send(discover().raw_body(body.clone())).await;
    assert_eq!((response.head.status, &response.json()["id"]), (200, &json!(1)));
    body.push(b' ');
    server.send(discover().raw_body(body)).await.expect_error(413, -32600, None, "4194304 bytes");
}
