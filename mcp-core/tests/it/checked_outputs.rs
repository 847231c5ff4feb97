//! What a tool by hand gives is held against the schema that it was offered with.

use std::sync::Arc;

use mcp_core::tool::registry::OfferedTool;
use mcp_core::{Arguments, Context, Tool, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};

use crate::support::{House, logging};

/// Gives what it is told to give.
struct Echo(ToolSpec);

#[async_trait::async_trait]
impl Tool for Echo {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, arguments: Arguments, _: Context) -> Result<ToolOutput, ToolError> {
        let Value::Object(mut told) = serde_json::from_slice(arguments.as_bytes())? else { unreachable!() };
        let output = match told.remove("value") {
            Some(value) => ToolOutput::structured(&value)?,
            None => ToolOutput::text("only a text"),
        };
        Ok(if told.contains_key("error") { output.as_error() } else { output })
    }
}

fn echo(schema: &Value) -> ToolSpec {
    let anything = json!({"type": "object"});
    ToolSpec::new("echo", "Echoes.").input_json(anything.as_object().unwrap().clone()).output_json(schema.clone())
}

fn counted() -> Value {
    json!({
        "type": "object",
        "properties": {"count": {"type": "integer", "minimum": 0}, "name": {"type": "string", "maxLength": 5}},
        "required": ["count"],
        "additionalProperties": false,
    })
}

#[test]
fn an_output_that_does_not_fit_is_not_sent_and_the_log_says_where_and_nothing_of_what_it_holds() {
    logging(async |log| {
        let house = House::new(|builder| builder.tool(Echo(echo(&counted()))));
        for (value, told) in [
            (json!({"count": -1, "name": "hunter2hunter2"}), vec!["/count: ", "/name: "]),
            (json!({}), vec!["count"]),
            (json!({"count": 1, "more": "hunter2"}), vec!["more"]),
            (json!(["hunter2"]), vec!["object"]),
        ] {
            let result = house.call("echo", json!({"value": value})).await;
            let record = house.records().await.pop().unwrap();
            let shown = format!("the tool failed inside; the server's log has the cause under {}", record.id);
            assert_eq!((&result["isError"], &result["content"][0]["text"]), (&json!(true), &json!(shown)));
            assert_eq!((record.outcome.as_str(), result.get("structuredContent")), ("internal", None));
            let line = log.take();
            assert!(line.contains(&record.id.to_string()), "{line}");
            for word in told.into_iter().chain(["does not fit its schema"]) {
                assert!(line.contains(word), "{word:?} is not in: {line}");
            }
            assert!(!line.contains("hunter2") && !result.to_string().contains("hunter2"), "{line}");
        }
        let result = house.call("echo", json!({})).await;
        assert_eq!(result["isError"], true, "it has promised something structured");
        assert!(log.take().contains("no structured output"));
    });
}

#[tokio::test]
async fn what_fits_is_sent_and_so_is_what_says_that_it_failed() {
    let house = House::new(|builder| builder.tool(Echo(echo(&counted()))));
    let fitting = json!({"count": 3, "name": "abc"});
    assert_eq!(house.call("echo", json!({"value": fitting})).await["structuredContent"], fitting);
    for failed in [json!({"error": true}), json!({"error": true, "value": {"why": "it is closed"}})] {
        let result = house.call("echo", failed).await;
        assert_ne!(result["content"][0]["text"].as_str().unwrap().split(';').next(), Some("the tool failed inside"));
    }
}

#[tokio::test]
async fn where_it_is_taken_on_trust_nothing_is_checked() {
    let house = House::new(|builder| builder.tool(Echo(echo(&counted()).output_unchecked())));
    let result = house.call("echo", json!({"value": {"count": "many"}})).await;
    assert_eq!((result.get("isError"), &result["structuredContent"]), (None, &json!({"count": "many"})));
}

#[test]
fn a_schema_that_is_none_is_refused_when_the_tool_is_offered() {
    let offered = OfferedTool::new(Arc::new(Echo(echo(&json!({"type": "many"})))));
    let Err(bad) = offered else { panic!("it is offered") };
    assert!(bad.to_string().contains("its output schema"), "{bad}");
}
