//! Counts that break their promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::each_case_fails;
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::measure::Histogram;
use crate::memory::lock;
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger, Outcome};
use crate::store::stats::{By, Count, Counted, Stats, StatsQuery};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    CountsAgain,
    CountsNothing,
    OneBucketUp,
    ForgetsTheTime,
    WhenTheyBegan,
    TakesOffWhatIsRemoved,
    All,
    IncludesTheEnd,
    LeavesOutTheBeginning,
    OneStep,
    NeverApart,
    FailuresAreThoseThatWereNotOk,
    NothingFailed,
    FoldsNames,
    AllTenants,
    FoldsTenants,
    NobodyIsNobody,
}

/// A ledger that counts what it writes; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    inner: Arc<dyn Ledger>,
    calls: Mutex<Vec<CallRecord>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let broken = Arc::new(Broken { flaw, inner: stores.ledger.clone(), calls: Mutex::default() });
    stores.ledger = broken.clone();
    stores.stats = broken;
    Fresh::new(stores, clock)
}

impl Ledger for Broken {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut calls = lock(&self.calls);
        for entry in &entries {
            match entry {
                Entry::Call(call) => {
                    let is_there = calls.iter().any(|there| (there.id, &there.tenant) == (call.id, &call.tenant));
                    if !is_there || self.flaw == Flaw::CountsAgain {
                        calls.push(call.clone());
                    }
                }
                Entry::Removal(removal) if self.flaw == Flaw::TakesOffWhatIsRemoved => {
                    let stays = |id: CallId| !removal.calls.contains(&id);
                    calls.retain(|call| stays(call.id));
                }
                _ => {}
            }
        }
        self.inner.commit(entries)
    }
}

impl Broken {
    fn is_of(&self, call: &CallRecord, tenant: Option<&Tenant>) -> bool {
        let folded = |tenant: &Tenant| tenant.as_str().to_lowercase();
        match (self.flaw, tenant) {
            (Flaw::AllTenants, _) => true,
            (Flaw::NobodyIsNobody, None) => call.tenant.as_str().is_empty(),
            (Flaw::FoldsTenants, Some(tenant)) => folded(tenant) == folded(&call.tenant),
            (_, tenant) => tenant.is_none_or(|tenant| *tenant == call.tenant),
        }
    }

    fn count(&self, call: &CallRecord, query: &StatsQuery) -> Count {
        let mut count = Count::of(call);
        match self.flaw {
            Flaw::OneBucketUp => count.bucket = (count.bucket + 1).min(Histogram::BOUNDS.len()),
            Flaw::ForgetsTheTime => count.took = Duration::ZERO,
            Flaw::WhenTheyBegan => count = Count { minute: crate::store::stats::minute(call.at), ..count },
            Flaw::All => count.minute = count.minute.max(query.range().0),
            Flaw::FailuresAreThoseThatWereNotOk if call.outcome != Outcome::Ok => count.outcome = Outcome::Error,
            Flaw::NothingFailed => count.outcome = Outcome::Ok,
            Flaw::FoldsNames => count.tool = count.tool.replace('b', "a"),
            _ => {}
        }
        count
    }
}

#[async_trait]
impl Stats for Broken {
    async fn calls(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Counted>, StoreError> {
        let mut query = query.clone();
        let moved = |at: Timestamp| Timestamp::from_micros(at.as_micros() + 60_000_000);
        match self.flaw {
            Flaw::IncludesTheEnd => query.to = moved(query.to),
            Flaw::LeavesOutTheBeginning => query.from = moved(query.from),
            Flaw::OneStep => query.minutes = 1,
            Flaw::NeverApart => query.by = By::Nothing,
            Flaw::CountsNothing => return Ok(Vec::new()),
            _ => {}
        }
        let calls = lock(&self.calls);
        query.gather(calls.iter().filter(|call| self.is_of(call, tenant)).map(|call| self.count(call, &query)))
    }
}

each_case_fails! {
    stats, broken,
    a_call_is_counted_once: [
        Flaw::CountsAgain, Flaw::CountsNothing, Flaw::OneBucketUp, Flaw::ForgetsTheTime, Flaw::WhenTheyBegan,
    ],
    counts_outlive_calls: [Flaw::TakesOffWhatIsRemoved],
    only_the_time_asked_for_is_counted: [
        Flaw::All, Flaw::IncludesTheEnd, Flaw::LeavesOutTheBeginning, Flaw::OneStep,
    ],
    tools_and_outcomes_are_told_apart: [
        Flaw::NeverApart, Flaw::FailuresAreThoseThatWereNotOk, Flaw::NothingFailed, Flaw::FoldsNames,
    ],
    tenants_are_apart: [Flaw::AllTenants, Flaw::FoldsTenants, Flaw::NobodyIsNobody],
}
