//! What a client gets that asks properly.

use serde_json::{Value, json};

use super::cases;
use crate::host::Served;
use crate::request::{META, call, discover, list};

cases! {
    discover_says_what_is_served,
    tools_are_listed_in_pages,
    a_tool_is_listed_with_its_schemas,
    a_text_is_content,
    a_value_is_structured_content_and_text,
    a_failure_is_a_result,
    wrong_arguments_are_a_result_that_names_each_fault,
    a_tool_without_arguments_is_called_without,
    a_cause_is_not_shown,
    a_panic_is_a_result,
    what_is_unavailable_is_503,
    an_id_comes_back_to_the_letter,
}

async fn discover_says_what_is_served(server: &Served) {
    server.send(discover()).await.expect_json(concat!(
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
        r#""capabilities":{"tools":{"listChanged":true},"logging":{}},"ttlMs":0,"cacheScope":"private","#,
        r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"black-box","version":"1.0.0"}}}}"#
    ));
}

async fn tools_are_listed_in_pages(server: &Served) {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.send(list(&cursor)).await.json();
        let result = &page["result"];
        assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
        let names = result["tools"].as_array().expect("a list").iter();
        pages.push(names.map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>());
        let Some(next) = result["nextCursor"].as_str() else { break };
        cursor = format!(r#""cursor":"{next}","#);
    }
    let expected = [vec!["echo", "add", "nothing"], vec!["panics", "breaks", "unavailable"], vec!["steps", "waits"]];
    assert_eq!(pages, expected);
}

async fn a_tool_is_listed_with_its_schemas(server: &Served) {
    let page = server.send(list("")).await.json();
    let integer = json!({"type": "integer", "format": "int64"});
    assert_eq!(
        page["result"]["tools"][1],
        json!({
            "name": "add",
            "description": "Adds two numbers.",
            "inputSchema": {"type": "object", "properties": {"a": integer, "b": integer}, "required": ["a", "b"]},
            "outputSchema": {"type": "object", "properties": {"sum": integer}, "required": ["sum"]},
        })
    );
}

/// The result of a call, whose members between `resultType` and `_meta` are these.
fn result(members: &str) -> String {
    let info = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"black-box","version":"1.0.0"}}"#;
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete",{members},{info}}}}}"#)
}

async fn a_text_is_content(server: &Served) {
    let said = r#"{"message":"Grüße, \"42\"\n\u0007"}"#;
    let content = r#""content":[{"type":"text","text":"Grüße, \"42\"\n\u0007"}]"#;
    server.send(call("echo", said)).await.expect_json(&result(content));
}

async fn a_value_is_structured_content_and_text(server: &Served) {
    let members = r#""content":[{"type":"text","text":"{\"sum\":5}"}],"structuredContent":{"sum":5}"#;
    server.send(call("add", r#"{"a":2,"b":3}"#)).await.expect_json(&result(members));
}

async fn a_failure_is_a_result(server: &Served) {
    let members = r#""content":[{"type":"text","text":"the sum is too large"}],"isError":true"#;
    server.send(call("add", r#"{"a":9223372036854775807,"b":1}"#)).await.expect_json(&result(members));
}

async fn wrong_arguments_are_a_result_that_names_each_fault(server: &Served) {
    let result = server.send(call("add", r#"{"a":"2"}"#)).await.json();
    assert_eq!(result["result"]["isError"], true);
    let text = result["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("/a") && text.contains("\"b\""), "{text}");
}

async fn a_tool_without_arguments_is_called_without(server: &Served) {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing",META}}"#;
    server.send(call("nothing", "{}").body(body)).await.expect_json(&result(r#""content":[]"#));
}

async fn a_cause_is_not_shown(server: &Served) {
    let result = server.send(call("breaks", "{}")).await.json();
    assert_eq!(result["result"]["isError"], true);
    let text = result["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(!text.contains("digit") && text.contains("log"), "{text}");
}

async fn a_panic_is_a_result(server: &Served) {
    let result = server.send(call("panics", "{}")).await.json();
    assert_eq!(result["result"]["isError"], true);
    assert!(!result.to_string().contains("on purpose"), "{result}");
}

async fn what_is_unavailable_is_503(server: &Served) {
    let response = server.send(call("unavailable", "{}")).await;
    let error = response.expect_error(503, -32603, Some(json!(1)), "try again");
    assert!(!error.to_string().contains("database"), "{error}");
    assert_eq!(response.head.header("retry-after"), Some("1"));
}

async fn an_id_comes_back_to_the_letter(server: &Served) {
    for id in ["0", "-7", "9007199254740993", r#""""#, r#""a-\u0041-é""#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"server/discover","params":{{{META}}}}}"#);
        let response = server.send(discover().raw_body(body)).await;
        assert!(
            response.text().starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result""#)),
            "{}",
            response.text()
        );
        assert!(response.json()["result"]["supportedVersions"] != Value::Null);
    }
}
