//! Which era a message belongs to, and what is the older one's own.

use mcp_core::{Endpoint, Server, ToolError, ToolOutput, tool_fn};
use serde_json::{Value, json};

use crate::support::{MODERN, Request, send};

fn endpoint() -> Endpoint {
    async fn hello() -> Result<String, ToolError> {
        Ok("Hello!".to_owned())
    }
    async fn numbers() -> Result<Vec<u8>, ToolError> {
        Ok(vec![1, 2])
    }
    async fn point() -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::structured(&json!({"x": 1}))?)
    }
    let server = Server::builder("house", "1.0.0")
        .title("The House")
        .instructions("Ask first.")
        .tool(tool_fn("hello", "Greets.", hello).read_only())
        .tool(tool_fn("numbers", "Counts.", numbers))
        .tool(tool_fn("point", "Points.", point));
    Endpoint::new(server.build().unwrap())
}

async fn text(request: Request) -> String {
    let reply = send(&endpoint(), &request).await;
    assert_eq!((reply.status, reply.content_type), (200, Some("application/json")), "{reply:?}");
    let is_handshake = reply.text.contains("protocolVersion");
    assert_eq!(reply.header("mcp-session-id").is_some(), is_handshake, "{reply:?}");
    reply.text
}

#[tokio::test]
async fn discover_says_what_is_served() {
    assert_eq!(
        text(Request::modern("server/discover", json!({}))).await,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"logging":{}},"instructions":"Ask first.","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"house","version":"1.0.0","title":"The House"}}}}"#
    );
}

#[tokio::test]
async fn a_modern_call_is_answered_to_the_byte() {
    let mut request = Request::call("hello", json!({}));
    request.body = String::from_utf8(request.body).unwrap().replace(r#""id":1"#, r#""id":"a\u0062""#).into_bytes();
    assert_eq!(
        text(request).await,
        r#"{"jsonrpc":"2.0","id":"a\u0062","result":{"resultType":"complete","content":[{"type":"text","text":"Hello!"}],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"house","version":"1.0.0","title":"The House"}}}}"#
    );
    let numbers = text(Request::call("numbers", json!({}))).await;
    assert!(numbers.contains(r#""content":[{"type":"text","text":"[1,2]"}],"structuredContent":[1,2],"#), "{numbers}");
}

#[tokio::test]
async fn a_handshake_agrees_on_a_version() {
    for (asked, agreed) in [
        (json!("2025-11-25"), "2025-11-25"),
        (json!("2025-06-18"), "2025-06-18"),
        (json!("2025-03-26"), "2025-03-26"),
        (json!("2024-11-05"), "2025-11-25"),
        // There is no handshake in the modern era, so this asks for the newest of the older one.
        (json!(MODERN), "2025-11-25"),
        (json!(5), "2025-11-25"),
    ] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).to_string();
        assert_eq!(
            text(Request::post(body)).await,
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"{agreed}","capabilities":{{"tools":{{"listChanged":true}},"logging":{{}}}},"serverInfo":{{"name":"house","version":"1.0.0","title":"The House"}},"instructions":"Ask first."}}}}"#
            )
        );
    }
}

#[tokio::test]
async fn the_older_era_is_answered_to_the_byte() {
    for header in ["2025-11-25", "2025-06-18", "2025-03-26", ""] {
        let post = |method: &str, params: Value| {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
            let request = Request::post(body);
            if header.is_empty() { request } else { request.with("mcp-protocol-version", header) }
        };
        assert_eq!(text(post("ping", json!({}))).await, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert_eq!(
            text(post("tools/call", json!({"name": "hello"}))).await,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Hello!"}]}}"#
        );
        // Structured output is an object here, or there is none.
        assert_eq!(
            text(post("tools/call", json!({"name": "numbers"}))).await,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"[1,2]"}]}}"#
        );
        assert_eq!(
            text(post("tools/call", json!({"name": "point"}))).await,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"x\":1}"}],"structuredContent":{"x":1}}}"#
        );
        assert_eq!(
            text(post("tools/call", json!({"name": "hallo"}))).await,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"there is no tool \"hallo\"; did you mean \"hello\"?"}}"#
        );
        let unknown = text(post("prompts/list", json!({}))).await;
        assert!(unknown.starts_with(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"#), "{unknown}");
    }
}

#[tokio::test]
async fn an_older_client_is_not_shown_schemas_that_it_does_not_know() {
    let list = |text: String| serde_json::from_str::<Value>(&text).unwrap()["result"].clone();
    let modern = list(text(Request::modern("tools/list", json!({}))).await);
    let legacy = list(text(Request::legacy("tools/list", json!({}))).await);
    assert_eq!(modern["tools"][1]["outputSchema"]["type"], "array");
    assert_eq!(legacy["tools"][1].get("outputSchema"), None);
    assert_eq!(legacy["tools"][0], modern["tools"][0]);
    assert_eq!(legacy.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
    assert_eq!((&modern["ttlMs"], &modern["cacheScope"]), (&json!(0), &json!("private")));
}

#[tokio::test]
async fn notifications_are_accepted_without_an_answer() {
    let endpoint = endpoint();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": MODERN});
    for (method, params) in [
        ("notifications/initialized", json!({})),
        ("notifications/cancelled", json!({"requestId": 1})),
        ("notifications/cancelled", json!({"requestId": 1, "_meta": meta})),
        ("no/such", json!({"_meta": meta})),
    ] {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        let reply = send(&endpoint, &Request::post(body)).await;
        assert_eq!((reply.status, reply.content_type, reply.text.as_str()), (202, None, ""), "{method}");
    }
    let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let reply = send(&endpoint, &Request::post(body).with("mcp-protocol-version", "1999-01-01")).await;
    assert_eq!((reply.status, reply.json().get("id")), (400, None));
}

#[tokio::test]
async fn the_era_is_what_the_message_says_and_then_what_its_header_says() {
    let endpoint = endpoint();
    let meta =
        json!({"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}});
    let cases = [
        // Method, `_meta`, version header; status and code.
        ("initialize", Some(&meta), Some(MODERN), 404, -32601),
        ("ping", Some(&meta), Some(MODERN), 404, -32601),
        ("ping", Some(&meta), None, 400, -32020),
        ("ping", Some(&meta), Some("2025-11-25"), 400, -32020),
        ("ping", None, Some(MODERN), 400, -32602),
        ("ping", None, Some("2026-07-27"), 400, -32600),
        ("ping", None, Some("v999.0.0"), 400, -32600),
        ("ping", None, Some("9999"), 400, -32600),
        ("tools/list", None, Some(""), 400, -32600),
        ("server/discover", None, None, 400, -32602),
        ("server/discover", None, Some("2025-11-25"), 400, -32602),
        ("no/such", None, Some("2025-11-25"), 200, -32601),
        ("no/such", None, None, 200, -32601),
    ];
    for (method, meta, header, status, code) in cases {
        let mut body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
        if let Some(meta) = meta {
            body["params"]["_meta"] = meta.clone();
        }
        let mut request = Request::post(body.to_string()).with("mcp-method", method);
        if let Some(header) = header {
            request = request.with("mcp-protocol-version", header);
        }
        let reply = send(&endpoint, &request).await;
        let answered = (reply.status, reply.json()["error"]["code"].clone(), reply.json()["id"].clone());
        assert_eq!(answered, (status, json!(code), json!(1)), "{method} {header:?}: {reply:?}");
    }
}
