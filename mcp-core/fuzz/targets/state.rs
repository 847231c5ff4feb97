//! The sealed state that clients carry from one round of questions to the next: what is not, to the letter, what the server gave is
//! refused, whatever answers come with it. The input says what is done to the state: how many characters are cut off, which one is
//! changed and by what, and what is put behind; then come the answers.
//!
//! Sabotaged, what was put behind the state is overlooked.
#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use mcp_core::Endpoint;
use mcp_core_fuzz::{Reply, Request, answer, endpoint, local, sabotaged};
use serde_json::{Value, json};

thread_local! {
    static GIVEN: LazyCell<(Endpoint, String)> = LazyCell::new(|| {
        let endpoint = endpoint();
        let asked = call(&endpoint, json!({}));
        let state = asked.last()["result"]["requestState"].as_str().expect("it asks").to_owned();
        (endpoint, state)
    });
}

/// Calls the tool that asks.
fn call(endpoint: &Endpoint, more: Value) -> Reply {
    let mut params = json!({"name": "ask", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    }});
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    let head = b"POST 127.0.0.1\nmcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: ask\n\n";
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    answer(endpoint, &Request::read(&[head, body.as_bytes()].concat()), local())
}

fuzz_target!(|bytes: &[u8]| {
    let [cut, place, change, rest @ ..] = bytes else { return };
    let (behind, answers) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &[][..]),
    };
    GIVEN.with(|given| {
        let (endpoint, genuine) = &**given;
        let mut state = genuine.clone().into_bytes();
        let place = usize::from(*place) % state.len();
        state[place] ^= change & 0x7f;
        state.truncate(state.len() - usize::from(*cut).min(state.len()));
        let behind = if sabotaged() { &[][..] } else { behind };
        let sent = [&String::from_utf8_lossy(&state), &*String::from_utf8_lossy(behind)].concat();
        let was = [
            &String::from_utf8_lossy(&state),
            &*String::from_utf8_lossy(rest.split(|byte| *byte == b'\n').next().unwrap_or_default()),
        ]
        .concat();
        let answers: Value = serde_json::from_slice(answers).unwrap_or_else(|_| json!({}));
        // What is nested too deeply is no message at all.
        let answers = if answers.to_string().matches(['[', '{']).count() > 30 { json!({}) } else { answers };
        let is_object = answers.is_object();
        let reply = call(endpoint, json!({"requestState": sent, "inputResponses": answers}));
        let refused = reply.last()["error"]["code"] == -32602;
        assert_eq!(reply.status, 200);
        assert_eq!(refused, was != *genuine || !is_object, "{:?}", reply.last());
    });
});
