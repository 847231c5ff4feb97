//! Waking people: rules over readings, what fires by them, and the seam through which it is told.
//!
//! Nothing here waits or asks: a [`Board`](board::Board) is told how much time has passed and what was read, and says what is to be
//! told to whom. Who runs it brings the readings, the store and the channels.

pub mod board;
pub mod rule;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Tells somebody.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Tells of `notice`. It ends by itself after some seconds. What is told twice has the same [`key`](Notice::key), by which the other
    /// side may know it.
    ///
    /// Not cancel safe: a dropped future may or may not have told.
    ///
    /// # Errors
    /// [`DeliveryError`]; it holds no secret.
    async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError>;
}

/// Why nobody was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// It may go well later.
    #[error("{message}")]
    Later {
        /// What is wrong.
        message: String,
        /// How long the other side asks to be left alone.
        after: Option<Duration>,
    },
    /// It is refused for good: somebody has to change something.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
    },
}

impl DeliveryError {
    /// It may go well later.
    pub fn later(message: impl Into<String>) -> Self {
        Self::Later { message: message.into(), after: None }
    }

    /// It is refused for good.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into() }
    }
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Notice {
    /// The same for all that is told of one alert, by whichever replica.
    pub key: String,
    /// Whether it fires, or no more.
    pub event: Event,
    /// How bad it is.
    pub severity: Severity,
    /// By which rule.
    pub rule: String,
    /// Of what, where a rule is for several: the name of a dependency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// In one line.
    pub summary: String,
    /// What was read last.
    pub value: f64,
    /// Which server it is about.
    pub server: String,
    /// Since when it fires.
    pub since: Timestamp,
    /// When it was no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Notice {
    /// One that tells of nothing but that the channel works.
    pub fn trial(server: &str, now: Timestamp) -> Self {
        Self {
            key: format!("{server}/test"),
            event: Event::Firing,
            severity: Severity::Info,
            rule: "test".to_owned(),
            subject: None,
            summary: "this is a test: nothing is wrong".to_owned(),
            value: 0.0,
            server: server.to_owned(),
            since: now,
            until: None,
        }
    }

    /// The line that people read: what, how bad, where.
    pub fn line(&self) -> String {
        let word = match self.event {
            Event::Firing => self.severity.as_str().to_uppercase(),
            Event::Resolved => "RESOLVED".to_owned(),
        };
        format!("[{word}] {}: {}", self.server, self.summary)
    }

    /// When it began, and when it was over.
    pub fn times(&self) -> String {
        match self.until {
            Some(until) => format!("since {}, until {until}", self.since),
            None => format!("since {}", self.since),
        }
    }
}

/// What happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertEvent")]
pub enum Event {
    /// It fires.
    Firing,
    /// It fires no more.
    Resolved,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertSeverity")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// To be looked at in the day.
    Warning,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word by which it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
