//! When somebody is told, and how, as an operator writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcp_connect::ChannelConfig;
use mcp_core::alert::Severity;
use mcp_core::alert::board::Listener;
use mcp_core::alert::rule::{Comparison, Rule};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::value;

/// The rules in force, and the channels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts {
    pub(crate) rules: Vec<Rule>,
    pub(crate) channels: BTreeMap<String, ChannelConfig>,
    pub(crate) listeners: Vec<Listener>,
    /// After how long what still fires is told again.
    pub(crate) repeat: Duration,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    rules: BTreeMap<String, WrittenRule>,
    channels: BTreeMap<String, Map<String, Value>>,
    repeat: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenRule {
    measure: Option<String>,
    about: Option<String>,
    above: Option<f64>,
    below: Option<f64>,
    clear: Option<f64>,
    r#for: Option<String>,
    clear_for: Option<String>,
    severity: Option<Severity>,
    off: bool,
}

/// How many channels and rules there are at the most, and how long a name of one is.
const MOST_CHANNELS: usize = 8;
const MOST_RULES: usize = 50;
const LONGEST: usize = 32;

/// How old the newest backup may be: one is made each night.
pub(crate) const BACKUP_AGE: Duration = Duration::from_secs(26 * 3_600);

/// What rules read beside gauges.
const MEASURES: [&str; 8] = [
    "error_rate",
    "p99_seconds",
    "dependency_down",
    "disk_used",
    "memory_used",
    "backup_failed",
    "backup_age_hours",
    "run_overdue_seconds",
];

/// What is wrong anywhere.
fn defaults() -> Vec<Rule> {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    vec![
        Rule::above("error_rate", "calls fail: part of them", "error_rate", 0.001, minutes(2), Severity::Critical),
        Rule::above("p99", "calls are slow: seconds for 99 %", "p99_seconds", 0.1, minutes(5), Severity::Warning)
            .clear(0.08),
        Rule::above("dependency_down", "a dependency is down", "dependency_down", 0.0, minutes(1), Severity::Critical),
        Rule::above(
            "disk",
            "the disk with the data is used: part of it",
            "disk_used",
            0.85,
            minutes(5),
            Severity::Warning,
        )
        .clear(0.8),
        Rule::above("memory", "memory is used: part of it", "memory_used", 0.9, minutes(5), Severity::Warning)
            .clear(0.85),
        Rule::above("backup_failed", "the last backup failed", "backup_failed", 0.0, minutes(0), Severity::Critical),
        Rule::above(
            "backup_age",
            "the last backup is old: hours",
            "backup_age_hours",
            BACKUP_AGE.as_secs_f64() / 3_600.0,
            minutes(10),
            Severity::Critical,
        ),
        Rule::above(
            "budget_spent",
            "what may be spent on a model is spent",
            "mcp_model_budget_spent",
            0.0,
            minutes(0),
            Severity::Warning,
        ),
        Rule::above(
            "stuck_runs",
            "a run is due and nobody takes it: seconds",
            "run_overdue_seconds",
            300.0,
            minutes(1),
            Severity::Critical,
        ),
    ]
}

/// Reads `{"channels": {"duty": {"kind": "pagerduty", "key_env": "PAGERDUTY_KEY"}}, "rules": …}`.
pub(super) fn alerts(text: Option<&str>) -> Result<Alerts, String> {
    let example = r#"{"channels": {"duty": {"kind": "pagerduty", "key_env": "PAGERDUTY_KEY"}}, "rules": {"p99": {"above": 0.25}}}"#;
    let written: Written = value::object(text, example)?;
    let mut alerts = Alerts { rules: defaults(), repeat: Duration::from_secs(4 * 3_600), ..Alerts::default() };
    if let Some(repeat) = written.repeat {
        alerts.repeat = value::duration(Some(&repeat)).map_err(|why| format!("repeat: {why}"))?;
    }
    for (name, rule) in written.rules {
        check_name("rules", &name)?;
        let at = |why: String| format!("rules.{name}: {why}");
        let known = alerts.rules.iter().position(|known| known.name == name);
        let before = known.map(|known| alerts.rules.remove(known));
        if !rule.off {
            alerts.rules.push(rule.over(&name, before).map_err(at)?);
        }
    }
    for (name, mut channel) in written.channels {
        check_name("channels", &name)?;
        let at = |why: serde_json::Error| format!("channels.{name}: {why}");
        let severities = channel.remove("severities").map(serde_json::from_value).transpose().map_err(at)?;
        let severities: BTreeSet<Severity> = severities.unwrap_or_else(|| Severity::ALL.into());
        let config = serde_json::from_value(Value::Object(channel)).map_err(at)?;
        alerts.listeners.push(Listener { channel: name.clone(), severities });
        alerts.channels.insert(name, config);
    }
    if alerts.channels.len() > MOST_CHANNELS || alerts.rules.len() > MOST_RULES {
        return Err(format!("there are at most {MOST_CHANNELS} channels and {MOST_RULES} rules"));
    }
    Ok(alerts)
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!("{what}: expected a name of 1 to {LONGEST} letters, digits, - and _, got {name:?}"))
}

