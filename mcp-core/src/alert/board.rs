//! What fires, and who has been told.

pub mod shown;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::{DeliveryError, Event, Notice, Severity};
use crate::clock::Timestamp;

/// The state of all alerts: what is kept, so that it outlives a restart.
///
/// It knows no moment but to show it: how long something has lasted is added up from the steps it is told of, so that a wall clock that
/// jumps changes nothing, and time in which nobody looked counts for nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    alerts: BTreeMap<String, Alert>,
    /// Those that failed last.
    #[serde(default)]
    channels: BTreeMap<String, Rest>,
    /// Those that everybody knows to be over, as they ended.
    #[serde(default)]
    over: BTreeMap<String, Alert>,
    /// What each channel took last, or refused.
    #[serde(default)]
    heard: BTreeMap<String, Heard>,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Alert {
    rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    severity: Severity,
    phase: Phase,
    /// For how long what is read has spoken for another phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    against: Option<Duration>,
    /// When it came into its phase.
    at: Timestamp,
    /// Since when it fires, or fired.
    since: Timestamp,
    summary: String,
    value: f64,
    /// What each channel was told last.
    #[serde(default)]
    told: BTreeMap<String, Event>,
    /// How long ago it was begun to tell.
    #[serde(default)]
    told_ago: Duration,
}

/// Where an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertPhase")]
pub enum Phase {
    /// It would fire, if that lasts.
    Pending,
    /// It fires.
    Firing,
    /// It fires no more.
    Resolved,
}

/// A channel that is left alone for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rest {
    failures: u32,
    left: Duration,
    error: String,
}

/// That a channel was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Heard {
    at: Timestamp,
    /// Why it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What was read at a moment, of one thing that a rule is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which thing, where there are several.
    pub subject: Option<String>,
    /// The figure.
    pub value: f64,
}

/// What was read for a rule. Nothing at all, where nothing can be read, and then what is known stays as it is; no reading, where there is
/// nothing to be read, and then nothing is wrong.
pub type Readings = Option<Vec<Reading>>;

/// Somebody to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The channel's name.
    pub channel: String,
    /// Of what it is told.
    pub severities: BTreeSet<Severity>,
}

/// What may be told now.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Through which channel.
    pub channel: String,
    /// What.
    pub notice: Notice,
}

/// How many alerts there are at the most; of more, those stay that are there.
pub const MOST: usize = 64;
/// How many of those that are over are remembered: the last ones.
const REMEMBERED: usize = 16;
/// How many characters of a subject are kept.
const LONGEST: usize = 64;
/// How long a channel that failed is left alone at first; each time twice as long,
const FIRST_REST: Duration = Duration::from_secs(10);
/// up to this.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// The most that a channel may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

impl Board {
    /// Lets `step` pass, and looks at what was read for each rule. Alerts whose rule is no more are over.
    ///
    /// It says how many alerts there is no room for.
    pub fn tick(&mut self, step: Duration, now: Timestamp, read: &[(&Rule, Readings)]) -> usize {
        for rest in self.channels.values_mut() {
            rest.left = rest.left.saturating_sub(step);
        }
        for alert in self.alerts.values_mut() {
            alert.told_ago = alert.told_ago.saturating_add(step);
            if !read.iter().any(|(rule, _)| rule.name == alert.rule) && alert.phase != Phase::Resolved {
                alert.over(now);
            }
        }
        let mut without_room = 0;
        for (rule, readings) in read {
            let Some(readings) = readings else { continue };
            let mut seen = BTreeSet::new();
            for reading in readings.iter().filter(|reading| reading.value.is_finite()) {
                let subject = reading.subject.as_deref().map(|text| text.chars().take(LONGEST).collect::<String>());
                let key = key(&rule.name, subject.as_deref());
                if !seen.insert(key.clone()) {
                    continue;
                }
                let is_full = self.alerts.len() >= MOST;
                match self.alerts.get_mut(&key) {
                    Some(alert) => alert.read(rule, reading.value, step, now),
                    None if !rule.is_breached_by(reading.value) => {}
                    None if is_full => without_room += 1,
                    None => {
                        let mut alert = Alert::new(rule, subject, now);
                        alert.read(rule, reading.value, step, now);
                        self.alerts.insert(key, alert);
                    }
                }
            }
            // What is not read any more is not wrong any more.
            for (key, alert) in &mut self.alerts {
                if alert.rule == rule.name && !seen.contains(key) {
                    alert.weigh(rule, false, true, step, now);
                }
            }
        }
        // One that never fired leaves nothing behind.
        self.alerts.retain(|_, alert| alert.phase != Phase::Pending || alert.against.is_some());
        without_room
    }

