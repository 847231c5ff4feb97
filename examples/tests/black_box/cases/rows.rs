//! Rows 2 to 11 of the rejection table. Each answer has the row's status and code, the request's id where there is one, and a
//! message that names what is missing.

use serde_json::{Value, json};

use super::cases;
use crate::host::Served;
use crate::request::{META, Request, call, discover, list};

cases! {
    row_3_what_is_no_request,
    row_4_meta_is_missing,
    row_5_the_version_header_differs,
    row_6_the_version_is_not_served,
    row_7_a_routing_header_differs,
    row_8_the_method_is_not_served,
    row_10_the_parameters_name_nothing,
    the_first_row_that_applies_answers,
}

const ID: Option<Value> = None;

fn one() -> Option<Value> {
    Some(json!(1))
}

async fn row_3_what_is_no_request(server: &Served) {
    for (body, id, mentions) in [
        (r#""server/discover""#, ID, "object"),
        ("null", ID, "object"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"server/discover","params":{META}}"#, ID, "`id`"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"server/discover","params":{META}}"#, ID, "`id`"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"server/discover","params":{META}}"#, ID, "`id`"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"server/discover","params":{META}}"#, one(), "`jsonrpc`"),
        (r#"{"id":1,"method":"server/discover","params":{META}}"#, one(), "`jsonrpc`"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7,"params":{META}}"#, one(), "`method`"),
        (r#"{"jsonrpc":"2.0","id":1}"#, one(), "`method`"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":[]}"#, one(), "`params`"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, one(), "response"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#, one(), "response"),
    ] {
        server.send(discover().body(body)).await.expect_error(400, -32600, id, mentions);
    }
}

async fn row_4_meta_is_missing(server: &Served) {
    for (params, mentions) in [
        ("{}", "io.modelcontextprotocol/protocolVersion"),
        (r#"{"_meta":{}}"#, "io.modelcontextprotocol/protocolVersion"),
        (r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#, "io.modelcontextprotocol/protocolVersion"),
        (
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7,"io.modelcontextprotocol/clientCapabilities":{}}}"#,
            "io.modelcontextprotocol/protocolVersion",
        ),
        (
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
            "io.modelcontextprotocol/clientCapabilities",
        ),
        (
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}}"#,
            "io.modelcontextprotocol/clientCapabilities",
        ),
        (r#"{"_meta":[]}"#, "_meta"),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{params}}}"#);
        server.send(discover().raw_body(body)).await.expect_error(400, -32602, one(), mentions);
    }
    let none = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
    server.send(discover().raw_body(none)).await.expect_error(400, -32602, one(), "protocolVersion");
    // The header alone makes a request modern.
    let none = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    server.send(list("").raw_body(none)).await.expect_error(400, -32602, one(), "protocolVersion");
}

async fn row_5_the_version_header_differs(server: &Served) {
    let missing = discover().without("MCP-Protocol-Version");
    server.send(missing).await.expect_error(400, -32020, one(), "`MCP-Protocol-Version` is missing");
    for version in ["2025-11-25", "2027-01-01", "", "2026-07-28, 2026-07-28"] {
        let response = server.send(discover().with("MCP-Protocol-Version", version)).await;
        response.expect_error(400, -32020, one(), "MCP-Protocol-Version");
    }
    let body = String::from_utf8(discover().body).expect("it is text").replace("2026-07-28", "v999.0.0");
    server.send(discover().raw_body(body)).await.expect_error(400, -32020, one(), "MCP-Protocol-Version");
}

async fn row_6_the_version_is_not_served(server: &Served) {
    for version in ["v999.0.0", "2027-01-01", "2025-11-25"] {
        let body = String::from_utf8(discover().body).expect("it is text").replace("2026-07-28", version);
        let response = server.send(discover().with("MCP-Protocol-Version", version).raw_body(body)).await;
        let error = response.expect_error(400, -32022, one(), version);
        assert_eq!(error["error"]["data"], json!({"supported": ["2026-07-28"], "requested": version}));
    }
}

async fn row_7_a_routing_header_differs(server: &Served) {
    for name in ["Mcp-Method", "Mcp-Name"] {
        let response = server.send(call("echo", "{}").without(name)).await;
        response.expect_error(400, -32020, one(), &format!("`{name}` is missing"));
        let response = server.send(call("echo", "{}").with(name, "another")).await;
        response.expect_error(400, -32020, one(), name);
    }
}

async fn row_8_the_method_is_not_served(server: &Served) {
    // What the older era had is unknown to the modern one, as is what nobody offers here.
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "resources/list",
        "unknown/method",
        "",
        "Tools/List",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{META}}}}}"#);
        let response = server.send(discover().with("Mcp-Method", method).raw_body(body)).await;
        response.expect_error(404, -32601, one(), method);
    }
}

