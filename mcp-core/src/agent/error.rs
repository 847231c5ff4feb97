//! How an agent fails.

use std::fmt;

use crate::run::{Cause, RunError};

/// Why an agent cannot say what is to be done. `?` makes an [`AgentError::Internal`] of any other error, so it does not implement
/// [`std::error::Error`] itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentError {
    /// It will not be able to; the run ends, and its owner sees the message.
    Failed(String),
    /// It could not this time, and is asked again later. After the last time, the owner of the run sees the message.
    Again(String),
    /// Something broke; it is asked again later. The cause goes to the log, and the owner sees an id alone.
    Internal(Cause),
}

impl AgentError {
    /// It cannot be done, for this reason, which the owner sees.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// It could not be done this time, for this reason, which the owner sees if that was the last time.
    pub fn again(message: impl Into<String>) -> Self {
        Self::Again(message.into())
    }
}

impl fmt::Display for AgentError {
    /// What the owner of the run may see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Again(message) => f.write_str(message),
            Self::Internal(_) => f.write_str("the agent failed inside"),
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for AgentError {
    fn from(error: E) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<AgentError> for RunError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Failed(message) => Self::Failed(message),
            AgentError::Again(message) => Self::Again(message),
            AgentError::Internal(cause) => Self::Internal(cause),
        }
    }
}