    /// What is to be told to whom, the worst first; what fires is told again after `repeat`. Of what nobody waits for, only the last is
    /// remembered.
    pub fn due(&mut self, listeners: &[Listener], repeat: Duration, server: &str) -> Vec<Due> {
        let is_there = |channel: &str| listeners.iter().any(|listener| listener.channel == channel);
        self.channels.retain(|channel, _| is_there(channel));
        self.heard.retain(|channel, _| is_there(channel));
        for alert in self.alerts.values_mut() {
            if alert.phase == Phase::Firing && !alert.told.is_empty() && alert.told_ago >= repeat {
                alert.told.clear();
            }
            if alert.told.is_empty() {
                alert.told_ago = Duration::ZERO;
            }
        }
        let is_known = |alert: &Alert| {
            alert.phase == Phase::Resolved && !listeners.iter().any(|listener| alert.is_untold(listener))
        };
        let known = self.alerts.extract_if(.., |_, alert| is_known(alert));
        self.over.extend(known.map(|(key, alert)| (key, Alert { told: BTreeMap::new(), ..alert })));
        self.forget();
        let mut due = Vec::new();
        for listener in listeners {
            let rest = self.channels.get(&listener.channel);
            if rest.is_some_and(|rest| !rest.left.is_zero()) {
                continue;
            }
            let mut of_channel: Vec<_> = self.alerts.iter().filter(|(_, alert)| alert.is_untold(listener)).collect();
            of_channel.sort_by_key(|(_, alert)| (std::cmp::Reverse(alert.severity), alert.at));
            // One that always fails does not stand before the others for ever.
            if let (Some(rest), false) = (rest, of_channel.is_empty()) {
                let turn = usize::try_from(rest.failures).unwrap_or(0) % of_channel.len();
                of_channel.rotate_left(turn);
            }
            due.extend(
                of_channel
                    .into_iter()
                    .map(|(key, alert)| Due { channel: listener.channel.clone(), notice: alert.notice(key, server) }),
            );
        }
        due
    }

    /// As many of those that are over are remembered as there may be.
    fn forget(&mut self) {
        while self.over.len() > REMEMBERED {
            let oldest = self.over.iter().min_by_key(|(_, alert)| alert.at).map(|(key, _)| key.clone());
            self.over.retain(|key, _| Some(key) != oldest.as_ref());
        }
    }

    /// What came of telling `due`, and when.
    pub fn told(&mut self, due: &Due, result: &Result<(), DeliveryError>, now: Timestamp) {
        if let Err(DeliveryError::Later { message, after }) = result {
            let rest = self.channels.entry(due.channel.clone()).or_default();
            let doubled = FIRST_REST.saturating_mul(1 << rest.failures.min(10)).min(LONGEST_REST);
            rest.failures = rest.failures.saturating_add(1);
            rest.left = doubled.max(after.unwrap_or_default().min(LONGEST_ASKED));
            rest.error = short(message);
            return;
        }
        self.channels.remove(&due.channel);
        let refused = result.as_ref().err().map(|error| short(&error.to_string()));
        self.heard.insert(due.channel.clone(), Heard { at: now, refused });
        let prefix = due.notice.server.len() + 1;
        let key = due.notice.key.get(prefix..).unwrap_or_default();
        // What became of the alert meanwhile is told next.
        if let Some(alert) = self.alerts.get_mut(key) {
            alert.told.insert(due.channel.clone(), due.notice.event);
        }
    }

