//! Each API, as the mock serves it.

use std::time::Duration;

use futures_util::StreamExt;
use mcp_connect::ProviderModel;
use mcp_core::model::delta::{Delta, FinishReason};
use mcp_core::model::message::ToolResult;
use mcp_core::model::request::ToolDefinition;
use mcp_core::{LanguageModel, LanguageModelExt, Message, ModelError, ModelRequest};
use serde_json::{Value, json};

/// The APIs, and what follows the address of the mock.
const PROVIDERS: [(&str, &str); 7] = [
    ("openai", "/v1"),
    ("openai_compatible", "/v1"),
    ("openai_responses", "/v1"),
    ("anthropic", "/v1"),
    ("gemini", "/v1beta"),
    ("ollama", ""),
    ("bedrock", ""),
];

fn models() -> impl Iterator<Item = (&'static str, ProviderModel)> {
    let base = super::url("MOCK_URL");
    PROVIDERS
        .iter()
        .map(move |(provider, path)| (*provider, super::model(provider, "mock-1", &format!("{base}{path}"), json!({}))))
}

fn request(text: &str) -> ModelRequest {
    ModelRequest::new([Message::system("Be brief."), Message::user(text)])
}

/// A name that no provider takes as it is.
const TOOL: &str = "math.add";

fn with_tool(request: ModelRequest) -> ModelRequest {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}});
    let Value::Object(input_schema) = schema else { unreachable!("it is an object") };
    request.tools([ToolDefinition { name: TOOL.to_owned(), description: "Adds.".to_owned(), input_schema }])
}

#[tokio::test]
async fn a_text_comes_in_pieces_with_an_end_and_what_it_has_used() {
    for (provider, model) in models() {
        let deltas: Vec<_> = model.stream(&request("greet")).await.unwrap().collect().await;
        let texts: Vec<_> = deltas
            .iter()
            .filter_map(|delta| if let Ok(Delta::Text { text }) = delta { Some(&**text) } else { None })
            .collect();
        assert_eq!(texts.concat(), "Good day to you, and to all of yours.", "{provider}: {deltas:?}");
        assert!(texts.len() > 2, "{provider}: {texts:?}");
        let Some(Ok(Delta::End(end))) = deltas.last() else { panic!("{provider}: {deltas:?}") };
        assert_eq!(end.finish, FinishReason::Stop, "{provider}");
        assert!(end.usage.is_some(), "{provider}: {end:?}");
    }
}

#[tokio::test]
async fn calls_come_whole_and_their_results_go_back() {
    for (provider, model) in models() {
        let request = with_tool(request("two calls"));
        let reply = model.complete(&request).await.unwrap();
        assert_eq!(reply.end.finish, FinishReason::ToolCalls, "{provider}");
        let calls: Vec<(String, Value)> = reply
            .message
            .tool_calls()
            .map(|call| (call.name.clone(), serde_json::from_str(&call.arguments).unwrap()))
            .collect();
        let expected = [json!({"a": 1, "b": 2}), json!({"a": 3, "b": 4})].map(|of| (TOOL.to_owned(), of));
        assert_eq!(calls, expected, "{provider}: {reply:?}");
        let results: Vec<_> = reply
            .message
            .tool_calls()
            .map(|call| ToolResult { id: call.id.clone(), content: "3".to_owned(), is_error: false })
            .collect();
        let mut next = request;
        next.messages.extend([reply.message.into(), Message::results(results).into()]);
        let last = model.complete(&next).await.unwrap();
        assert_eq!(last.message.text(), "The sum is three.", "{provider}");
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_broken_after_what_was_said() {
    for (provider, model) in models() {
        let deltas: Vec<_> = match model.stream(&request("be cut")).await {
            Ok(deltas) => deltas.collect().await,
            Err(error) => vec![Err(error)],
        };
        assert!(matches!(deltas.last(), Some(Err(ModelError::BrokenStream { .. }))), "{provider}: {deltas:?}");
        assert!(!deltas.iter().any(|delta| matches!(delta, Ok(Delta::End(_)))), "{provider}: {deltas:?}");
    }
}

#[tokio::test]
async fn errors_say_whether_and_when_to_ask_again() {
    for (provider, model) in models() {
        let error = model.complete(&request("be slow")).await.unwrap_err();
        assert!(matches!(error, ModelError::RateLimited { .. }), "{provider}: {error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{provider}");
        let error = model.complete(&request("break")).await.unwrap_err();
        assert!(matches!(error, ModelError::Unavailable { .. }) && error.is_retryable(), "{provider}: {error:?}");
        assert!(error.to_string().contains("it broke"), "{provider}: {error}");
    }
}

#[tokio::test]
async fn garbage_and_a_connection_that_ends_are_errors() {
    for (provider, model) in models() {
        let error = model.complete(&request("garble")).await.unwrap_err();
        assert!(matches!(error, ModelError::BrokenStream { .. }), "{provider}: {error:?}");
        let error = model.complete(&request("hang up")).await.unwrap_err();
        assert!(error.is_retryable(), "{provider}: {error:?}");
    }
}
