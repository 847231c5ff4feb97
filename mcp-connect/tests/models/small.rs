//! A real model: small, and on the processor.

use futures_util::StreamExt;
use mcp_connect::ProviderModel;
use mcp_core::model::delta::{Delta, FinishReason};
use mcp_core::model::request::OutputSchema;
use mcp_core::{LanguageModel, LanguageModelExt, Message, ModelRequest};
use serde_json::{Value, json};

fn small() -> ProviderModel {
    let base = format!("{}/v1", super::url("SMALL_MODEL_URL"));
    super::model("openai_compatible", "small", &base, json!({"seed": 7}))
}

fn request(text: &str, most: u32) -> ModelRequest {
    ModelRequest::new([Message::user(text)]).max_output_tokens(most).temperature(0.0)
}

#[tokio::test]
async fn it_talks_piece_by_piece_and_says_what_it_has_used() {
    let deltas: Vec<_> = small().stream(&request("Say hello.", 24)).await.unwrap().collect().await;
    assert!(deltas.iter().filter(|delta| matches!(delta, Ok(Delta::Text { .. }))).count() > 2, "{deltas:?}");
    let Some(Ok(Delta::End(end))) = deltas.last() else { panic!("{deltas:?}") };
    let usage = end.usage.unwrap();
    assert!(usage.input_tokens > 0 && (1..=24).contains(&usage.output_tokens), "{usage:?}");
}

#[tokio::test]
async fn a_reply_that_is_as_long_as_it_may_be_says_so() {
    let reply = small().complete(&request("Tell me a very long story.", 8)).await.unwrap();
    assert_eq!(reply.end.finish, FinishReason::Length);
}

#[tokio::test]
async fn a_reply_has_the_form_that_was_asked_for() {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "capital": {"type": "boolean"}},
        "required": ["city", "capital"],
        "additionalProperties": false,
    });
    let Value::Object(schema) = schema else { unreachable!("it is an object") };
    let output = OutputSchema { name: "city".to_owned(), schema };
    let reply = small().complete(&request("Name the capital of France.", 100).output(output)).await.unwrap();
    let value: Value = serde_json::from_str(&reply.message.text()).unwrap_or_else(|_| panic!("{reply:?}"));
    assert!(value["city"].is_string() && value["capital"].is_boolean(), "{value}");
}

#[tokio::test]
async fn who_goes_away_in_the_middle_leaves_it_free_for_others() {
    let model = small();
    // As many as it serves at once: were they not cancelled, the last would wait for thousands of tokens.
    for _ in 0..4 {
        let mut deltas = model.stream(&request("Tell me a very long story.", 1_500)).await.unwrap();
        assert!(deltas.next().await.is_some_and(|delta| delta.is_ok()));
    }
    let reply = model.complete(&request("Say hello.", 8)).await.unwrap();
    assert!(!reply.message.text().is_empty());
}
