//! What a model is asked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::Message;
use super::shared;

/// A conversation to go on with, what may be called, and what the reply is to be like. Messages and tools are shared: to ask with a
/// long conversation copies none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelRequest {
    /// What was said so far.
    #[serde(with = "shared::list")]
    pub messages: Vec<Arc<Message>>,
    /// What the model may call.
    #[serde(with = "shared::slice", default, skip_serializing_if = "<[_]>::is_empty")]
    pub tools: Arc<[ToolDefinition]>,
    /// Whether it must.
    #[serde(default, skip_serializing_if = "ToolChoice::is_auto")]
    pub tool_choice: ToolChoice,
    /// That the reply is to be JSON which fits a schema.
    #[serde(with = "shared::option", default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Arc<OutputSchema>>,
    /// How many tokens the reply has at the most; as the provider has it, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// How much chance there is in the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Texts before which the reply ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
}

/// A tool, as a model is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// By which it is called. Where a provider does not allow a name, it is sent another one, and no model learns of that.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Map<String, Value>,
}

/// Whether the model must call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must call one.
    Required,
    /// It must call this one.
    Tool(String),
}

/// What a reply is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSchema {
    /// What such a thing is called, in letters, digits, `-` and `_`.
    pub name: String,
    /// Its JSON Schema.
    pub schema: Map<String, Value>,
}

impl ModelRequest {
    /// Goes on with these messages.
    pub fn new<M: Into<Arc<Message>>>(messages: impl IntoIterator<Item = M>) -> Self {
        Self { messages: messages.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The model may call these.
    #[must_use]
    pub fn tools(mut self, tools: impl Into<Arc<[ToolDefinition]>>) -> Self {
        self.tools = tools.into();
        self
    }

    /// Whether it must.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = choice;
        self
    }

    /// The reply is to be JSON which fits this schema.
    #[must_use]
    pub fn output(mut self, output: impl Into<Arc<OutputSchema>>) -> Self {
        self.output = Some(output.into());
        self
    }

    /// The reply has so many tokens at the most.
    #[must_use]
    pub fn max_output_tokens(mut self, most: u32) -> Self {
        self.max_output_tokens = Some(most);
        self
    }

    /// How much chance there is in the reply.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// The reply ends before this text.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Roughly how many tokens it takes: one for each four bytes, by which languages with other letters take more than they do.
    pub fn estimated_tokens(&self) -> u64 {
        let messages: usize = self.messages.iter().map(|message| message.size()).sum();
        let tools: usize = self.tools.iter().map(ToolDefinition::size).sum();
        (messages + tools).div_ceil(BYTES_PER_TOKEN) as u64
    }
}

/// How many bytes a token is taken to have, where nobody has counted.
pub(crate) const BYTES_PER_TOKEN: usize = 4;

impl ToolDefinition {
    /// Roughly how many bytes it takes.
    fn size(&self) -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::Object(members) => members.iter().map(|(key, value)| key.len() + of(value) + 4).sum(),
                Value::Array(items) => items.iter().map(|item| of(item) + 1).sum(),
                Value::String(text) => text.len() + 2,
                _ => 4,
            }
        }
        let schema: usize = self.input_schema.iter().map(|(key, value)| key.len() + of(value) + 4).sum();
        self.name.len() + self.description.len() + schema
    }
}

impl ToolChoice {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_kept_in_this_form() {
        let plain = ModelRequest::new([Message::user("Hi")]);
        let kept = r#"{"messages":[{"role":"user","parts":[{"type":"text","text":"Hi"}]}]}"#;
        assert_eq!(serde_json::to_string(&plain).unwrap(), kept);
        assert_eq!(serde_json::from_str::<ModelRequest>(kept).unwrap(), plain);

        let schema = |kind: &str| Map::from_iter([("type".to_owned(), kind.into())]);
        let tool =
            ToolDefinition { name: "add".to_owned(), description: "Adds.".to_owned(), input_schema: schema("object") };
        let full = plain
            .tools([tool])
            .tool_choice(ToolChoice::Tool("add".to_owned()))
            .output(OutputSchema { name: "sum".to_owned(), schema: schema("object") })
            .max_output_tokens(9)
            .temperature(0.5)
            .stop("END");
        let kept = concat!(
            r#"{"messages":[{"role":"user","parts":[{"type":"text","text":"Hi"}]}],"#,
            r#""tools":[{"name":"add","description":"Adds.","input_schema":{"type":"object"}}],"#,
            r#""tool_choice":{"tool":"add"},"output":{"name":"sum","schema":{"type":"object"}},"#,
            r#""max_output_tokens":9,"temperature":0.5,"stop":["END"]}"#,
        );
        assert_eq!(serde_json::to_string(&full).unwrap(), kept);
        assert_eq!(serde_json::from_str::<ModelRequest>(kept).unwrap(), full);
    }

    #[test]
    fn a_request_takes_about_a_token_for_each_four_bytes() {
        let tokens = ModelRequest::new([Message::user("a".repeat(4_000))]).estimated_tokens();
        assert!((1_000..1_020).contains(&tokens), "{tokens}");
    }
}
