//! What a model was asked and has said, to be told again.

use serde::{Deserialize, Serialize};

use super::delta::Delta;
use super::error::ModelError;
use super::request::ModelRequest;

/// Exchanges with a model, as a [`Recorder`](super::recorder::Recorder) has heard them. It is JSON, to be kept beside tests. Nothing of
/// the way to a provider is in it: neither keys nor addresses nor headers. What is in a conversation is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cassette {
    version: u32,
    /// The name of the model.
    pub model: String,
    /// In the order in which they began.
    pub exchanges: Vec<Exchange>,
}

/// A request, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What was asked.
    pub request: ModelRequest,
    /// What was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<Delta>,
    /// With what it has failed. One with neither this nor an end was cut, or nobody heard more of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ModelError>,
}

/// The version of the form.
const VERSION: u32 = 1;

impl Cassette {
    /// With nothing on it.
    pub fn new(model: impl Into<String>) -> Self {
        Self { version: VERSION, model: model.into(), exchanges: Vec::new() }
    }

    /// As it is kept.
    pub fn to_json(&self) -> String {
        // Everything in it has a form as JSON.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As it was kept.
    ///
    /// # Errors
    /// It is no cassette, or one of another version.
    pub fn from_json(json: &str) -> Result<Self, BadCassette> {
        let cassette: Self = serde_json::from_str(json)?;
        if cassette.version == VERSION { Ok(cassette) } else { Err(BadCassette::Version(cassette.version)) }
    }
}

/// A text that is no cassette.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCassette {
    /// It is none.
    #[error("this is no cassette")]
    Form(#[from] serde_json::Error),
    /// It was recorded by another version of this crate.
    #[error("this cassette is of version {0}, and {VERSION} is expected; record it again")]
    Version(u32),
}
