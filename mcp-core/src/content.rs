//! What is shown to a model: texts, pictures, sounds, and resources (server/tools, "Tool Result"; schema, `ContentBlock`).

mod annotations;
mod link;
mod resource;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::json;

pub use annotations::{Annotations, Role};
pub use link::ResourceLink;
pub use resource::ResourceContents;

/// One piece of content.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Content {
    #[serde(flatten)]
    kind: Kind,
    #[serde(default)]
    annotations: Option<Box<Annotations>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Kind {
    Text { text: String },
    Image { mime_type: String, data: String },
    Audio { mime_type: String, data: String },
    ResourceLink(Box<ResourceLink>),
    Resource { resource: ResourceContents },
}

impl Content {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Kind::Text { text: text.into() })
    }

    /// A picture, such as `image/png`.
    pub fn image(mime_type: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self::of(Kind::Image { mime_type: mime_type.into(), data: STANDARD.encode(bytes) })
    }

    /// A sound, such as `audio/wav`.
    pub fn audio(mime_type: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self::of(Kind::Audio { mime_type: mime_type.into(), data: STANDARD.encode(bytes) })
    }

    /// A resource that the client may read.
    pub fn link(link: ResourceLink) -> Self {
        Self::of(Kind::ResourceLink(Box::new(link)))
    }

    /// A resource and what is in it.
    pub fn resource(contents: ResourceContents) -> Self {
        Self::of(Kind::Resource { resource: contents })
    }

    fn of(kind: Kind) -> Self {
        Self { kind, annotations: None }
    }

    /// Says for whom it is, and how much it matters.
    #[must_use]
    pub fn annotated(mut self, annotations: Annotations) -> Self {
        self.annotations = Some(Box::new(annotations));
        self
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { text } => Some(text),
            _ => None,
        }
    }

    /// Roughly how many bytes it takes; no piece takes nothing.
    pub(crate) fn size(&self) -> usize {
        const FRAME: usize = r#"{"type":"text","text":""}"#.len();
        FRAME
            + match &self.kind {
                Kind::Text { text } => text.len(),
                Kind::Image { mime_type, data } | Kind::Audio { mime_type, data } => mime_type.len() + data.len(),
                Kind::ResourceLink(link) => link.size(),
                Kind::Resource { resource } => resource.size(),
            }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Text { text } => open_text(out, text),
            Kind::Image { mime_type, data } => open_data(out, "image", mime_type, data),
            Kind::Audio { mime_type, data } => open_data(out, "audio", mime_type, data),
            Kind::ResourceLink(link) => {
                out.extend_from_slice(b"{\"type\":\"resource_link\",");
                json::write_members(out, link);
            }
            Kind::Resource { resource } => {
                out.extend_from_slice(b"{\"type\":\"resource\",\"resource\":");
                resource.encode(out);
            }
        }
        if let Some(annotations) = &self.annotations {
            out.extend_from_slice(b",\"annotations\":");
            json::write(out, annotations);
        }
        out.push(b'}');
    }
}

impl<T: Into<String>> From<T> for Content {
    fn from(text: T) -> Self {
        Self::text(text)
    }
}

/// Writes a text as content.
pub(crate) fn encode_text(out: &mut Vec<u8>, text: &str) {
    open_text(out, text);
    out.push(b'}');
}

fn open_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    json::write_string(out, text);
}

fn open_data(out: &mut Vec<u8>, kind: &str, mime_type: &str, data: &str) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"mimeType\":");
    json::write_string(out, mime_type);
    // The alphabet of base64 needs no escaping.
    out.extend_from_slice(b",\"data\":\"");
    out.extend_from_slice(data.as_bytes());
    out.push(b'"');
}