impl WrittenRule {
    /// The rule, where what is not said is as it was before.
    fn over(self, name: &str, before: Option<Rule>) -> Result<Rule, String> {
        let (comparison, threshold) = match (self.above, self.below, &before) {
            (Some(above), None, _) => (Comparison::Above, above),
            (None, Some(below), _) => (Comparison::Below, below),
            (None, None, Some(before)) => (before.comparison, before.threshold),
            _ => return Err("expected one of above and below".to_owned()),
        };
        let is_moved = self.above.is_some() || self.below.is_some();
        let kept = before.as_ref().filter(|_| !is_moved).map(|before| before.clear);
        let clear = self.clear.or(kept).unwrap_or(threshold);
        let is_sound = match comparison {
            Comparison::Above => clear <= threshold,
            Comparison::Below => clear >= threshold,
        };
        if !is_sound {
            return Err(format!("clear must be {threshold} or on its sound side, got {clear}"));
        }
        let time = |what: &str, text: Option<String>, otherwise: Duration| match text {
            None => Ok(otherwise),
            Some(text) => value::delay(Some(&text)).map_err(|why| format!("{what}: {why}")),
        };
        let minute = Duration::from_secs(60);
        let measure = self.measure.or_else(|| before.as_ref().map(|before| before.measure.clone()));
        let measure = measure.ok_or("expected a measure, since there is no such rule by itself")?;
        if !MEASURES.contains(&&*measure) && !measure.starts_with("mcp_") {
            return Err(format!(
                "measure: expected {}, or a gauge of /metrics that begins with mcp_, got {measure:?}",
                MEASURES.join(", ")
            ));
        }
        Ok(Rule {
            name: name.to_owned(),
            about: self
                .about
                .or_else(|| before.as_ref().map(|before| before.about.clone()))
                .unwrap_or_else(|| format!("{name}: {measure}")),
            measure,
            comparison,
            threshold,
            clear,
            hold: time("for", self.r#for, before.as_ref().map_or(minute, |before| before.hold))?,
            clear_hold: time("clear_for", self.clear_for, before.as_ref().map_or(minute, |before| before.clear_hold))?,
            severity: self.severity.or(before.map(|before| before.severity)).unwrap_or(Severity::Warning),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_changes_and_adds_to_what_is_wrong_anywhere() {
        let text = r#"{"repeat": "30m", "rules": {"p99": {"above": 0.25}, "error_rate": {"off": true},
            "queue": {"measure": "mcp_ledger_queued_commits", "above": 100, "clear": 50, "for": "5m", "severity": "critical"}},
            "channels": {"chat": {"kind": "slack", "url_env": "SLACK_URL", "severities": ["warning"]}}}"#;
        let alerts = alerts(Some(text)).unwrap();
        let rules: Vec<_> =
            alerts.rules.iter().map(|rule| (&*rule.name, rule.threshold, rule.clear, rule.hold.as_secs())).collect();
        let changed: Vec<_> = rules.iter().filter(|rule| ["error_rate", "p99", "queue"].contains(&rule.0)).collect();
        assert_eq!(changed, [&("p99", 0.25, 0.25, 300), &("queue", 100.0, 50.0, 300)]);
        assert_eq!((alerts.repeat.as_secs(), alerts.channels.len()), (1_800, 1));
        assert_eq!(alerts.listeners[0].severities, [Severity::Warning].into());
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        for (text, expected) in [
            ("5", "expected an object such as"),
            (r#"{"rule": {}}"#, "unknown field `rule`"),
            (r#"{"repeat": "often"}"#, "repeat: expected a time"),
            (r#"{"rules": {"a b": {}}}"#, "rules: expected a name"),
            (r#"{"rules": {"new": {"above": 1}}}"#, "rules.new: expected a measure"),
            (r#"{"rules": {"new": {"measure": "cpu", "above": 1}}}"#, "rules.new: measure: expected error_rate"),
            (r#"{"rules": {"new": {"measure": "mcp_x"}}}"#, "rules.new: expected one of above and below"),
            (r#"{"rules": {"p99": {"above": 1, "below": 1}}}"#, "rules.p99: expected one of above and below"),
            (r#"{"rules": {"p99": {"above": 1, "clear": 2}}}"#, "rules.p99: clear must be 1"),
            (r#"{"rules": {"p99": {"for": "a while"}}}"#, "rules.p99: for: expected a time"),
            (r#"{"rules": {"p99": {"severity": "bad"}}}"#, "unknown variant `bad`"),
            (r#"{"channels": {"chat": {"kind": "slack"}}}"#, "channels.chat: missing field `url_env`"),
            (r#"{"channels": {"chat": {"kind": "pigeon"}}}"#, "channels.chat: unknown variant `pigeon`"),
            (r#"{"channels": {"chat": {"kind": "slack", "url": "x"}}}"#, "channels.chat: unknown field `url`"),
            (
                r#"{"channels": {"chat": {"kind": "slack", "url_env": "X", "severities": ["bad"]}}}"#,
                "channels.chat: unknown variant `bad`",
            ),
        ] {
            let error = alerts(Some(text)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let many: Vec<_> = (0..9).map(|n| format!(r#""c{n}": {{"kind": "slack", "url_env": "X"}}"#)).collect();
        assert!(
            alerts(Some(&format!(r#"{{"channels": {{{}}}}}"#, many.join(","))))
                .unwrap_err()
                .contains("at most 8 channels")
        );
    }
}
