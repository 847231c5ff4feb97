//! Whole requests to a server in memory: whatever comes, it is answered by the table of the specification, in JSON that
//! another reader reads, under the id that was sent.
//!
//! Sabotaged, an answer has the last three bits of its id.
#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use mcp_core::Endpoint;
use mcp_core_fuzz::{Request, answer, endpoint, sabotaged};
use serde_json::Value;

thread_local! {
    static ENDPOINT: LazyCell<Endpoint> = LazyCell::new(endpoint);
}

/// The status that goes with each code of an error (basic, "Error Codes"). The older era tells of a method that it does not
/// know with 200, as JSON-RPC over HTTP does.
const ERRORS: [(u16, i64); 14] = [
    (400, -32700),
    (400, -32600),
    (401, -32600),
    (403, -32600),
    (405, -32600),
    (400, -32602),
    (200, -32602),
    (404, -32600),
    (400, -32020),
    (400, -32021),
    (400, -32022),
    (404, -32601),
    (200, -32601),
    (200, -32603),
];

fuzz_target!(|bytes: &[u8]| {
    let request = Request::read(bytes);
    let mut answer = ENDPOINT.with(|endpoint| match mcp_core_fuzz::admit(endpoint, &request) {
        Ok(caller) => answer(endpoint, &request, caller),
        Err(refusal) => refusal,
    });
    for (name, value) in &answer.headers {
        assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}: {value:?}");
    }
    let has = |name: &str| answer.headers.iter().any(|(own, _)| *own == name);
    assert_eq!(has("allow"), answer.status == 405);
    assert_eq!(has("www-authenticate"), answer.status == 401);
    if answer.status == 202 {
        assert!(answer.messages.is_empty());
        return;
    }

    if sabotaged()
        && let Some(last) = answer.messages.last_mut()
        && let Some(id) = last["id"].as_i64()
    {
        last["id"] = (id & 0x7).into();
    }
    let (last, before) = answer.messages.split_last().expect("a request is answered");
    for notification in before {
        assert_eq!(notification["jsonrpc"], "2.0");
        assert!(notification["method"].as_str().is_some_and(|method| method.starts_with("notifications/")));
        assert!(notification.get("id").is_none() && notification["params"].is_object());
    }
    if last["method"] == "notifications/subscriptions/acknowledged" {
        return;
    }
    if let Value::Array(answers) = last {
        // The oldest revision has several messages at once, and their answers.
        assert!(answer.status == 200 && !answers.is_empty());
        assert!(answers.iter().all(
            |answer| answer["jsonrpc"] == "2.0" && answer.get("result").is_some() != answer.get("error").is_some()
        ));
        return;
    }
    assert_eq!(last["jsonrpc"], "2.0");
    match (last.get("result"), last.get("error")) {
        (Some(result), None) => assert!(answer.status == 200 && result.is_object()),
        (None, Some(error)) => {
            let code = error["code"].as_i64().expect("a code is an integer");
            assert!(ERRORS.contains(&(answer.status, code)), "{} with {code}", answer.status);
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        }
        _ => panic!("an answer is a result or an error: {last}"),
    }
    let code = last["error"]["code"].as_i64();
    if matches!(answer.status, 401 | 403 | 405) || code == Some(-32700) {
        assert!(last.get("id").is_none(), "nothing was read that has an id");
    } else if let Ok(sent) = serde_json::from_slice::<Value>(&request.body) {
        let id = sent.get("id").filter(|id| id.is_string() || id.is_number());
        assert!(last.get("id") == id || (last.get("id").is_none() && code == Some(-32600)), "{id:?}: {last}");
    }
});
