//! Asking the client's model.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::capability::ClientCapability;
use crate::content::{Content, Role};

/// A conversation that the client's model goes on with (schema, `CreateMessageRequestParams`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampling {
    messages: Vec<Value>,
    max_tokens: u32,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Sampling {
    /// The user says this; the answer has at most `max_tokens` tokens.
    pub fn new(text: impl Into<String>, max_tokens: u32) -> Self {
        Self { messages: Vec::new(), max_tokens, more: Map::new() }.user(text.into())
    }

    /// The user says one more thing.
    #[must_use]
    pub fn user(self, content: impl Into<Content>) -> Self {
        self.says(Role::User, &content.into())
    }

    /// The assistant has said this.
    #[must_use]
    pub fn assistant(self, content: impl Into<Content>) -> Self {
        self.says(Role::Assistant, &content.into())
    }

    fn says(mut self, role: Role, content: &Content) -> Self {
        let mut encoded = Vec::new();
        content.encode(&mut encoded);
        let content: Value = serde_json::from_slice(&encoded).unwrap_or_default();
        self.messages.push(json!({"role": role, "content": content}));
        self
    }

    /// What the model is told before the conversation.
    #[must_use]
    pub fn system_prompt(self, prompt: impl Into<String>) -> Self {
        self.with("systemPrompt", prompt.into())
    }

    /// How much chance there is in the answer.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        self.with("temperature", temperature)
    }

    /// Any other parameter by its name in the schema, such as `modelPreferences`, `stopSequences` or `tools`.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl Into<Value>) -> Self {
        self.more.insert(parameter.to_owned(), value.into());
        self
    }

    pub(super) fn needs(&self) -> Vec<ClientCapability> {
        let mut needs = vec![ClientCapability::Sampling];
        if self.more.contains_key("tools") || self.more.contains_key("toolChoice") {
            needs.push(ClientCapability::SamplingTools);
        }
        if self.more.get("includeContext").is_some_and(|context| context != "none") {
            needs.push(ClientCapability::SamplingContext);
        }
        needs
    }
}

/// What the model said (schema, `CreateMessageResult`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    /// One piece of content, or several, as they came.
    content: Value,
    model: String,
    #[serde(default)]
    stop_reason: Option<String>,
}

impl Sampled {
    /// All texts of the answer, one after the other.
    pub fn text(&self) -> String {
        let pieces = match &self.content {
            Value::Array(pieces) => pieces.as_slice(),
            piece => std::slice::from_ref(piece),
        };
        pieces.iter().filter_map(|piece| piece.get("text")?.as_str()).collect()
    }

    /// The content as it came: a piece, or an array of pieces.
    pub fn content(&self) -> &Value {
        &self.content
    }

    /// Which model has answered.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Why it stopped.
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.as_deref()
    }
}
