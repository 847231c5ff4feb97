//! How a command fails: one line, and an exit code that a script can act on.

use std::fmt;
use std::io::Write;

use mcp_core::store::StoreError;
use serde_json::json;

use crate::bundled::StartError;
use crate::config::ConfigError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// The kinds of failure, each with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Failed = 1,
    Usage = 2,
    Configuration = 3,
    Unreachable = 4,
    ToolFailed = 5,
    Findings = 6,
    Refused = 7,
    Interrupted = 130,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// What to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn exit(&self) -> u8 {
        self.kind as u8
    }

    /// Writes it to stderr.
    pub(super) fn tell(&self, as_json: bool) {
        let code = match self.kind {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Configuration => "configuration",
            Kind::Unreachable => "unreachable",
            Kind::ToolFailed => "tool_failed",
            Kind::Findings => "findings",
            Kind::Refused => "refused",
            Kind::Interrupted => "interrupted",
        };
        let line = match (as_json, &self.hint) {
            (true, hint) => json!({"error": {"code": code, "message": self.message, "hint": hint}}).to_string(),
            (false, Some(hint)) => format!("error: {}; {hint}", self.message),
            (false, None) => format!("error: {}", self.message),
        };
        // There is nowhere left to complain to.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Kind::Configuration, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let kind = match error {
            StartError::Config(_) | StartError::Build(_) => Kind::Configuration,
            StartError::Interrupted => Kind::Interrupted,
            StartError::Streams(_) => Kind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = if matches!(error, StoreError::Unavailable { .. }) { Kind::Unreachable } else { Kind::Failed };
        Self::new(kind, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Kind::Failed, error.to_string())
    }
}
