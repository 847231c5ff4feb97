//! What the server leans on: each is checked in the background, and what was found last is kept.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::measure::{Collector, Sample};
use mcp_core::store::check::{Check, CheckError};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::telemetry::millis;

/// How long a dependency is left alone between two checks.
pub(super) const PERIOD: Duration = Duration::from_secs(5);
/// How long a check may take; what takes longer counts as down.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

/// All dependencies, watched until this is dropped.
pub(crate) struct Dependencies {
    all: Vec<Arc<Dependency>>,
    /// Ends the tasks when it is dropped.
    _watching: JoinSet<()>,
}

struct Dependency {
    check: Arc<dyn Check>,
    clock: Arc<dyn Clock>,
    found: Mutex<Report>,
    /// What the log was told last.
    told: Mutex<State>,
}

/// What the last check of a dependency found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Report {
    pub(super) state: State,
    /// How long the last check took.
    pub(super) latency_ms: f64,
    /// When it came into this state (RFC 3339).
    #[schemars(with = "String")]
    pub(super) since: Timestamp,
    /// The last failure, also where it is up again.
    pub(super) last_error: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Up,
    Down,
}

impl State {
    fn of(result: &Result<(), CheckError>) -> Self {
        if result.is_ok() { Self::Up } else { Self::Down }
    }
}

/// Why a check failed, and when.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "CheckFailure")]
pub(super) struct Failure {
    pub(super) message: String,
    /// When (RFC 3339).
    #[schemars(with = "String")]
    pub(super) at: Timestamp,
}

/// How all of them are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    Ok,
    Degraded,
    Down,
}

impl Condition {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl Dependencies {
    pub(crate) async fn watch(checks: Vec<Arc<dyn Check>>, clock: Arc<dyn Clock>) -> Self {
        let first = checks.into_iter().map(|check| Dependency::first(check, clock.clone()));
        let all: Vec<_> = join_all(first).await.into_iter().map(Arc::new).collect();
        let watching = all.iter().cloned().map(Dependency::watch).collect();
        Self { all, _watching: watching }
    }

    pub(super) fn condition(&self) -> Condition {
        let conditions = self.all.iter().map(|dependency| match dependency.report().state {
            State::Up => Condition::Ok,
            State::Down if !dependency.check.is_counted() => Condition::Ok,
            State::Down if dependency.check.is_needed() => Condition::Down,
            State::Down => Condition::Degraded,
        });
        conditions.max().unwrap_or(Condition::Ok)
    }

    /// Of each whether it is down.
    pub(crate) fn are_down(&self) -> impl Iterator<Item = (&str, bool)> {
        self.reports().map(|(name, report)| (name, report.state == State::Down))
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = (&str, Report)> {
        self.all.iter().map(|dependency| (dependency.check.name(), dependency.report()))
    }
}

impl Dependency {
    /// A dependency that has been checked once.
    async fn first(check: Arc<dyn Check>, clock: Arc<dyn Clock>) -> Self {
        let found = Report { state: State::Up, latency_ms: 0.0, since: clock.now(), last_error: None };
        let dependency = Self { check, clock, found: Mutex::new(found), told: Mutex::new(State::Up) };
        let result = dependency.look().await;
        // Of what makes no server worse, nothing is said while it starts.
        if dependency.check.is_counted() {
            dependency.tell(result);
        }
        dependency
    }

    async fn watch(self: Arc<Self>) {
        loop {
            self.clock.sleep(PERIOD).await;
            let result = self.look().await;
            self.tell(result);
        }
    }

    /// Checks once, for as long as the deadline allows.
    async fn look(&self) -> Result<(), CheckError> {
        let begun = self.clock.monotonic();
        // One that panics is asked again like every other: without it, what was found before would be told for ever.
        let check = AssertUnwindSafe(async { self.check.check().await }).catch_unwind();
        let result = match select(std::pin::pin!(check), self.clock.sleep(DEADLINE)).await {
            Either::Left((Ok(result), _)) => result,
            Either::Left((Err(_), _)) => Err(CheckError::new("the check itself panicked")),
            Either::Right(_) => Err(CheckError::new(format!("no answer within {DEADLINE:?}"))),
        };
        let took = self.clock.monotonic().saturating_sub(begun);
        let now = self.clock.now();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let state = State::of(&result);
        if found.state != state {
            found.since = now;
        }
        found.state = state;
        found.latency_ms = millis(self.check.took().unwrap_or(took));
        if let Err(error) = &result {
            found.last_error = Some(Failure { message: error.to_string(), at: now });
        }
        result
    }

    /// Tells the log what has changed since it was told last.
    fn tell(&self, result: Result<(), CheckError>) {
        let dependency = self.check.name();
        let after = State::of(&result);
        let before = std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), after);
        match (before, result) {
            (State::Up, Err(error)) => {
                tracing::error!(dependency, error = &error as &dyn std::error::Error, "a dependency is down");
            }
            (State::Down, Ok(())) => tracing::info!(dependency, "a dependency is up again"),
            _ => {}
        }
    }

    fn report(&self) -> Report {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector for Dependencies {
    fn collect(&self) -> Vec<Sample> {
        let samples = |name, help, value: fn(&Report) -> f64| {
            self.reports().map(move |(dependency, report)| {
                Sample::gauge(name, help, value(&report)).with("dependency", dependency)
            })
        };
        let up = samples("mcp_dependency_up", "Whether the last check of a dependency went well: 1 or 0.", |report| {
            if report.state == State::Up { 1.0 } else { 0.0 }
        });
        let took = samples("mcp_dependency_check_seconds", "How long the last check of a dependency took.", |report| {
            report.latency_ms / 1e3
        });
        up.chain(took).collect()
    }
}
