//! Keys of calls that break their promises.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::{MemoryReplicas, lock};
use crate::store::idempotency::{CallKey, Claim, Claimed, Digest, Idempotency};
use crate::store::ledger::{CallId, Entry, Ledger};
use crate::store::replicas::{ReplicaId, Replicas};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    GivesToAll,
    LooksFirst,
    ForgetsWhoAsked,
    OneForAllTenants,
    OneForAllPrincipals,
    OneForAllTools,
    FoldsKeys,
    NoMismatchWhileItRuns,
    NoMismatchOnceAnswered,
    NoMismatchOnceDead,
    LosesAnswers,
    AnswersForgetTheCall,
    ASecondAnswerIsAConflict,
    NobodysAnswerIsKept,
    WritesTheRecordAllTheSame,
    AnswersEndWithTheReplica,
    NeverTakenOver,
    TakenOverByAll,
    TakenOverAsTheFirst,
    NobodyComesBack,
    TheLateAnswerIsKept,
    TheLateRecordIsKept,
    TheBatchFails,
    AnyoneReleases,
    NobodyReleases,
    BegunOnesAreFree,
    HeirsFree,
    ReleasesAnswers,
    ReleasedOnesAreTakenOver,
    PrunesTheYoung,
    PrunesNothing,
    PrunesWhatRuns,
    KeepsTheDead,
    PrunesWithoutLimit,
    PrunesTheYoungestFirst,
    CountsWrong,
    KeepsTheSurplus,
    CountsAllTenants,
    StopsAtTheFirst,
    KeepsWhatRuns,
    ErasesOthers,
    ErasesElsewhere,
}

/// Keys in a map, in front of a ledger in memory; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    replicas: Arc<MemoryReplicas>,
    ledger: Arc<dyn Ledger>,
    rows: Mutex<HashMap<CallKey, Row>>,
}

#[derive(Clone, Copy)]
struct Row {
    digest: Digest,
    owner: CallId,
    replica: Option<ReplicaId>,
    owners: u32,
    answered: bool,
    at: Duration,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let replicas = Arc::new(MemoryReplicas::new(Arc::new(clock.clone())));
    stores.replicas = replicas.clone();
    let (ledger, rows) = (stores.ledger.clone(), Mutex::default());
    let broken = Arc::new(Broken { flaw, clock: clock.clone(), replicas, ledger, rows });
    (stores.ledger, stores.idempotency) = (broken.clone(), broken);
    Fresh::new(stores, clock)
}

impl Broken {
    fn key(&self, key: &CallKey) -> CallKey {
        let mut key = key.clone();
        match self.flaw {
            Flaw::OneForAllTenants => key.tenant = Tenant::from(""),
            Flaw::OneForAllPrincipals => key.principal = Principal::from(""),
            Flaw::OneForAllTools => key.tool.clear(),
            Flaw::FoldsKeys => key.key = key.key.to_lowercase(),
            _ => {}
        }
        key
    }

    fn lives(&self, row: &Row) -> bool {
        let living = self.replicas.list().now_or_never().expect("memory is there").expect("memory is there");
        row.replica.is_some_and(|replica| living.iter().any(|living| living.replica.id == replica))
    }

    fn decide(&self, row: Option<&mut Row>, claim: &Claim) -> (Claimed, Option<Row>) {
        let Claim { owner, replica, digest } = *claim;
        let at = self.clock.monotonic();
        let new = Row { digest, owner, replica: Some(replica), owners: 1, answered: false, at };
        let Some(row) = row else { return (Claimed::First, Some(new)) };
        let lives = self.lives(row);
        let state_has_no_mismatch = match self.flaw {
            Flaw::NoMismatchWhileItRuns => !row.answered && lives,
            Flaw::NoMismatchOnceAnswered => row.answered,
            Flaw::NoMismatchOnceDead => !row.answered && !lives,
            _ => false,
        };
        if row.digest != digest && !state_has_no_mismatch {
            return (Claimed::Mismatch, None);
        }
        let is_kept = row.answered && (lives || self.flaw != Flaw::AnswersEndWithTheReplica);
        if is_kept {
            let call = if self.flaw == Flaw::AnswersForgetTheCall { owner } else { row.owner };
            return (Claimed::Answered(call), None);
        }
        if row.owner == owner && self.flaw != Flaw::ForgetsWhoAsked {
            return (if row.owners == 1 { Claimed::First } else { Claimed::TakenOver }, None);
        }
        if self.flaw == Flaw::GivesToAll {
            return (Claimed::First, Some(new));
        }
        let died = !lives || (self.flaw == Flaw::NobodyComesBack && at >= Duration::from_secs(60 * 60));
        let is_given = died || (self.flaw == Flaw::TakenOverByAll && row.owners > 1);
        if !is_given || self.flaw == Flaw::NeverTakenOver {
            return (Claimed::Running, None);
        }
        let owners = if self.flaw == Flaw::TakenOverAsTheFirst { 1 } else { row.owners + 1 };
        (if owners == 1 { Claimed::First } else { Claimed::TakenOver }, Some(Row { owners, at: row.at, ..new }))
    }
}

