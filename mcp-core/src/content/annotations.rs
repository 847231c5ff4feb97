//! What a client may make of a piece of content, or of a resource.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// For whom something is, and how much it matters (schema, `Annotations`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audience: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

/// Who speaks, or is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person.
    User,
    /// A model.
    Assistant,
}

impl Annotations {
    /// Says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// It is for this one; without an audience it is for both.
    #[must_use]
    pub fn audience(mut self, role: Role) -> Self {
        self.audience.push(role);
        self
    }

    /// How much it matters, from 0 (not at all) to 1 (it must be there); what lies outside becomes the nearer of the two.
    #[must_use]
    pub fn priority(mut self, priority: f64) -> Self {
        self.priority = (!priority.is_nan()).then_some(priority.clamp(0.0, 1.0));
        self
    }

    /// When it was changed last.
    #[must_use]
    pub fn last_modified(mut self, at: Timestamp) -> Self {
        self.last_modified = Some(at.to_string());
        self
    }
}
