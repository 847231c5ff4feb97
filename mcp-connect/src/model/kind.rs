//! Which API a provider has.

use std::fmt;
use std::str::FromStr;

use mcp_core::nearest::named;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::anthropic::Anthropic;
use super::bedrock::Bedrock;
use super::dialect::Dialect;
use super::gemini::Gemini;
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::responses::Responses;

/// Which API a provider has. It is always named, and never guessed from the name of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderKind {
    /// OpenAI's chat completions.
    OpenAi,
    /// OpenAI's responses.
    OpenAiResponses,
    /// Another one that serves chat completions as OpenAI does; it has a base URL.
    OpenAiCompatible,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama's chat.
    Ollama,
    /// Amazon Bedrock's Converse, with an API key of Bedrock's; its base URL names the region.
    Bedrock,
}

impl ProviderKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::OpenAiResponses,
        Self::OpenAiCompatible,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
        Self::Bedrock,
    ];

    /// The word for it in configuration, and in the names of models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai_responses",
            Self::OpenAiCompatible => "openai_compatible",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
        }
    }

    pub(super) fn dialect(self) -> Box<dyn Dialect> {
        match self {
            Self::OpenAi => {
                Box::new(OpenAi { most: "max_completion_tokens", base_url: Some("https://api.openai.com/v1") })
            }
            Self::OpenAiCompatible => Box::new(OpenAi { most: "max_tokens", base_url: None }),
            Self::OpenAiResponses => Box::new(Responses),
            Self::Anthropic => Box::new(Anthropic),
            Self::Gemini => Box::new(Gemini),
            Self::Ollama => Box::new(Ollama),
            Self::Bedrock => Box::new(Bedrock),
        }
    }
}

/// A word for no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no provider {}", named(.0, ProviderKind::ALL.into_iter().map(ProviderKind::as_str)))]
pub struct UnknownProvider(String);

impl FromStr for ProviderKind {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ProviderKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProviderKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