#[async_trait]
impl Idempotency for Broken {
    async fn claim(&self, key: &CallKey, claim: &Claim) -> Result<Claimed, StoreError> {
        let key = self.key(key);
        let looked = self.decide(lock(&self.rows).get_mut(&key), claim);
        if self.flaw == Flaw::LooksFirst {
            // Others look as well, before this one claims.
            tokio::task::yield_now().await;
        }
        let mut rows = lock(&self.rows);
        let (told, row) = if self.flaw == Flaw::LooksFirst { looked } else { self.decide(rows.get_mut(&key), claim) };
        if let Some(row) = row {
            rows.insert(key, row);
        }
        Ok(told)
    }

    async fn release(&self, key: &CallKey, owner: CallId, begun: bool) -> Result<(), StoreError> {
        let (key, mut rows) = (self.key(key), lock(&self.rows));
        let Some(row) = rows.get_mut(&key) else { return Ok(()) };
        let is_owner = row.owner == owner || self.flaw == Flaw::AnyoneReleases;
        if !is_owner || self.flaw == Flaw::NobodyReleases || (row.answered && self.flaw != Flaw::ReleasesAnswers) {
            return Ok(());
        }
        let is_free = match self.flaw {
            Flaw::BegunOnesAreFree => row.owners == 1,
            Flaw::HeirsFree => !begun,
            Flaw::ReleasedOnesAreTakenOver => false,
            _ => !begun && row.owners == 1,
        };
        if is_free {
            rows.remove(&key);
        } else {
            (row.replica, row.answered) = (None, false);
        }
        Ok(())
    }

    async fn prune(&self, age: Duration, limit: u16) -> Result<u64, StoreError> {
        if self.flaw == Flaw::PrunesNothing {
            return Ok(0);
        }
        let mut rows = lock(&self.rows);
        let now = self.clock.monotonic();
        let is_old =
            |row: &Row| self.flaw == Flaw::PrunesTheYoung || row.at.checked_add(age).is_some_and(|end| end < now);
        let is_over = |row: &Row| match self.flaw {
            Flaw::PrunesWhatRuns => true,
            Flaw::KeepsTheDead => row.answered,
            _ => row.answered || !self.lives(row),
        };
        let old = rows.iter().filter(|(_, row)| is_old(row) && is_over(row)).map(|(key, row)| (row.at, key.clone()));
        let old = old.collect();
        Ok(self.remove(&mut rows, old, limit.into(), limit))
    }

    async fn prune_surplus(&self, most: u64, limit: u16) -> Result<u64, StoreError> {
        if self.flaw == Flaw::KeepsTheSurplus {
            return Ok(0);
        }
        let mut rows = lock(&self.rows);
        let mut tenants: Vec<_> = rows.keys().map(|key| key.tenant.clone()).collect();
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            let is_counted = |key: &CallKey| key.tenant == tenant || self.flaw == Flaw::CountsAllTenants;
            let count = rows.keys().filter(|key| is_counted(key)).count() as u64;
            let is_over = |row: &Row| row.answered || !self.lives(row) || self.flaw == Flaw::PrunesWhatRuns;
            let theirs = rows.iter().filter(|(key, row)| key.tenant == tenant && is_over(row));
            let theirs = theirs.map(|(key, row)| (row.at, key.clone())).collect();
            let surplus = usize::try_from(count.saturating_sub(most)).unwrap();
            let removed = self.remove(&mut rows, theirs, surplus.min(limit.into()), limit);
            if removed > 0 || (count > most && self.flaw == Flaw::StopsAtTheFirst) {
                return Ok(removed);
            }
        }
        Ok(0)
    }

    async fn erase(&self, tenant: &Tenant, principal: &Principal, limit: u16) -> Result<u64, StoreError> {
        let mut rows = lock(&self.rows);
        let is_theirs = |key: &CallKey| match self.flaw {
            Flaw::ErasesOthers => key.tenant == *tenant,
            Flaw::ErasesElsewhere => key.principal == *principal,
            _ => key.tenant == *tenant && key.principal == *principal,
        };
        let may_go = |row: &Row| row.answered || self.flaw != Flaw::KeepsWhatRuns;
        let theirs = rows.iter().filter(|(key, row)| is_theirs(key) && may_go(row));
        let theirs = theirs.map(|(key, row)| (row.at, key.clone())).collect();
        Ok(self.remove(&mut rows, theirs, limit.into(), limit))
    }
}

