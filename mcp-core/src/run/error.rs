//! How the work of a run fails.

use std::fmt;

use bytes::Bytes;
use serde_json::json;

use crate::store::StoreError;
use crate::store::runs::RunId;

/// Why a run does not go on. `?` makes a [`RunError::Internal`] of any other error, so it does not implement
/// [`std::error::Error`] itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// It cannot be done; the run ends, and its owner sees the message.
    Failed(String),
    /// It cannot be done; the run ends, and this is its result, as JSON.
    FailedAs(Bytes),
    /// It could not be done this time; it is tried again later. After the last time, its owner sees the message.
    Again(String),
    /// An effect that is not repeatable was begun, and nobody knows whether it was done: whoever had begun it was gone. The run ends,
    /// unless its work knows better.
    OutcomeUnknown {
        /// The effect's key.
        key: String,
    },
    /// It was to end.
    Cancelled,
    /// What the run needs is gone at the moment; it is tried again later.
    Unavailable(Cause),
    /// Something broke; it is tried again later. The cause goes to the log under the run's id, and its owner sees the id alone.
    Internal(Cause),
}

/// What is logged and not shown.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl RunError {
    /// It cannot be done, for this reason, which the owner sees.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// It could not be done this time, for this reason, which the owner sees if that was the last time.
    pub fn again(message: impl Into<String>) -> Self {
        Self::Again(message.into())
    }

    /// Whether another try may help.
    pub(super) fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Again(_) | Self::Unavailable(_) | Self::Internal(_))
    }

    /// What is logged of it.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::Unavailable(cause) | Self::Internal(cause) => {
                let causes = std::iter::successors(Some(&**cause as &dyn std::error::Error), |error| error.source());
                causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
            }
            told => told.to_string(),
        }
    }

    /// The result of a run that has failed so.
    pub(super) fn result(&self, run: RunId) -> Bytes {
        let code = match self {
            Self::FailedAs(result) => return result.clone(),
            Self::Failed(_) | Self::Again(_) => "failed",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Cancelled => "cancelled",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        };
        let error = match self {
            Self::Internal(_) => format!("{self}; the server's log has the cause under {run}"),
            _ => self.to_string(),
        };
        json!({"error": error, "code": code}).to_string().into()
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for RunError {
    fn from(error: E) -> Self {
        Self::Internal(Box::new(error))
    }
}

/// What a store says of a run's own steps and inputs.
pub(crate) fn of_store(error: StoreError) -> RunError {
    match error {
        StoreError::Refused { .. } => RunError::Failed(format!("{error}: it is larger than a run may keep")),
        _ => RunError::Unavailable(Box::new(error)),
    }
}

impl fmt::Display for RunError {
    /// What the owner may see. An internal cause is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Again(message) => f.write_str(message),
            Self::FailedAs(result) => f.write_str(&String::from_utf8_lossy(result)),
            Self::OutcomeUnknown { key } => {
                write!(f, "outcome_unknown: {key:?} was begun, and whether it was done is not known")
            }
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::Unavailable(_) => f.write_str("a service that this run needs is unavailable"),
            Self::Internal(_) => f.write_str("the run failed inside"),
        }
    }
}
