//! Counts that break their promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::each_case_fails;
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::measure::Histogram;
use crate::memory::lock;
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger, Outcome};
use crate::store::runs::Hold;
use crate::store::stats::{By, Count, Counted, ModelUse, Stats, StatsQuery, Taken};
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
    CountsUsesAgain,
    CountsUsesOfTheOutrun,
    UsesAreNeverApart,
    UsesOfAllTenants,
}

/// A ledger that counts what it writes; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    inner: Arc<dyn Ledger>,
    calls: Mutex<Vec<CallRecord>>,
    uses: Arc<Mutex<Vec<(Hold, u32, ModelUse)>>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let broken = Arc::new(Broken { flaw, inner: stores.ledger.clone(), calls: Mutex::default(), uses: Arc::default() });
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
        let used = |entry: &Entry| match entry {
            Entry::Used { hold, number, used } => Some((hold.clone(), *number, used.clone())),
            _ => None,
        };
        let (uses, flaw) = (entries.iter().filter_map(used).collect::<Vec<_>>(), self.flaw);
        let (known, commit) = (self.uses.clone(), self.inner.commit(entries));
        async move {
            let committed = commit.await;
            let mut known = lock(&known);
            let is_known =
                uses.iter().any(|(hold, number, _)| known.iter().any(|(of, n, _)| (of, n) == (hold, number)));
            if (committed.is_ok() || flaw == Flaw::CountsUsesOfTheOutrun)
                && (!is_known || flaw == Flaw::CountsUsesAgain)
            {
                known.extend(uses);
            }
            committed
        }
        .boxed()
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

    async fn models(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Taken>, StoreError> {
        let mut query = query.clone();
        if self.flaw == Flaw::UsesAreNeverApart {
            query.by = By::Nothing;
        }
        let is_of =
            |hold: &Hold| tenant.is_none_or(|tenant| *tenant == hold.tenant) || self.flaw == Flaw::UsesOfAllTenants;
        let uses = lock(&self.uses);
        query.gather_taken(uses.iter().filter(|(hold, ..)| is_of(hold)).map(|(.., used)| used.clone()))
    }
}

each_case_fails! {
    stats, broken,
    what_models_took_is_counted_once: [
        Flaw::CountsUsesAgain, Flaw::CountsUsesOfTheOutrun, Flaw::UsesAreNeverApart, Flaw::UsesOfAllTenants,
    ],
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