impl Broken {
    /// Removes the first of these, so many, and tells how many.
    fn remove(
        &self,
        rows: &mut HashMap<CallKey, Row>,
        mut old: Vec<(Duration, CallKey)>,
        most: usize,
        limit: u16,
    ) -> u64 {
        old.sort();
        if self.flaw == Flaw::PrunesTheYoungestFirst {
            old.reverse();
        }
        if self.flaw != Flaw::PrunesWithoutLimit {
            old.truncate(most);
        }
        for (_, key) in &old {
            rows.remove(key);
        }
        if self.flaw == Flaw::CountsWrong { u64::from(limit) } else { old.len() as u64 }
    }
}

impl Ledger for Broken {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut rows = lock(&self.rows);
        let (mut outrun, mut calls) = (false, Vec::new());
        for entry in entries {
            let Entry::Answer(answer) = entry else {
                calls.push(entry);
                continue;
            };
            match rows.get_mut(&self.key(&answer.key)) {
                None => outrun |= self.flaw != Flaw::NobodysAnswerIsKept,
                Some(row) if row.owner != answer.call && self.flaw != Flaw::TheLateAnswerIsKept => outrun = true,
                Some(row) if row.answered && self.flaw == Flaw::ASecondAnswerIsAConflict => outrun = true,
                Some(row) => {
                    row.owner = answer.call;
                    row.answered = self.flaw != Flaw::LosesAnswers;
                }
            }
        }
        let conflict = Err(StoreError::Conflict { store: "ledger" });
        if self.flaw == Flaw::TheBatchFails && rows.len() > 1 && rows.values().any(|row| row.owners > 1) {
            return std::future::ready(conflict).boxed();
        }
        let late = matches!(self.flaw, Flaw::WritesTheRecordAllTheSame | Flaw::TheLateRecordIsKept);
        if outrun && !late {
            return std::future::ready(conflict).boxed();
        }
        let committed = self.ledger.commit(calls);
        async move { committed.await.and(if outrun { conflict } else { Ok(()) }) }.boxed()
    }
}

super::each_case_fails! {
    idempotency, broken,
    one_call_has_a_key: [Flaw::GivesToAll, Flaw::LooksFirst, Flaw::ForgetsWhoAsked],
    a_key_belongs_to_one_caller_and_one_tool: [
        Flaw::OneForAllTenants,
        Flaw::OneForAllPrincipals,
        Flaw::OneForAllTools,
        Flaw::FoldsKeys,
    ],
    other_arguments_are_a_mismatch: [
        Flaw::NoMismatchWhileItRuns,
        Flaw::NoMismatchOnceAnswered,
        Flaw::NoMismatchOnceDead,
    ],
    an_answer_is_kept_with_its_record: [
        Flaw::LosesAnswers,
        Flaw::AnswersForgetTheCall,
        Flaw::ASecondAnswerIsAConflict,
        Flaw::NobodysAnswerIsKept,
        Flaw::WritesTheRecordAllTheSame,
        Flaw::AnswersEndWithTheReplica,
    ],
    a_call_that_died_is_followed_by_one_other: [
        Flaw::NeverTakenOver,
        Flaw::TakenOverByAll,
        Flaw::TakenOverAsTheFirst,
        Flaw::NobodyComesBack,
        Flaw::LooksFirst,
    ],
    the_answer_of_a_call_that_lost_its_key_is_a_conflict: [
        Flaw::TheLateAnswerIsKept,
        Flaw::TheLateRecordIsKept,
        Flaw::TheBatchFails,
    ],
    a_released_key_is_free_or_taken_over: [
        Flaw::AnyoneReleases,
        Flaw::NobodyReleases,
        Flaw::BegunOnesAreFree,
        Flaw::HeirsFree,
        Flaw::ReleasesAnswers,
        Flaw::ReleasedOnesAreTakenOver,
    ],
    old_keys_are_removed_a_few_at_a_time: [
        Flaw::PrunesTheYoung,
        Flaw::PrunesNothing,
        Flaw::PrunesWhatRuns,
        Flaw::KeepsTheDead,
        Flaw::PrunesWithoutLimit,
        Flaw::PrunesTheYoungestFirst,
        Flaw::CountsWrong,
    ],
    too_many_keys_are_removed_a_few_at_a_time: [
        Flaw::KeepsTheSurplus,
        Flaw::CountsAllTenants,
        Flaw::StopsAtTheFirst,
        Flaw::PrunesWhatRuns,
        Flaw::PrunesWithoutLimit,
        Flaw::PrunesTheYoungestFirst,
        Flaw::CountsWrong,
    ],
    what_a_principal_has_is_erased: [
        Flaw::KeepsWhatRuns,
        Flaw::ErasesOthers,
        Flaw::ErasesElsewhere,
        Flaw::PrunesWithoutLimit,
        Flaw::CountsWrong,
    ],
}
