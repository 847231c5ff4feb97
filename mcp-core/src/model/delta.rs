//! What a model says, piece by piece.

use serde::{Deserialize, Serialize};

use super::message::{Reasoning, ToolCall};
use super::price::Money;
use super::usage::Usage;

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Delta {
    /// More of the text.
    Text {
        /// What is added.
        text: String,
    },
    /// More of what the model thinks. With what is opaque in it, that thought ends.
    Reasoning(Reasoning),
    /// More of a call.
    ToolCall(ToolCallPiece),
    /// The reply is complete.
    End(End),
}

/// More of a call: the pieces of one place are one call, and one of them can be all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallPiece {
    /// Which of the calls of this reply, from 0.
    pub index: u32,
    /// The id; the first piece has it, where the provider gives one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Which tool; the first piece has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is added to the text of the arguments.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arguments: String,
}

/// How a reply has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Why.
    pub finish: FinishReason,
    /// What it has used, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it has cost, where that is known: nothing is not the same as free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// Which model has answered, as its provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Why a reply has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// All is said, or one of the texts before which it was to end has come.
    Stop,
    /// It was as long as it may be.
    Length,
    /// The model waits for what its calls give.
    ToolCalls,
    /// The provider does not let the rest through.
    ContentFilter,
    /// Another reason, in the provider's word.
    #[serde(untagged)]
    Other(String),
}

impl FinishReason {
    /// Its word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }
}

impl Delta {
    /// More of the text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A whole call, at this place.
    pub fn call(index: u32, call: ToolCall) -> Self {
        let ToolCall { id, name, arguments } = call;
        Self::ToolCall(ToolCallPiece { index, id, name, arguments })
    }

    /// Roughly how many bytes of the reply it brings.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Reasoning(thought) => {
                thought.text.len() + thought.opaque.as_ref().map_or(0, |opaque| opaque.data.len())
            }
            Self::ToolCall(piece) => piece.id.len() + piece.name.len() + piece.arguments.len(),
            Self::End(_) => 0,
        }
    }
}

impl End {
    /// For this reason; of the rest nothing is known.
    pub fn new(finish: FinishReason) -> Self {
        Self { finish, usage: None, cost: None, model: None }
    }

    /// What it has used.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_kept_in_this_form() {
        let usage = Usage { input_tokens: 7, cached_input_tokens: 2, output_tokens: 3, ..Usage::default() };
        let call = ToolCall { id: "a".to_owned(), name: "add".to_owned(), arguments: "{}".to_owned() };
        let more = ToolCallPiece { index: 1, arguments: "{".to_owned(), ..ToolCallPiece::default() };
        let thought = Reasoning { text: "hm".to_owned(), opaque: None };
        for (delta, kept) in [
            (Delta::text("Hi"), r#"{"type":"text","text":"Hi"}"#),
            (Delta::Reasoning(thought), r#"{"type":"reasoning","text":"hm"}"#),
            (Delta::call(0, call), r#"{"type":"tool_call","index":0,"id":"a","name":"add","arguments":"{}"}"#),
            (Delta::ToolCall(more), r#"{"type":"tool_call","index":1,"arguments":"{"}"#),
            (
                Delta::End(End { cost: Some(Money::from_micros(9)), ..End::new(FinishReason::ToolCalls).usage(usage) }),
                r#"{"type":"end","finish":"tool_calls","usage":{"input_tokens":7,"cached_input_tokens":2,"output_tokens":3},"cost":9}"#,
            ),
            (
                Delta::End(End::new(FinishReason::Other("pause_turn".to_owned()))),
                r#"{"type":"end","finish":"pause_turn"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&delta).unwrap(), kept);
            assert_eq!(serde_json::from_str::<Delta>(kept).unwrap(), delta);
        }
    }
}
