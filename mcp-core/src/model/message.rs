//! What is said in a conversation with a model. All of it has a stable form as JSON, in which it is kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// One thing that is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, in its order.
    pub parts: Vec<Part>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Who has built the agent: instructions.
    System,
    /// Who talks to it.
    User,
    /// The model.
    Assistant,
    /// Tools that the model has called.
    Tool,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture, of a user.
    Image(Image),
    /// A call of a tool, by the model.
    ToolCall(ToolCall),
    /// What a call has given, in a message of [`Role::Tool`].
    ToolResult(ToolResult),
    /// What the model thought before it spoke; some providers want it back.
    Reasoning(Reasoning),
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Such as `image/png`.
    pub media_type: String,
    /// Where its bytes are.
    #[serde(flatten)]
    pub source: ImageSource,
}

/// Where the bytes of a picture are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Here, as base64.
    Data(String),
    /// At this address, from which the provider fetches them.
    Url(String),
}

/// A call of a tool, as the model has written it: its arguments may be no JSON, and its tool may not be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// By which its result is told; no other call of the message has the same.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// The arguments, as text.
    pub arguments: String,
}

/// What a call has given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The id of the call.
    pub id: String,
    /// What the model is told.
    pub content: String,
    /// Whether the call has failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// What the model thought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// What can be read of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What its provider wants back, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<Opaque>,
}

/// Something that its provider alone can read; no other is sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opaque {
    /// Whose it is.
    pub provider: String,
    /// As it came.
    pub data: String,
}

impl Message {
    /// Instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self { role: Role::System, parts: vec![Part::text(text)] }
    }

    /// The user says this.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::text(text)] }
    }

    /// The model has said this.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, parts: vec![Part::text(text)] }
    }

    /// These calls have given this.
    pub fn results(results: impl IntoIterator<Item = ToolResult>) -> Self {
        Self { role: Role::Tool, parts: results.into_iter().map(Part::ToolResult).collect() }
    }

    /// The same, with one more part.
    #[must_use]
    pub fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// All texts, one after the other.
    pub fn text(&self) -> String {
        self.parts.iter().filter_map(Part::as_text).collect()
    }

    /// What tools gave that is in it.
    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolResult(result) => Some(result),
            _ => None,
        })
    }

    /// The calls in it.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// Roughly how many bytes it takes.
    pub fn size(&self) -> usize {
        self.parts.iter().map(Part::size).sum()
    }
}

impl Part {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            _ => None,
        }
    }

    /// Roughly how many bytes it takes; no part takes nothing.
    pub fn size(&self) -> usize {
        const FRAME: usize = 16;
        FRAME
            + match self {
                Self::Text { text } => text.len(),
                Self::Image(image) => match &image.source {
                    ImageSource::Data(text) | ImageSource::Url(text) => text.len(),
                },
                Self::ToolCall(call) => call.id.len() + call.name.len() + call.arguments.len(),
                Self::ToolResult(result) => result.id.len() + result.content.len(),
                Self::Reasoning(thought) => {
                    thought.text.len() + thought.opaque.as_ref().map_or(0, |opaque| opaque.data.len())
                }
            }
    }
}

impl Image {
    /// A picture that is here, such as `image/png`.
    pub fn bytes(media_type: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self { media_type: media_type.into(), source: ImageSource::Data(STANDARD.encode(bytes)) }
    }

    /// A picture that the provider fetches.
    pub fn url(media_type: impl Into<String>, url: impl Into<String>) -> Self {
        Self { media_type: media_type.into(), source: ImageSource::Url(url.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was kept by one version is read by the next: a change of these lines is a change of a stored format.
    #[test]
    fn messages_are_kept_in_this_form() {
        let call =
            ToolCall { id: "c1".to_owned(), name: "add".to_owned(), arguments: "{\"a\":1,\"a\":2, broken".to_owned() };
        let thought = Reasoning {
            text: "so".to_owned(),
            opaque: Some(Opaque { provider: "gemini".to_owned(), data: "c2ln".to_owned() }),
        };
        let result = |is_error| ToolResult { id: "c1".to_owned(), content: "3".to_owned(), is_error };
        for (message, kept) in [
            (Message::system("Be brief."), r#"{"role":"system","parts":[{"type":"text","text":"Be brief."}]}"#),
            (
                Message { role: Role::User, parts: vec![Part::Image(Image::bytes("image/png", [1, 2, 3]))] },
                r#"{"role":"user","parts":[{"type":"image","media_type":"image/png","data":"AQID"}]}"#,
            ),
            (
                Message::user("See").with(Part::Image(Image::url("image/png", "https://example.com/a.png"))),
                r#"{"role":"user","parts":[{"type":"text","text":"See"},{"type":"image","media_type":"image/png","url":"https://example.com/a.png"}]}"#,
            ),
            (
                Message { role: Role::Assistant, parts: vec![Part::Reasoning(thought), Part::ToolCall(call)] },
                r#"{"role":"assistant","parts":[{"type":"reasoning","text":"so","opaque":{"provider":"gemini","data":"c2ln"}},{"type":"tool_call","id":"c1","name":"add","arguments":"{\"a\":1,\"a\":2, broken"}]}"#,
            ),
            (
                Message::results([result(false), result(true)]),
                r#"{"role":"tool","parts":[{"type":"tool_result","id":"c1","content":"3"},{"type":"tool_result","id":"c1","content":"3","is_error":true}]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&message).unwrap(), kept);
            assert_eq!(serde_json::from_str::<Message>(kept).unwrap(), message);
        }
    }
}
