//! How many calls there were, how they ended, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::ledger::{CallRecord, Outcome};
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::measure::{Distribution, Histogram};
use crate::model::price::Money;

/// Tells what calls the [`Ledger`](super::ledger::Ledger) wrote, without reading them: they are counted by the minute, where they are
/// written.
///
/// # Promises
/// - **a call is counted once**: as soon as it can be read, and in the minute in which it ended; one that is committed again is not
///   counted again.
/// - **counts outlive calls**: what is removed stays counted. A count names nobody.
/// - **only the time asked for is counted**: each step by itself; one without calls is left out.
/// - **tools and outcomes are told apart**: where they are asked for.
/// - **what models took is counted once**: with the step for which they were asked, in the minute that is said, by agent and by model.
/// - **tenants are apart**: and are told together where the house asks.
#[async_trait]
pub trait Stats: Send + Sync + 'static {
    /// What was counted of a tenant's calls, or, for the house's own work, of those of all tenants: in the order of time, and for one
    /// time in that of names.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: there would be more than [`MOST`] of them. [`StoreError::Unavailable`].
    async fn calls(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Counted>, StoreError>;

    /// What language models took for the steps of a tenant's runs, or for those of all tenants, as [`Stats::calls`] has it.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Stats::calls`].
    async fn models(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Taken>, StoreError>;
}

/// How many [`Counted`] one answer has at the most.
pub const MOST: usize = 20_000;

/// What is counted together at the least.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Which calls, and which of them are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsQuery {
    /// Those that ended in this minute or later.
    pub from: Timestamp,
    /// Those that ended before this minute.
    pub to: Timestamp,
    /// How many minutes are counted together, from the first on. What is older than two days is counted by the hour.
    pub minutes: u32,
    /// By what they are told apart.
    pub by: By,
}

/// By what they are told apart: calls by tool and by outcome, what models took by agent and by model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum By {
    /// By nothing: all are counted together.
    #[default]
    Nothing,
    /// By the tool.
    Tool,
    /// By how they ended.
    Outcome,
    /// By the agent for which models were asked.
    Agent,
    /// By the model.
    Model,
}

/// Calls that were counted together.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// When the step begins.
    pub at: Timestamp,
    /// The tool or the outcome, where calls are told apart.
    pub name: Option<String>,
    /// How many of them [failed](Outcome::is_failure).
    pub failed: u64,
    /// How long they took; its [count](Distribution::count) is how many there were.
    pub durations: Distribution,
}

/// What a language model took for one step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelUse {
    /// The agent that asked it.
    pub agent: String,
    /// The model.
    pub model: String,
    /// How many tokens, in and out.
    pub tokens: u64,
    /// What that cost, as far as that is known.
    pub cost: Money,
    /// When.
    pub at: Timestamp,
}

/// What language models took, counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When the step begins.
    pub at: Timestamp,
    /// The agent or the model, where they are told apart.
    pub name: Option<String>,
    /// How many tokens.
    pub tokens: u64,
    /// What they cost.
    pub cost: Money,
}

/// Calls that a store has counted together: of one minute, one tool and one outcome, and about as long. It is what stores keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// In minutes since 1970.
    pub minute: i64,
    /// The tool.
    pub tool: String,
    /// How they ended.
    pub outcome: Outcome,
    /// In which of the [buckets](Histogram::bucket) their times are.
    pub bucket: usize,
    /// How many there are.
    pub calls: u64,
    /// How long all of them took.
    pub took: Duration,
}

impl Count {
    /// Of one call.
    pub fn of(call: &CallRecord) -> Self {
        Self {
            minute: minute(call.at.after(call.duration)),
            tool: call.tool.clone(),
            outcome: call.outcome,
            bucket: Histogram::bucket(call.duration),
            calls: 1,
            took: call.duration,
        }
    }
}

/// In which minute since 1970 a time is.
pub fn minute(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(i64::try_from(MINUTE.as_micros()).unwrap_or(i64::MAX))
}

/// When a minute since 1970 begins.
pub fn begin(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute.saturating_mul(i64::try_from(MINUTE.as_micros()).unwrap_or(i64::MAX)))
}

fn check_size(counted: usize) -> Result<(), StoreError> {
    if counted <= MOST { Ok(()) } else { Err(StoreError::Refused { store: "stats", source: None }) }
}

impl StatsQuery {
    /// The first minute that is asked for, and the first that is not any more.
    pub fn range(&self) -> (i64, i64) {
        (minute(self.from), minute(self.to))
    }

    /// How many minutes are counted together, which is at least one.
    pub fn step(&self) -> i64 {
        i64::from(self.minutes.max(1))
    }

    /// Puts what a store has counted together, as it is asked for. Its times are steps of the query.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: that are more than [`MOST`].
    pub fn gather(&self, counts: impl IntoIterator<Item = Count>) -> Result<Vec<Counted>, StoreError> {
        let mut gathered = BTreeMap::<(i64, Option<String>), (u64, Distribution)>::new();
        for count in counts {
            let Some(step) = self.step_of(count.minute) else { continue };
            let name = match self.by {
                By::Nothing => None,
                By::Tool => Some(count.tool),
                By::Outcome => Some(count.outcome.as_str().to_owned()),
                By::Agent | By::Model => None,
            };
            let (failed, durations) = gathered.entry((step, name)).or_default();
            *failed += if count.outcome.is_failure() { count.calls } else { 0 };
            durations.add(count.bucket, count.calls, count.took);
            check_size(gathered.len())?;
        }
        let counted =
            |((step, name), (failed, durations))| Counted { at: self.begin_of(step), name, failed, durations };
        Ok(gathered.into_iter().map(counted).collect())
    }

    /// The same of what models took: minutes since 1970, and what was counted in them.
    ///
    /// # Errors
    /// As [`StatsQuery::gather`].
    pub fn gather_taken(&self, counts: impl IntoIterator<Item = ModelUse>) -> Result<Vec<Taken>, StoreError> {
        let mut gathered = BTreeMap::<(i64, Option<String>), (u64, Money)>::new();
        for count in counts {
            let Some(step) = self.step_of(minute(count.at)) else { continue };
            let name = match self.by {
                By::Agent => Some(count.agent),
                By::Model => Some(count.model),
                By::Nothing | By::Tool | By::Outcome => None,
            };
            let (tokens, cost) = gathered.entry((step, name)).or_default();
            (*tokens, *cost) = (tokens.saturating_add(count.tokens), cost.plus(count.cost));
            check_size(gathered.len())?;
        }
        let taken = |((step, name), (tokens, cost))| Taken { at: self.begin_of(step), name, tokens, cost };
        Ok(gathered.into_iter().map(taken).collect())
    }

    /// In which of the steps a minute is, if in any.
    fn step_of(&self, minute: i64) -> Option<i64> {
        let (first, end) = self.range();
        (first..end).contains(&minute).then(|| (minute - first).div_euclid(self.step()))
    }

    fn begin_of(&self, step: i64) -> Timestamp {
        begin(self.range().0 + step * self.step())
    }
}
