//! The headers that repeat the body, in all their encodings: the version, the method, the name. The headers of the input are
//! those of the request; its body has a line each for the version, the method and the name of the message.
//!
//! Sabotaged, a name in `Mcp-Name` may go on behind that of the body.
#![no_main]

use std::cell::LazyCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use mcp_core::Endpoint;
use mcp_core_fuzz::{Request, local, sabotaged};
use serde_json::{Value, json};

const SERVED: &str = "2026-07-28";
const MISMATCH: i64 = -32020;
const UNSUPPORTED: i64 = -32022;

thread_local! {
    static ENDPOINT: LazyCell<Endpoint> = LazyCell::new(mcp_core_fuzz::endpoint);
}

fuzz_target!(|bytes: &[u8]| {
    let request = Request::read(bytes);
    let lines = String::from_utf8_lossy(&request.body).into_owned();
    let mut lines = lines.splitn(3, '\n');
    let [version, method, name] = std::array::from_fn(|_| lines.next().unwrap_or_default());

    let mut ours = request.clone();
    if sabotaged() {
        for (own, value) in &mut ours.headers {
            if own == "mcp-name" && value.starts_with(name.as_bytes()) {
                *value = name.as_bytes().to_vec();
            }
        }
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": name, "_meta": {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }}});
    ours.body = message.to_string().into();
    ours.verb = "POST".to_owned();
    let answer = ENDPOINT.with(|endpoint| mcp_core_fuzz::answer(endpoint, &ours, local()));
    let code = answer.last()["error"]["code"].as_i64();
    let routed = !matches!(code, Some(MISMATCH | UNSUPPORTED));
    match expected(&request, version, method, name) {
        Some(expected) => assert_eq!((answer.status, code), (400, Some(expected))),
        None => assert!(routed, "{:?}", answer.last()),
    }
    if code == Some(UNSUPPORTED) {
        assert_eq!(answer.last()["error"]["data"], json!({"supported": [SERVED], "requested": version}));
    }
    assert_eq!(answer.last()["id"], Value::from(1));
});

/// The code that the rules give, the upper one first; `None` where they have nothing against the headers.
fn expected(request: &Request, version: &str, method: &str, name: &str) -> Option<i64> {
    let says = |header: &str, body: &str| request.one(header) == Ok(Some(body));
    if !says("mcp-protocol-version", version) {
        return Some(MISMATCH);
    }
    if version != SERVED {
        return Some(UNSUPPORTED);
    }
    let named = match method {
        "tools/call" | "prompts/get" => Some(name),
        // The body has no URI.
        "resources/read" => Some(""),
        _ => None,
    };
    if !says("mcp-method", method) || named.is_some_and(|name| !names(request, name)) {
        return Some(MISMATCH);
    }
    None
}

/// Whether `Mcp-Name` stands for `name`: as its base64 between the markers, or as itself.
fn names(request: &Request, name: &str) -> bool {
    match request.one("mcp-name") {
        Ok(Some(value)) if value.starts_with("=?base64?") && value.len() >= 11 && value.ends_with("?=") => {
            value == format!("=?base64?{}?=", STANDARD.encode(name))
        }
        Ok(Some(value)) => value == name,
        _ => false,
    }
}