    /// Takes over what another board knows that was not kept: what it says of an alert counts where it is newer.
    pub fn absorb(&mut self, other: &Self) {
        for (key, theirs) in &other.over {
            if self.over.get(key).is_none_or(|ours| ours.at < theirs.at) {
                self.over.insert(key.clone(), theirs.clone());
            }
        }
        self.forget();
        for (channel, theirs) in &other.heard {
            if self.heard.get(channel).is_none_or(|ours| ours.at < theirs.at) {
                self.heard.insert(channel.clone(), theirs.clone());
            }
        }
        for (key, theirs) in &other.alerts {
            let is_full = self.alerts.len() >= MOST;
            match self.alerts.get_mut(key) {
                Some(ours) if ours.phase == theirs.phase && ours.since == theirs.since => {
                    ours.told.extend(theirs.told.iter().map(|(channel, event)| (channel.clone(), *event)));
                }
                Some(ours) if ours.at >= theirs.at || theirs.phase == Phase::Pending => {}
                Some(ours) => *ours = theirs.clone(),
                None if theirs.phase == Phase::Pending || is_full => {}
                None => {
                    self.alerts.insert(key.clone(), theirs.clone());
                }
            }
        }
    }

    /// How many alerts fire, of each severity.
    pub fn firing(&self) -> [(Severity, usize); Severity::ALL.len()] {
        let firing = |severity| {
            self.alerts.values().filter(|alert| alert.phase == Phase::Firing && alert.severity == severity).count()
        };
        Severity::ALL.map(|severity| (severity, firing(severity)))
    }
}

impl Alert {
    fn new(rule: &Rule, subject: Option<String>, now: Timestamp) -> Self {
        Self {
            rule: rule.name.clone(),
            subject,
            severity: rule.severity,
            phase: Phase::Pending,
            against: None,
            at: now,
            since: now,
            summary: String::new(),
            value: 0.0,
            told: BTreeMap::new(),
            told_ago: Duration::ZERO,
        }
    }

    fn read(&mut self, rule: &Rule, value: f64, step: Duration, now: Timestamp) {
        (self.value, self.severity) = (value, rule.severity);
        self.summary = match &self.subject {
            Some(subject) => format!("{}: {subject} ({})", rule.about, round(value)),
            None => format!("{}: {}", rule.about, round(value)),
        };
        self.weigh(rule, rule.is_breached_by(value), rule.is_cleared_by(value), step, now);
    }

    /// Counts the time for which what is read has spoken for another phase, and goes there.
    fn weigh(&mut self, rule: &Rule, is_wrong: bool, is_well: bool, step: Duration, now: Timestamp) {
        let (is_against, hold) = match self.phase {
            Phase::Firing => (is_well, rule.clear_hold),
            Phase::Pending | Phase::Resolved => (is_wrong, rule.hold),
        };
        // The first time it is seen, nobody knows for how long it has been so.
        self.against = is_against.then(|| self.against.map_or(Duration::ZERO, |time| time.saturating_add(step)));
        if self.against.is_none_or(|time| time < hold) {
            return;
        }
        if self.phase == Phase::Firing {
            self.over(now);
        } else {
            (self.phase, self.at, self.since, self.against) = (Phase::Firing, now, now, None);
            self.told.clear();
        }
    }

    fn over(&mut self, now: Timestamp) {
        self.against = None;
        // One that is pending is forgotten.
        if self.phase == Phase::Firing {
            (self.phase, self.at) = (Phase::Resolved, now);
        }
    }

    fn is_untold(&self, listener: &Listener) -> bool {
        let event = match self.phase {
            Phase::Pending => return false,
            Phase::Firing => Event::Firing,
            Phase::Resolved => Event::Resolved,
        };
        listener.severities.contains(&self.severity) && self.told.get(&listener.channel) != Some(&event)
    }

    fn notice(&self, key: &str, server: &str) -> Notice {
        let is_over = self.phase == Phase::Resolved;
        Notice {
            key: format!("{server}/{key}"),
            event: if is_over { Event::Resolved } else { Event::Firing },
            severity: self.severity,
            rule: self.rule.clone(),
            subject: self.subject.clone(),
            summary: self.summary.clone(),
            value: self.value,
            server: server.to_owned(),
            since: self.since,
            until: is_over.then_some(self.at),
        }
    }
}

/// As much of what a channel said as is kept.
fn short(message: &str) -> String {
    message.chars().take(200).collect()
}

fn key(rule: &str, subject: Option<&str>) -> String {
    subject.map_or_else(|| rule.to_owned(), |subject| format!("{rule}/{subject}"))
}

/// Three places are enough for people.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
