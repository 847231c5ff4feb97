//! What a board knows, for people.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Alert, Board, Listener, Phase};
use crate::alert::Severity;
use crate::clock::Timestamp;

/// An alert, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
#[non_exhaustive]
pub struct Shown {
    /// Its name, by which channels know it again.
    pub key: String,
    /// By which rule.
    pub rule: String,
    /// Of what, where a rule is for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub phase: Phase,
    /// In one line.
    pub summary: String,
    /// What was read last.
    pub value: f64,
    /// Since when it fires, or would fire (RFC 3339).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// When it was over (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// Channels that are still to be told.
    pub untold: Vec<String>,
}

/// A channel, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AlertChannel")]
#[non_exhaustive]
pub struct ShownChannel {
    /// Its name.
    pub name: String,
    /// When it was told of an alert last, or refused to be (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub told: Option<Timestamp>,
    /// How often it has failed since then.
    pub failures: u32,
    /// Why it failed last, or refused to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
}

impl Board {
    /// All alerts, the worst first, and then those that were over last.
    pub fn show(&self, listeners: &[Listener]) -> Vec<Shown> {
        let mut all: Vec<_> = self.alerts.iter().map(|(key, alert)| alert.shown(key, listeners)).collect();
        all.sort_by_key(|alert| (alert.until.is_some(), std::cmp::Reverse(alert.severity), alert.since));
        let mut over: Vec<_> = self.over.iter().filter(|(key, _)| !self.alerts.contains_key(*key)).collect();
        over.sort_by_key(|(_, alert)| std::cmp::Reverse(alert.at));
        all.extend(over.into_iter().map(|(key, alert)| alert.shown(key, &[])));
        all
    }

    /// How each channel is.
    pub fn channels(&self, listeners: &[Listener]) -> Vec<ShownChannel> {
        let shown = |listener: &Listener| {
            let (heard, rest) = (self.heard.get(&listener.channel), self.channels.get(&listener.channel));
            let refused = heard.and_then(|heard| heard.refused.clone());
            ShownChannel {
                name: listener.channel.clone(),
                told: heard.map(|heard| heard.at),
                failures: rest.map_or(0, |rest| rest.failures),
                error: rest.map(|rest| rest.error.clone()).or(refused),
            }
        };
        listeners.iter().map(shown).collect()
    }
}

impl Alert {
    fn shown(&self, key: &str, listeners: &[Listener]) -> Shown {
        let untold = listeners.iter().filter(|listener| self.is_untold(listener));
        Shown {
            key: key.to_owned(),
            rule: self.rule.clone(),
            subject: self.subject.clone(),
            severity: self.severity,
            phase: self.phase,
            summary: self.summary.clone(),
            value: self.value,
            since: self.since,
            until: (self.phase == Phase::Resolved).then_some(self.at),
            untold: untold.map(|listener| listener.channel.clone()).collect(),
        }
    }
}
