//! What a run may use, and what it has used.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::price::Money;

/// What a run may use at the most, with all that it leaves to others. What is `None` is not bounded by it.
///
/// A run that has used up one of them ends, says which, and gives what has come of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// How many steps agents decide: 50.
    pub steps: Option<u32>,
    /// How many calls of tools are made: 500.
    pub calls: Option<u32>,
    /// How many tokens go into models and come out of them, together.
    pub tokens: Option<u64>,
    /// How much money is spent, in millionths of the currency of the prices.
    #[schemars(with = "Option<u64>")]
    pub money: Option<Money>,
    /// How long it works: half an hour. The time in which it waits for an answer does not count.
    #[serde(rename = "seconds", with = "seconds")]
    #[schemars(with = "Option<u64>")]
    pub time: Option<Duration>,
    /// How deep agents leave things to agents that leave things to agents: 4.
    pub depth: Option<u8>,
}

/// One of the limits of a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limit {
    /// [`Budget::steps`].
    Steps,
    /// [`Budget::calls`].
    Calls,
    /// [`Budget::tokens`].
    Tokens,
    /// [`Budget::money`].
    Money,
    /// [`Budget::time`].
    Time,
    /// [`Budget::depth`].
    Depth,
}

/// What a run, or a part of it, has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Spent {
    /// Steps that agents have decided.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps: u32,
    /// Calls of tools.
    #[serde(skip_serializing_if = "is_zero")]
    pub calls: u32,
    /// Tokens that went into models and came out of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Money, in millionths of the currency of the prices, as far as those are known.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(with = "u64")]
    pub money: Money,
    /// Milliseconds of work.
    #[serde(skip_serializing_if = "is_zero")]
    pub millis: u64,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: Some(50),
            calls: Some(500),
            tokens: None,
            money: None,
            time: Some(Duration::from_secs(30 * 60)),
            depth: Some(4),
        }
    }
}

impl Budget {
    /// One that bounds nothing.
    pub fn unbounded() -> Self {
        Self { steps: None, calls: None, tokens: None, money: None, time: None, depth: None }
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            steps: least(self.steps, other.steps),
            calls: least(self.calls, other.calls),
            tokens: least(self.tokens, other.tokens),
            money: least(self.money, other.money),
            time: least(self.time, other.time),
            depth: least(self.depth, other.depth),
        }
    }

    /// What is left of it.
    #[must_use]
    pub fn less(self, spent: Spent) -> Self {
        Self {
            steps: self.steps.map(|most| most.saturating_sub(spent.steps)),
            calls: self.calls.map(|most| most.saturating_sub(spent.calls)),
            tokens: self.tokens.map(|most| most.saturating_sub(spent.tokens)),
            money: self.money.map(|most| less_money(most, spent.money)),
            time: self.time.map(|most| most.saturating_sub(spent.time())),
            depth: self.depth,
        }
    }

    /// What each of so many may use, so that together they use no more than this. Time is the same for all of them.
    pub(crate) fn shared(self, among: u32) -> Self {
        let among = among.max(1);
        Self {
            steps: self.steps.map(|most| most / among),
            calls: self.calls.map(|most| most / among),
            tokens: self.tokens.map(|most| most / u64::from(among)),
            money: self.money.map(|most| Money::from_micros(most.as_micros() / u64::from(among))),
            ..self
        }
    }

    /// What an agent may use to which one with this budget leaves something; nothing, where that is as deep as it goes.
    pub(crate) fn deeper(self) -> Option<Self> {
        match self.depth {
            None => Some(self),
            Some(depth) => Some(Self { depth: Some(depth.checked_sub(1)?), ..self }),
        }
    }

    /// What has less of it left than one more step takes.
    pub(crate) fn used_up(&self) -> Option<Limit> {
        let limits = [
            (self.steps == Some(0), Limit::Steps),
            (self.tokens == Some(0), Limit::Tokens),
            (self.money == Some(Money::default()), Limit::Money),
            (self.time == Some(Duration::ZERO), Limit::Time),
        ];
        limits.into_iter().find_map(|(is_used_up, limit)| is_used_up.then_some(limit))
    }
}

fn less_money(most: Money, spent: Money) -> Money {
    Money::from_micros(most.as_micros().saturating_sub(spent.as_micros()))
}

fn least<N: Ord>(one: Option<N>, other: Option<N>) -> Option<N> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Spent {
    /// How long it worked.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps.saturating_add(other.steps),
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            money: self.money.plus(other.money),
            millis: self.millis.saturating_add(other.millis),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "steps",
            Self::Calls => "calls of tools",
            Self::Tokens => "tokens",
            Self::Money => "money",
            Self::Time => "time",
            Self::Depth => "depth",
        })
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_allow_is_the_least_of_each() {
        let one = Budget { steps: Some(5), tokens: Some(7), ..Budget::unbounded() };
        let other = Budget { steps: Some(3), money: Some(Money::from_micros(9)), ..Budget::unbounded() };
        let both =
            Budget { steps: Some(3), tokens: Some(7), money: Some(Money::from_micros(9)), ..Budget::unbounded() };
        assert_eq!((one.and(other), other.and(one)), (both, both));
    }

    #[test]
    fn what_is_left_never_falls_below_nothing_and_says_what_is_used_up() {
        let budget = Budget { steps: Some(2), tokens: Some(10), ..Budget::unbounded() };
        let spent = Spent { steps: 1, tokens: 30, ..Spent::default() };
        let left = budget.less(spent);
        assert_eq!((left.steps, left.tokens, left.used_up()), (Some(1), Some(0), Some(Limit::Tokens)));
        assert_eq!(budget.less(Spent::default()).used_up(), None);
        assert_eq!(Budget::unbounded().less(spent).used_up(), None);
    }

    #[test]
    fn it_is_written_in_seconds_and_a_wrong_name_is_told() {
        let read: Budget = serde_json::from_str(r#"{"seconds": 90, "steps": 3}"#).unwrap();
        assert_eq!((read.time, read.steps, read.calls), (Some(Duration::from_secs(90)), Some(3), Some(500)));
        assert_eq!(serde_json::to_value(read).unwrap()["seconds"], 90);
        assert!(serde_json::from_str::<Budget>(r#"{"second": 90}"#).unwrap_err().to_string().contains("`seconds`"));
    }
}
