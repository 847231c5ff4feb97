//! What a tool answers.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::content::{self, Content};
use crate::json;

/// The result of a call: content for a model to read, and a structured value for a program (server/tools, "Tool Result").
#[derive(Clone, Debug, Default)]
pub struct ToolOutput {
    content: Vec<Content>,
    /// JSON text. Where there is no content, its text stands in as content.
    structured: Option<Box<RawValue>>,
    is_error: bool,
    replayed: bool,
}

impl ToolOutput {
    /// Nothing to say.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::from(Content::text(text))
    }

    /// A structured value, mirrored as text for clients that read only content.
    ///
    /// # Errors
    /// When `value` does not become JSON.
    pub fn structured(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let json = serde_json::value::to_raw_value(value)?;
        Ok(Self { structured: Some(json), ..Self::default() })
    }

    /// One more piece of content.
    #[must_use]
    pub fn and(mut self, content: Content) -> Self {
        self.content.push(content);
        self
    }

    /// Marks the output as that of a failed call (`isError`).
    #[must_use]
    pub fn as_error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// Whether the call failed.
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// Whether it is that of an earlier call, which was sent under the same key.
    pub fn is_replayed(&self) -> bool {
        self.replayed
    }

    /// Marks it as that of an earlier call.
    pub(crate) fn replayed(mut self) -> Self {
        self.replayed = true;
        self
    }

    /// The structured value as JSON text.
    pub fn structured_json(&self) -> Option<&str> {
        self.structured.as_deref().map(RawValue::get)
    }

    /// The content; where the tool gave only a structured value, its text.
    pub fn content(&self) -> Cow<'_, [Content]> {
        match &self.structured {
            Some(json) if self.content.is_empty() => Cow::Owned(vec![Content::text(json.get())]),
            _ => Cow::Borrowed(&self.content),
        }
    }

    /// The first text of the content.
    pub fn first_text(&self) -> Option<&str> {
        match (&self.structured, self.content.is_empty()) {
            (Some(json), true) => Some(json.get()),
            _ => self.content.iter().find_map(Content::as_text),
        }
    }

    /// Roughly how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let content: usize = self.content.iter().map(Content::size).sum();
        content + self.structured_json().map_or(0, str::len)
    }

    /// Writes the members of the result object, without its braces. An older client is given a structured value only if
    /// that is an object, since it knows no other.
    pub(crate) fn encode_members(&self, out: &mut Vec<u8>, any_structured: bool) {
        out.extend_from_slice(b"\"content\":");
        match &self.structured {
            Some(json) if self.content.is_empty() => {
                out.push(b'[');
                content::encode_text(out, json.get());
                out.push(b']');
            }
            _ => json::write_list(out, &self.content, |out, content| content.encode(out)),
        }
        if let Some(json) = self.structured_json().filter(|json| any_structured || json.starts_with('{')) {
            out.extend_from_slice(b",\"structuredContent\":");
            out.extend_from_slice(json.as_bytes());
        }
        if self.is_error {
            out.extend_from_slice(b",\"isError\":true");
        }
    }

    /// The result object as JSON, as REST gives it, the history keeps it and a cache stores it.
    pub fn to_json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.size() + 64);
        out.push(b'{');
        self.encode_members(&mut out, true);
        out.push(b'}');
        out.into()
    }

    /// Reads what [`ToolOutput::to_json`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            content: Vec<Content>,
            #[serde(default, deserialize_with = "given")]
            structured_content: Option<Box<RawValue>>,
            #[serde(default)]
            is_error: bool,
        }
        let wire: Wire = serde_json::from_slice(json)?;
        Ok(Self {
            content: wire.content,
            structured: wire.structured_content,
            is_error: wire.is_error,
            replayed: false,
        })
    }
}

/// Reads a value that was given, be it `null`.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl From<Content> for ToolOutput {
    fn from(content: Content) -> Self {
        Self { content: vec![content], ..Self::default() }
    }
}

impl From<Vec<Content>> for ToolOutput {
    fn from(content: Vec<Content>) -> Self {
        Self { content, ..Self::default() }
    }
}
