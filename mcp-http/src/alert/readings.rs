//! What rules read.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, join3, select, try_join};
use mcp_core::Stores;
use mcp_core::alert::board::{Reading, Readings};
use mcp_core::alert::rule::Rule;
use mcp_core::caller::Tenant;
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, Sample, SampleKind};
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::Outcome;
use mcp_core::store::stats::{By, Counted, MINUTE, StatsQuery};

use crate::bundled::HOUSE;
use crate::health::Dependencies;

/// The calls of the last minutes are what their rate and their times are of.
const WINDOW: u32 = 5;

/// What is counted in this process; what is counted of calls is in the store, for all replicas.
pub(crate) struct Gauges {
    dependencies: Arc<Dependencies>,
    collectors: Vec<Arc<dyn Collector>>,
    /// As it was read last.
    seen: Mutex<Seen>,
}

impl Gauges {
    pub(crate) fn new(dependencies: Arc<Dependencies>, collectors: Vec<Arc<dyn Collector>>) -> Self {
        Self { dependencies, collectors, seen: Mutex::default() }
    }

    /// Shows nothing of what another replica looks at from now on.
    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is read for each rule at this moment.
    pub(super) async fn read<'r>(
        &self,
        rules: &'r [Rule],
        stores: &Stores,
        clock: &dyn Clock,
    ) -> Vec<(&'r Rule, Readings)> {
        let is_of_calls = |rule: &Rule| matches!(&*rule.measure, "error_rate" | "p99_seconds");
        let calls = if rules.iter().any(is_of_calls) { calls(stores, clock).await } else { None };
        let now = Seen::read(stores, clock).await;
        self.seen().renew(now);
        let samples: Vec<Sample> = self.collectors.iter().flat_map(|collector| collector.collect()).collect();
        rules.iter().map(|rule| (rule, self.of(&rule.measure, calls.as_ref(), &now, &samples))).collect()
    }

    fn of(&self, measure: &str, calls: Option<&Calls>, seen: &Seen, samples: &[Sample]) -> Readings {
        let backups = seen.backups;
        let one = |value: Option<f64>| value.map(|value| Reading { subject: None, value }).into_iter().collect();
        match measure {
            // Of no calls, none has failed.
            "error_rate" => {
                calls.map(|calls| one(calls.as_ref().map(|calls| calls.failed as f64 / calls.durations.count() as f64)))
            }
            "p99_seconds" => calls.map(|calls| {
                let slow = calls.as_ref().and_then(|calls| calls.durations.quantile(0.99));
                one(slow.map(|slow| slow.as_secs_f64()))
            }),
            "dependency_down" => {
                let reading = |(name, is_down): (&str, bool)| Reading {
                    subject: Some(name.to_owned()),
                    value: if is_down { 1.0 } else { 0.0 },
                };
                Some(self.dependencies.are_down().map(reading).collect())
            }
            "backup_failed" => backups.map(|backups| one(backups.has_failed.map(f64::from))),
            "backup_age_hours" => backups.map(|backups| one(backups.age.map(|age| age.as_secs_f64() / 3_600.0))),
            "run_overdue_seconds" => seen.overdue.map(|overdue| one(Some(overdue.as_secs_f64()))),
            "disk_used" | "memory_used" => {
                let part = measure.strip_suffix("_used").unwrap_or(measure);
                let of_part = |sample: &&Sample| {
                    sample.name == "mcp_machine_used_ratio" && sample.labels.iter().any(|(_, value)| value == part)
                };
                Some(one(samples.iter().find(of_part).map(|sample| sample.value)))
            }
            name => {
                let of_name = samples.iter().filter(|sample| sample.name == name && sample.kind == SampleKind::Gauge);
                let reading = of_name.map(|sample| {
                    let labels: Vec<_> = sample.labels.iter().map(|(_, value)| value.as_str()).collect();
                    Reading { subject: (!labels.is_empty()).then(|| labels.join(",")), value: sample.value }
                });
                Some(reading.collect())
            }
        }
    }
}

