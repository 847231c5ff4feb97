//! How a model fails, and whether to ask again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why there is no reply, or no more of it. What a provider said is in it, without its keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelError {
    /// The conversation is too long for this model: shorten it, or ask one that takes more.
    #[error("the conversation is longer than the model takes: {message}")]
    ContextLengthExceeded {
        /// What was said.
        message: String,
    },
    /// The model, or its provider, does not want to speak of this.
    #[error("the model refused: {message}")]
    Refused {
        /// What was said.
        message: String,
    },
    /// The model cannot take this request: to ask again, or another one, comes out the same.
    #[error("the model cannot take this request: {message}")]
    BadRequest {
        /// What was said.
        message: String,
    },
    /// The provider does not know the key, or the key may not do this: whoever configured it can mend that.
    #[error("the provider does not let this server in: {message}")]
    Unauthorized {
        /// What was said.
        message: String,
    },
    /// There were too many requests, or tokens, for now: those that the provider allows, or those that an
    /// [`Allowance`](super::allowance::Allowance) does.
    #[error("the model was asked too often for now: {message}")]
    RateLimited {
        /// What was said.
        message: String,
        /// When to ask again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    /// What may be spent is spent.
    #[error("there is nothing left to spend: {message}")]
    OverBudget {
        /// What was said.
        message: String,
        /// When there is more to spend.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    /// The provider is overloaded, broken, or cannot be reached.
    #[error("the model is unavailable: {message}")]
    Unavailable {
        /// What was said.
        message: String,
        /// When to ask again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    /// The reply was cut, or is none.
    #[error("the reply is broken: {message}")]
    BrokenStream {
        /// In which way.
        message: String,
    },
    /// The reply is larger than it may be.
    #[error("the reply is too large: {message}")]
    TooLarge {
        /// In which way.
        message: String,
    },
    /// The model was silent for longer than it may be.
    #[error("the model was silent for {after:?}")]
    TimedOut {
        /// How long.
        after: Duration,
    },
    /// Whoever asked does not want the reply any more.
    #[error("the request was cancelled")]
    Cancelled,
    /// The request is on no cassette, where nothing else may be answered.
    #[error("the request is not on the cassette: {message}")]
    NotRecorded {
        /// In which way it differs.
        message: String,
    },
}

impl ModelError {
    /// A reply that is broken in this way.
    pub fn broken(message: impl Into<String>) -> Self {
        Self::BrokenStream { message: message.into() }
    }

    /// Whether the same model may answer, when it is asked again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::BrokenStream { .. } | Self::TimedOut { .. } => {
                true
            }
            Self::OverBudget { retry_after, .. } => retry_after.is_some(),
            _ => false,
        }
    }

    /// How long to wait before that, where the error says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::OverBudget { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether another model may answer. One that refuses is not asked behind its back.
    pub fn may_help_elsewhere(&self) -> bool {
        self.is_retryable()
            || matches!(self, Self::ContextLengthExceeded { .. } | Self::Unauthorized { .. } | Self::OverBudget { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_to_ask_again_and_whether_to_ask_another() {
        let message = String::new;
        let after = Some(Duration::from_secs(7));
        for (error, again, elsewhere, wait) in [
            (ModelError::ContextLengthExceeded { message: message() }, false, true, None),
            (ModelError::Refused { message: message() }, false, false, None),
            (ModelError::BadRequest { message: message() }, false, false, None),
            (ModelError::Unauthorized { message: message() }, false, true, None),
            (ModelError::RateLimited { message: message(), retry_after: after }, true, true, after),
            (ModelError::OverBudget { message: message(), retry_after: after }, true, true, after),
            (ModelError::OverBudget { message: message(), retry_after: None }, false, true, None),
            (ModelError::Unavailable { message: message(), retry_after: None }, true, true, None),
            (ModelError::broken(""), true, true, None),
            (ModelError::TooLarge { message: message() }, false, false, None),
            (ModelError::TimedOut { after: Duration::ZERO }, true, true, None),
            (ModelError::Cancelled, false, false, None),
            (ModelError::NotRecorded { message: message() }, false, false, None),
        ] {
            let said = (error.is_retryable(), error.may_help_elsewhere(), error.retry_after());
            assert_eq!(said, (again, elsewhere, wait), "{error:?}");
            let kept = serde_json::to_string(&error).unwrap();
            assert_eq!(serde_json::from_str::<ModelError>(&kept).unwrap(), error, "{kept}");
        }
    }
}
