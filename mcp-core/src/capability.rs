//! What a client can do for a server that asks it (basic/lifecycle, "Capability Negotiation"; schema, `ClientCapabilities`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::jsonrpc::Params;
use crate::view;

/// Something that a client can do, or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ClientCapability {
    /// Show a form to its user.
    Elicitation,
    /// Lead its user to a URL.
    ElicitationUrl,
    /// Ask its model.
    Sampling,
    /// Let its model use tools that come with the question.
    SamplingTools,
    /// Add to such a question what other servers have told it.
    SamplingContext,
    /// Name the folders that it works in.
    Roots,
    /// Follow a call that goes on without it.
    Tasks,
    /// Show the [views](crate::view) of tools.
    Views,
}

/// The extension of tasks.
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

impl ClientCapability {
    /// The object `ClientCapabilities` that has this and nothing else.
    pub(crate) fn as_required(self) -> Value {
        match self {
            Self::Elicitation => json!({"elicitation": {}}),
            Self::ElicitationUrl => json!({"elicitation": {"url": {}}}),
            Self::Sampling => json!({"sampling": {}}),
            Self::SamplingTools => json!({"sampling": {"tools": {}}}),
            Self::SamplingContext => json!({"sampling": {"context": {}}}),
            Self::Roots => json!({"roots": {}}),
            Self::Tasks => json!({"extensions": {TASKS: {}}}),
            Self::Views => json!({"extensions": {view::EXTENSION: {"mimeTypes": [view::MEDIA_TYPE]}}}),
        }
    }

    /// What it is, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation",
            Self::ElicitationUrl => "elicitation of the mode url",
            Self::Sampling => "sampling",
            Self::SamplingTools => "sampling with tools",
            Self::SamplingContext => "sampling with context",
            Self::Roots => "roots",
            Self::Tasks => "the extension io.modelcontextprotocol/tasks",
            Self::Views => "the extension io.modelcontextprotocol/ui",
        }
    }
}

/// What a client says that it can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientCapabilities {
    #[serde(default)]
    elicitation: Option<Map<String, Value>>,
    #[serde(default)]
    sampling: Option<Map<String, Value>>,
    #[serde(default)]
    roots: Option<Map<String, Value>>,
    #[serde(default)]
    extensions: Map<String, Value>,
}

impl ClientCapabilities {
    /// What the client of a request of the modern era says in it.
    pub(crate) fn of(params: &Params<'_>) -> Self {
        let raw = params.meta.as_ref().and_then(|meta| meta.client_capabilities);
        raw.map(|raw| Self::read(raw.get().as_bytes())).unwrap_or_default()
    }

    /// Those of somebody who can fill in forms and follow links.
    pub(crate) fn of_forms() -> Self {
        let modes = ["form", "url"].map(|mode| (mode.to_owned(), Value::Object(Map::new())));
        Self { elicitation: Some(modes.into_iter().collect()), ..Self::default() }
    }

    /// Reads what a client has sent; what cannot be read is nothing.
    pub(crate) fn read(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// Whether the client can do this.
    pub fn has(&self, capability: ClientCapability) -> bool {
        let within = |family: &Option<Map<String, Value>>, member: &str| {
            family.as_ref().is_some_and(|family| family.contains_key(member))
        };
        match capability {
            // Who names no mode has that of forms.
            ClientCapability::Elicitation => {
                self.elicitation.as_ref().is_some_and(|modes| modes.is_empty() || modes.contains_key("form"))
            }
            ClientCapability::ElicitationUrl => within(&self.elicitation, "url"),
            ClientCapability::Sampling => self.sampling.is_some(),
            ClientCapability::SamplingTools => within(&self.sampling, "tools"),
            ClientCapability::SamplingContext => within(&self.sampling, "context"),
            ClientCapability::Roots => self.roots.is_some(),
            ClientCapability::Tasks => self.extensions.contains_key(TASKS),
            ClientCapability::Views => self.extensions.get(view::EXTENSION).is_some_and(|settings| {
                settings["mimeTypes"]
                    .as_array()
                    .is_some_and(|types| types.iter().any(|known| known == view::MEDIA_TYPE))
            }),
        }
    }

    /// The settings of an extension that the client has.
    pub fn extension(&self, id: &str) -> Option<&Value> {
        self.extensions.get(id)
    }
}
