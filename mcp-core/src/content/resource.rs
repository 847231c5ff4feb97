//! What is in a resource.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::json;

/// What is in a resource, or in a part of it (schema, `TextResourceContents` and `BlobResourceContents`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceContents {
    uri: String,
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Body {
    Text(String),
    /// In base64.
    Blob(String),
}

impl ResourceContents {
    /// A text.
    pub fn text(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self { uri: uri.into(), mime_type: None, body: Body::Text(text.into()) }
    }

    /// Bytes.
    pub fn blob(uri: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self { uri: uri.into(), mime_type: None, body: Body::Blob(STANDARD.encode(bytes)) }
    }

    /// A value as JSON, of the type `application/json`.
    ///
    /// # Errors
    /// When `value` does not become JSON.
    pub fn json(uri: impl Into<String>, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::text(uri, serde_json::to_string(value)?).mime_type("application/json"))
    }

    /// Its media type.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Where it is from.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            Body::Blob(_) => None,
        }
    }

    /// Gives it a media type, unless it has one.
    pub(crate) fn of_type(mut self, mime_type: Option<&str>) -> Self {
        if self.mime_type.is_none() {
            self.mime_type = mime_type.map(str::to_owned);
        }
        self
    }

    /// Roughly how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let (Body::Text(body) | Body::Blob(body)) = &self.body;
        self.uri.len() + self.mime_type.as_ref().map_or(0, String::len) + body.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(out, None::<&()>);
    }

    /// The same, with `_meta`.
    pub(crate) fn encode_with(&self, out: &mut Vec<u8>, meta: Option<&impl Serialize>) {
        out.extend_from_slice(b"{\"uri\":");
        json::write_string(out, &self.uri);
        if let Some(mime_type) = &self.mime_type {
            out.extend_from_slice(b",\"mimeType\":");
            json::write_string(out, mime_type);
        }
        let (member, body) = match &self.body {
            Body::Text(text) => ("text", text),
            Body::Blob(base64) => ("blob", base64),
        };
        out.extend_from_slice(b",\"");
        out.extend_from_slice(member.as_bytes());
        out.extend_from_slice(b"\":");
        json::write_string(out, body);
        if let Some(meta) = meta {
            out.extend_from_slice(b",\"_meta\":");
            json::write(out, meta);
        }
        out.push(b'}');
    }
}