async fn row_10_the_parameters_name_nothing(server: &Served) {
    let unknown = server.send(call("ech", "{}")).await;
    unknown.expect_error(200, -32602, one(), r#"did you mean "echo"?"#);
    server.send(call("echo", "[]")).await.expect_error(200, -32602, one(), "`params.arguments`");
    server.send(call("echo", "null")).await.expect_error(200, -32602, one(), "`params.arguments`");
    for cursor in [r#""bm9uZQ""#, r#""!""#, r#""""#, "7", "null"] {
        let response = server.send(list(&format!(r#""cursor":{cursor},"#))).await;
        response.expect_error(200, -32602, one(), "`params.cursor`");
    }
    for (key, value, mentions) in [
        ("io.modelcontextprotocol/logLevel", r#""loud""#, "emergency"),
        ("io.modelcontextprotocol/logLevel", "7", "emergency"),
        ("progressToken", "{}", "progressToken"),
        ("progressToken", "1.5", "progressToken"),
    ] {
        let meta = META.replace(r#""_meta":{"#, &format!(r#""_meta":{{"{key}":{value},"#));
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo",{meta}}}}}"#);
        server.send(call("echo", "{}").raw_body(body)).await.expect_error(200, -32602, one(), mentions);
    }
}

/// A request that breaks every row, from which one fault after the other is taken.
async fn the_first_row_that_applies_answers(server: &Served) {
    let v999 = r#""io.modelcontextprotocol/protocolVersion":"v999.0.0""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let request =
        |meta: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"unknown/method","params":{{"_meta":{{{meta}}}}}}}"#);
    let worst = Request::literal(
        "
POST /mcp HTTP/1.1
Host: 127.0.0.1
Origin: https://evil.example
X-API-Key: wrong
MCP-Protocol-Version: 2026-07-28

{",
    );
    let row_0 = worst.clone();
    let row_1 = worst.without("Origin");
    let row_2 = row_1.clone().without("X-API-Key");
    let row_3 = row_2.clone().raw_body("[]");
    let row_4 = row_3.clone().raw_body(request(v999));
    let row_5 = row_4.clone().raw_body(request(&format!("{v999},{capabilities}")));
    let row_6 = row_5.clone().with("MCP-Protocol-Version", "v999.0.0");
    let row_7 = row_6
        .clone()
        .with("MCP-Protocol-Version", "2026-07-28")
        .body(r#"{"jsonrpc":"2.0","id":1,"method":"unknown/method","params":{META}}"#);
    let row_8 = row_7.clone().header("Mcp-Method", "unknown/method");
    for (row, request, status, code, id) in [
        (0, row_0, 403, -32600, ID),
        (1, row_1, 401, -32600, ID),
        (2, row_2, 400, -32700, ID),
        (3, row_3, 400, -32600, ID),
        (4, row_4, 400, -32602, one()),
        (5, row_5, 400, -32020, one()),
        (6, row_6, 400, -32022, one()),
        (7, row_7, 400, -32020, one()),
        (8, row_8, 404, -32601, one()),
    ] {
        let response = server.send(request).await;
        assert_eq!(response.head.status, status, "row {row}: {}", response.text());
        response.expect_error(status, code, id, "");
    }
}