impl Collector for Gauges {
    fn collect(&self) -> Vec<Sample> {
        let seen = *self.seen();
        let backups = seen.backups.unwrap_or_default();
        let failed = "Whether the last backup failed, as the replica that looks for alerts has read: 1 or 0.";
        let age = "How old the last whole backup is, as the replica that looks for alerts has read; 0 where it knows of none.";
        let overdue = "For how long the run has been due that waits longest for somebody to take it, or to take it again from who was lost, of all replicas, as the one that looks for alerts has read.";
        let sessions = "Sessions of clients of the older era, on all replicas together, as the one that looks for alerts has read.";
        vec![
            Sample::gauge("mcp_backup_failed", failed, f64::from(backups.has_failed == Some(true))),
            Sample::gauge("mcp_backup_age_seconds", age, backups.age.unwrap_or_default().as_secs_f64()),
            Sample::gauge("mcp_run_overdue_seconds", overdue, seen.overdue.unwrap_or_default().as_secs_f64()),
            Sample::gauge("mcp_legacy_sessions", sessions, seen.sessions.unwrap_or_default() as f64),
        ]
    }
}

/// Calls that were counted together; nothing, where there were none.
type Calls = Option<Counted>;

/// What is read of the stores for all replicas; what could not be read is not there.
#[derive(Clone, Copy, Default)]
struct Seen {
    backups: Option<Backups>,
    /// For how long the run has been due that has been for longest.
    overdue: Option<Duration>,
    /// How many sessions there are of the older era.
    sessions: Option<u64>,
}

impl Seen {
    async fn read(stores: &Stores, clock: &dyn Clock) -> Self {
        let overdue = in_time(clock, stores.runs.longest_due());
        let sessions = in_time(clock, stores.protocol_sessions.count());
        let (backups, overdue, sessions) = join3(Backups::read(stores, clock), overdue, sessions).await;
        Self { backups, overdue: overdue.map(Option::unwrap_or_default), sessions }
    }

    /// As it is now, and what could not be read as it was.
    fn renew(&mut self, now: Self) {
        *self = Self {
            backups: now.backups.or(self.backups),
            overdue: now.overdue.or(self.overdue),
            sessions: now.sessions.or(self.sessions),
        };
    }
}

/// What is recorded of backups (`mcp-http backup`); where none was ever made, nothing.
#[derive(Clone, Copy, Default)]
struct Backups {
    has_failed: Option<bool>,
    /// Of the last that is whole.
    age: Option<Duration>,
}

impl Backups {
    async fn read(stores: &Stores, clock: &dyn Clock) -> Option<Self> {
        let tenant = Tenant::from(HOUSE);
        let query = |outcome| CallQuery { outcome, limit: 1, ..CallQuery::of_act("backup") };
        let (any, whole) = (query(None), query(Some(Outcome::Ok)));
        let both = try_join(stores.history.calls(&tenant, &any), stores.history.calls(&tenant, &whole));
        let (any, whole) = in_time(clock, both).await?;
        Some(Self {
            has_failed: any.first().map(|last| last.outcome != Outcome::Ok),
            age: whole.first().map(|last| last.at.until(clock.now())),
        })
    }
}

/// What a store says; one that hangs says nothing.
async fn in_time<T>(clock: &dyn Clock, asked: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    match select(pin!(asked), clock.sleep(Duration::from_secs(5))).await {
        Either::Left((said, _)) => said.ok(),
        Either::Right(_) => None,
    }
}

/// The calls of the last minutes, counted together.
async fn calls(stores: &Stores, clock: &dyn Clock) -> Option<Calls> {
    let now = clock.now();
    let query =
        StatsQuery { from: now.before(MINUTE * WINDOW), to: now.after(MINUTE), minutes: WINDOW + 2, by: By::Nothing };
    in_time(clock, stores.stats.calls(None, &query)).await.map(|counted| counted.into_iter().next())
}
