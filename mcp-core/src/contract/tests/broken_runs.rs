//! Stores of runs that break their promises.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::caller::{Principal, Tenant};
use crate::clock::simulated::SimulatedClock;
use crate::clock::{Clock, Timestamp};
use crate::contract::Fresh;
use crate::memory::{MemoryStore, lock};
use crate::store::audit::{Removal, RemovalCause};
use crate::store::ledger::{Entry, Ledger};
use crate::store::records::Keep;
use crate::store::runs::{
    Claimed, Hold, Input, InputId, LARGEST, LARGEST_KEY, NewRun, Posted, RunId, RunQuery, RunRecord, RunState, Runs,
    StepRecord, Turn,
};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    TextOnly,
    DropsTheParent,
    TheLastStays,
    GivesToAll,
    LooksFirst,
    OneTooMany,
    AnyKind,
    FoldsKinds,
    TheLastFirst,
    NeverEnds,
    EndsTooEarly,
    TellsNoNext,
    TellsTheNextOfAll,
    TheSameEpoch,
    AnyoneRenews,
    RevivesTheEnded,
    TellsNobody,
    AllOrNoneAreRenewed,
    TellsNoInputs,
    IsNotProlonged,
    AnyoneWrites,
    AnyoneTurns,
    WritesTheRest,
    StepsComeFirst,
    StepsAsText,
    StepsTheLastFirst,
    StepsOfOneEpoch,
    StepsOnlyOnce,
    StepsOfAnother,
    StepsWithoutPages,
    WaitsForEver,
    NeverWaits,
    NeedsNoInput,
    LongWaitsEndAtOnce,
    LosesWhatCameBefore,
    DoesNotWake,
    InputsTheLastFirst,
    InputsTwice,
    ClaimsTheEnded,
    InputsAfterTheEnd,
    StepsAfterTheEnd,
    ForgetsTheResult,
    CountsNothing,
    CountsReleases,
    CountsAllClaims,
    OldestFirst,
    BeforeIncludes,
    FiltersThePage,
    OneTooManyListed,
    AnyPrincipal,
    AnyKindListed,
    AnyState,
    CountsTheEnded,
    CountsTheWaitingAlone,
    CountsTheRunningAlone,
    CountsAnyPrincipal,
    CountsAnyKind,
    CountsThoseOfRuns,
    CountsOneMore,
    CountsAnyTenant,
    TellsTheWaiting,
    TellsTheHeld,
    TellsTheEndedAsDue,
    TellsOneKindAsDue,
    AnyTenantIsRead,
    AnyTenantsSteps,
    AnyTenantWrites,
    AnyTenantIsWoken,
    CutsArguments,
    CutsSteps,
    CutsKeys,
    CutsResults,
    CutsInputs,
    LosesInputs,
    TellsTheNew,
    TellsAll,
    TellsTheRunning,
    TellsTheLast,
    CountsNone,
    KeepsWhatIsRemoved,
    KeepsTheRunning,
    RemovesAll,
    RemovesElsewhere,
    RemovesForEver,
}

/// A sound store with a flaw in front of it.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    sound: Arc<MemoryStore>,
    created: Mutex<Vec<NewRun>>,
    asleep: Mutex<BTreeSet<(Tenant, RunId)>>,
    written: Mutex<Vec<(Hold, u32)>>,
    gone: Mutex<Vec<RunId>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let sound = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.history = sound.clone();
    let broken = Broken {
        flaw,
        clock: clock.clone(),
        sound,
        created: Mutex::default(),
        asleep: Mutex::default(),
        written: Mutex::default(),
        gone: Mutex::default(),
    };
    let broken = Arc::new(broken);
    (stores.ledger, stores.runs) = (Arc::new(Door(broken.clone())), broken);
    Fresh::new(stores, clock)
}

fn cut(body: &Bytes, most: usize) -> Bytes {
    body.slice(..body.len().min(most))
}

fn as_text(body: &Bytes) -> Bytes {
    String::from_utf8_lossy(body).into_owned().into()
}

impl Broken {
    /// All runs of all tenants, as they are.
    async fn all(&self) -> Vec<RunRecord> {
        let created = lock(&self.created).clone();
        let mut all = Vec::new();
        for run in created {
            all.extend(self.sound.run(&run.tenant, run.id).await.unwrap());
        }
        all
    }

    /// The right that the last claim of a run gave, where that is another than `hold` and the flaw is this one.
    async fn current(&self, flaw: Flaw, hold: Hold) -> Hold {
        if self.flaw != flaw {
            return hold;
        }
        self.sound.run(&hold.tenant, hold.run).await.unwrap().map_or(hold, |run| run.hold())
    }

    async fn hold(&self, mut hold: Hold) -> Hold {
        if self.flaw == Flaw::AnyTenantWrites && self.sound.run(&hold.tenant, hold.run).await.unwrap().is_none() {
            let of = self.all().await.into_iter().find(|run| run.id == hold.run);
            hold.tenant = of.map_or(hold.tenant, |run| run.tenant);
        }
        self.current(Flaw::TheSameEpoch, hold).await
    }

    async fn entry(&self, entry: Entry) -> Entry {
        match entry {
            Entry::Step { hold, mut step } => {
                match self.flaw {
                    Flaw::StepsAsText => step.body = as_text(&step.body),
                    Flaw::CutsSteps => step.body = cut(&step.body, LARGEST),
                    Flaw::CutsKeys => step.key.truncate(LARGEST_KEY),
                    _ => {}
                }
                let hold = self.hold(hold).await;
                Entry::Step { hold: self.current(Flaw::AnyoneWrites, hold).await, step }
            }
            Entry::Turn { hold, turn } => {
                let turn = match (self.flaw, turn) {
                    (Flaw::WaitsForEver, Turn::Wait { seen, .. }) => Turn::Wait { seen, time: None },
                    (Flaw::NeverWaits, Turn::Wait { .. }) => Turn::Release,
                    (Flaw::NeedsNoInput, Turn::Wait { seen, time: None }) => {
                        Turn::Wait { seen, time: Some(Duration::from_secs(60)) }
                    }
                    (Flaw::LongWaitsEndAtOnce, Turn::Wait { seen, time: Some(Duration::MAX) }) => {
                        Turn::Wait { seen, time: Some(Duration::ZERO) }
                    }
                    (Flaw::LosesWhatCameBefore, Turn::Wait { time, .. }) => Turn::Wait { seen: u32::MAX, time },
                    (Flaw::CountsReleases, Turn::Release) => Turn::Retry { after: Duration::ZERO },
                    (Flaw::CutsResults, Turn::End { run, ending, result, at }) => {
                        Turn::End { run, ending, result: cut(&result, LARGEST), at }
                    }
                    (_, turn) => turn,
                };
                let hold = self.hold(hold).await;
                Entry::Turn { hold: self.current(Flaw::AnyoneTurns, hold).await, turn }
            }
            Entry::Removal(removal) => Entry::Removal(self.removal(removal).await),
            call => call,
        }
    }

    async fn removal(&self, mut removal: Removal) -> Removal {
        match self.flaw {
            Flaw::KeepsWhatIsRemoved => removal.runs.clear(),
            Flaw::RemovesAll | Flaw::RemovesElsewhere => {
                for run in self.all().await {
                    let is_theirs = run.tenant == removal.tenant;
                    if is_theirs == (self.flaw == Flaw::RemovesAll) {
                        self.remove(&run).await;
                    }
                }
            }
            Flaw::KeepsTheRunning => {
                for run in self.all().await {
                    removal.runs.retain(|id| *id != run.id || run.state != RunState::Running);
                }
            }
            Flaw::RemovesForEver => lock(&self.gone).extend(removal.runs.iter().copied()),
            _ => {}
        }
        removal
    }

    async fn remove(&self, run: &RunRecord) {
        let (tenant, cause, runs) = (run.tenant.clone(), RemovalCause::Erased, vec![run.id]);
        let removal = Removal { tenant, cause, calls: Vec::new(), runs };
        self.sound.commit(vec![Entry::Removal(removal)]).await.unwrap();
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let mut all = Vec::new();
        for entry in entries {
            all.push(self.entry(entry).await);
        }
        let steps: Vec<_> = all
            .iter()
            .filter_map(|entry| match entry {
                Entry::Step { hold, step } => Some((hold.clone(), step.number)),
                _ => None,
            })
            .collect();
        match self.flaw {
            Flaw::WritesTheRest => {
                let mut last = Ok(());
                for entry in all {
                    let result = self.sound.commit(vec![entry]).await;
                    last = last.and(result);
                }
                return last;
            }
            Flaw::StepsComeFirst => all.sort_by_key(|entry| matches!(entry, Entry::Turn { .. })),
            Flaw::StepsOnlyOnce if steps.iter().any(|step| lock(&self.written).contains(step)) => {
                return Err(StoreError::Conflict { store: "ledger" });
            }
            _ => {}
        }
        let result = self.sound.commit(all).await;
        if let (Err(StoreError::Conflict { .. }), Some((hold, number))) = (&result, steps.first()) {
            let run = self.sound.run(&hold.tenant, hold.run).await.unwrap();
            let is_ended = run.as_ref().is_some_and(|run| run.state.is_end());
            let is_there = lock(&self.written).iter().any(|(other, there)| other.run == hold.run && there == number);
            let is_own = run.is_some_and(|run| run.epoch == hold.epoch);
            if self.flaw == Flaw::StepsAfterTheEnd && is_ended
                || self.flaw == Flaw::StepsOfAnother && is_there && is_own
            {
                return Ok(());
            }
        }
        lock(&self.written).extend(steps);
        result
    }
}

/// A ledger that owns what it writes with.
struct Door(Arc<Broken>);

impl Ledger for Door {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let broken = self.0.clone();
        async move { broken.write(entries).await }.boxed()
    }
}

#[async_trait]
impl Runs for Broken {
    async fn create(&self, run: &NewRun) -> Result<(), StoreError> {
        let mut run = run.clone();
        match self.flaw {
            Flaw::TextOnly => run.arguments = as_text(&run.arguments),
            Flaw::DropsTheParent => run.parent = None,
            Flaw::FoldsKinds => run.kind = run.kind.to_lowercase(),
            Flaw::CutsArguments => run.arguments = cut(&run.arguments, LARGEST),
            Flaw::TheLastStays => {
                if let Some(first) = self.sound.run(&run.tenant, run.id).await? {
                    self.remove(&first).await;
                }
            }
            Flaw::RemovesForEver if lock(&self.gone).contains(&run.id) => return Ok(()),
            _ => {}
        }
        lock(&self.created).push(run.clone());
        self.sound.create(&run).await
    }

    async fn claim(&self, kind: &str, limit: u16, lease: Duration) -> Result<Claimed, StoreError> {
        let now = self.clock.now();
        let all = self.all().await;
        let mut claimed = match self.flaw {
            Flaw::OneTooMany => self.sound.claim(kind, limit + 1, lease).await?,
            Flaw::NeverEnds => self.sound.claim(kind, limit, lease * 1_000).await?,
            Flaw::EndsTooEarly => self.sound.claim(kind, limit, lease / 3).await?,
            Flaw::AnyKind => {
                let mut claimed = Claimed::default();
                for kind in all.iter().map(|run| &run.kind).collect::<BTreeSet<_>>() {
                    let left = limit - u16::try_from(claimed.runs.len()).unwrap();
                    claimed.runs.extend(self.sound.claim(kind, left, lease).await?.runs);
                }
                claimed
            }
            Flaw::TheLastFirst => {
                let mut claimed = self.sound.claim(kind, u16::MAX, lease).await?;
                let first = claimed.runs.len().saturating_sub(limit.into());
                for run in claimed.runs.drain(..first) {
                    self.sound.commit(vec![Entry::Turn { hold: run.hold(), turn: Turn::Release }]).await?;
                }
                claimed
            }
            Flaw::LooksFirst => {
                let is_due = |run: &RunRecord| run.kind == kind && run.due.is_some_and(|due| due <= now);
                let seen: Vec<_> = all.iter().filter(|run| is_due(run)).take(limit.into()).cloned().collect();
                // Others look as well, before this one takes them.
                tokio::task::yield_now().await;
                let taken = self.sound.claim(kind, limit, lease).await?;
                Claimed { runs: seen, ..taken }
            }
            _ => self.sound.claim(kind, limit, lease).await?,
        };
        match self.flaw {
            Flaw::GivesToAll if claimed.runs.is_empty() => {
                let held = all.iter().filter(|run| run.kind == kind && run.state == RunState::Running);
                claimed.runs.extend(held.take(limit.into()).cloned());
            }
            Flaw::ClaimsTheEnded => {
                claimed.runs.extend(all.iter().filter(|run| run.kind == kind && run.state.is_end()).cloned());
            }
            Flaw::DoesNotWake => {
                for run in std::mem::take(&mut claimed.runs) {
                    if lock(&self.asleep).contains(&(run.tenant.clone(), run.id)) {
                        let turn = Turn::Wait { seen: u32::MAX, time: None };
                        self.sound.commit(vec![Entry::Turn { hold: run.hold(), turn }]).await?;
                    } else {
                        claimed.runs.push(run);
                    }
                }
            }
            Flaw::TellsNoNext => claimed.next = None,
            Flaw::TellsTheNextOfAll => {
                claimed.next = self.all().await.iter().filter_map(|run| run.due).min().map(|due| now.until(due));
            }
            Flaw::TheSameEpoch => claimed.runs.iter_mut().for_each(|run| run.epoch = 1),
            Flaw::CountsNothing => claimed.runs.iter_mut().for_each(|run| run.attempts = 1),
            Flaw::CountsAllClaims => {
                claimed.runs.iter_mut().for_each(|run| run.attempts = u32::try_from(run.epoch).unwrap());
            }
            _ => {}
        }
        Ok(claimed)
    }

    async fn renew(&self, held: &[Hold], lease: Duration) -> Result<Vec<Option<u32>>, StoreError> {
        let (mut asked, all) = (Vec::new(), self.all().await);
        for hold in held {
            asked.push(self.current(Flaw::AnyoneRenews, hold.clone()).await);
        }
        let is_held = |hold: &Hold| {
            let run = all.iter().find(|run| run.hold() == *hold)?;
            (run.state == RunState::Running).then_some(run.inputs)
        };
        let now = self.clock.now();
        let is_alive = |hold: &&Hold| all.iter().any(|run| run.hold() == **hold && run.due > Some(now));
        match self.flaw {
            Flaw::IsNotProlonged => {
                return Ok(asked.iter().map(|hold| is_held(hold).filter(|_| is_alive(&hold))).collect());
            }
            Flaw::RevivesTheEnded => {
                self.sound.renew(&asked, lease).await?;
                return Ok(asked.iter().map(is_held).collect());
            }
            Flaw::AllOrNoneAreRenewed if !asked.iter().all(|hold| is_held(hold).is_some()) => {
                return Ok(vec![None; asked.len()]);
            }
            _ => {}
        }
        let mut renewed = self.sound.renew(&asked, lease).await?;
        match self.flaw {
            Flaw::TellsNobody => renewed.iter_mut().for_each(|inputs| *inputs = inputs.or(Some(0))),
            Flaw::TellsNoInputs => renewed.iter_mut().for_each(|inputs| *inputs = inputs.map(|_| 0)),
            _ => {}
        }
        Ok(renewed)
    }

    async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let mut found = self.sound.run(tenant, run).await?;
        if self.flaw == Flaw::AnyTenantIsRead && found.is_none() {
            found = self.all().await.into_iter().find(|other| other.id == run);
        }
        if self.flaw == Flaw::ForgetsTheResult {
            found = found.map(|run| RunRecord { result: Bytes::new(), ..run });
        }
        Ok(found)
    }

    async fn runs(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunRecord>, StoreError> {
        let mut query = query.clone();
        match self.flaw {
            Flaw::BeforeIncludes => query.before = query.before.map(|id| RunId::from_u128(id.as_u128() + 1)),
            Flaw::AnyPrincipal => query.principal = None,
            Flaw::AnyKindListed => query.kind = None,
            Flaw::AnyState => query.state = None,
            Flaw::OneTooManyListed => query.limit = query.limit.saturating_add(1),
            Flaw::FiltersThePage => {
                let page = RunQuery { before: query.before, limit: query.limit, ..RunQuery::default() };
                let mut found = self.sound.runs(tenant, &page).await?;
                found.retain(|run| query.matches(run));
                return Ok(found);
            }
            _ => {}
        }
        let mut found = self.sound.runs(tenant, &query).await?;
        if self.flaw == Flaw::OldestFirst {
            found.reverse();
        }
        Ok(found)
    }

    async fn longest_due(&self) -> Result<Option<Duration>, StoreError> {
        let (now, all) = (self.clock.now(), self.all().await);
        let due = |run: &RunRecord| match (self.flaw, run.state) {
            (Flaw::TellsTheWaiting, RunState::Waiting) | (Flaw::TellsTheHeld, RunState::Running) => Some(run.at),
            (Flaw::TellsTheEndedAsDue, state) if state.is_end() => Some(run.at),
            (Flaw::TellsOneKindAsDue, _) if run.kind != "work" => None,
            _ => run.due.filter(|due| *due <= now),
        };
        Ok(all.iter().filter_map(due).min().map(|due| due.until(now)))
    }

    async fn open(&self, tenant: &Tenant, principal: &Principal, kind: &str, most: u16) -> Result<u16, StoreError> {
        let all = self.all().await;
        let counted = |run: &&RunRecord| {
            let state = match self.flaw {
                Flaw::CountsTheEnded => true,
                Flaw::CountsTheWaitingAlone => run.state == RunState::Waiting,
                Flaw::CountsTheRunningAlone => run.state == RunState::Running,
                _ => !run.state.is_end(),
            };
            state
                && (run.tenant == *tenant || self.flaw == Flaw::CountsAnyTenant)
                && (run.principal == *principal || self.flaw == Flaw::CountsAnyPrincipal)
                && (run.kind == kind || self.flaw == Flaw::CountsAnyKind)
                && (run.parent.is_none() || self.flaw == Flaw::CountsThoseOfRuns)
        };
        let most = most + u16::from(self.flaw == Flaw::CountsOneMore);
        Ok(u16::try_from(all.iter().filter(counted).take(most.into()).count()).unwrap())
    }

    async fn steps(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<StepRecord>, StoreError> {
        let limit = if self.flaw == Flaw::StepsWithoutPages { u16::MAX } else { limit };
        let mut steps = self.sound.steps(tenant, run, from, limit).await?;
        if self.flaw == Flaw::StepsTheLastFirst {
            steps.reverse();
        }
        if self.flaw == Flaw::AnyTenantsSteps {
            for other in self.all().await.iter().filter(|other| other.tenant != *tenant) {
                steps.extend(self.sound.steps(&other.tenant, run, from, limit).await?);
            }
        }
        if self.flaw == Flaw::StepsOfOneEpoch {
            steps.iter_mut().for_each(|record| record.epoch = 1);
        }
        Ok(steps)
    }

    async fn post(&self, tenant: &Tenant, run: RunId, input: &Input) -> Result<Posted, StoreError> {
        let mut input = input.clone();
        match self.flaw {
            Flaw::CutsInputs => input.body = cut(&input.body, LARGEST),
            Flaw::DoesNotWake => {
                let waits = self.sound.run(tenant, run).await?.is_some_and(|run| run.state == RunState::Waiting);
                if waits {
                    lock(&self.asleep).insert((tenant.clone(), run));
                }
            }
            Flaw::InputsTwice => {
                let there = self.sound.inputs(tenant, run, 0, u16::MAX).await?;
                if there.iter().any(|other| other.id == input.id) {
                    input.id = InputId::from_u128(input.id.as_u128() + (1 << 64));
                }
            }
            Flaw::AnyTenantIsWoken => {
                for other in self.all().await.iter().filter(|other| other.id == run && other.tenant != *tenant) {
                    self.sound.post(&other.tenant, run, &input).await?;
                }
            }
            _ => {}
        }
        match (self.flaw, self.sound.post(tenant, run, &input).await) {
            (Flaw::InputsAfterTheEnd, Ok(Posted::Ended)) | (Flaw::LosesInputs, Err(StoreError::Refused { .. })) => {
                Ok(Posted::Kept)
            }
            (_, posted) => posted,
        }
    }

    async fn inputs(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<Input>, StoreError> {
        let mut inputs = self.sound.inputs(tenant, run, from, limit).await?;
        if self.flaw == Flaw::InputsTheLastFirst {
            inputs.reverse();
        }
        Ok(inputs)
    }

    async fn overdue(&self, keep: Keep, limit: u16) -> Result<Vec<(Tenant, RunId)>, StoreError> {
        let (mut keep, mut limit) = (keep, limit);
        match self.flaw {
            Flaw::TellsTheNew => keep.since = keep.since.map(|_| Timestamp::from_micros(i64::MAX)),
            Flaw::TellsAll => limit = u16::MAX,
            Flaw::CountsNone => keep.most = None,
            Flaw::TellsTheLast => {
                let all = self.sound.overdue(keep, u16::MAX).await?;
                return Ok(all.into_iter().rev().take(limit.into()).collect());
            }
            _ => {}
        }
        let mut overdue = self.sound.overdue(keep, limit).await?;
        if self.flaw == Flaw::TellsTheRunning && keep != Keep::default() {
            let running = self.all().await.into_iter().filter(|run| !run.state.is_end());
            overdue.extend(running.map(|run| (run.tenant, run.id)));
        }
        Ok(overdue)
    }
}

super::each_case_fails! {
    runs, broken,
    a_created_run_is_read_back: [Flaw::TextOnly, Flaw::DropsTheParent, Flaw::TheLastStays],
    a_run_has_one_holder_at_a_time: [Flaw::GivesToAll, Flaw::LooksFirst],
    no_more_than_the_limit_are_claimed: [Flaw::OneTooMany, Flaw::AnyKind, Flaw::FoldsKinds, Flaw::TheLastFirst],
    a_run_is_claimed_when_it_is_due: [
        Flaw::NeverEnds,
        Flaw::EndsTooEarly,
        Flaw::TellsNoNext,
        Flaw::TellsTheNextOfAll,
        Flaw::IsNotProlonged,
    ],
    each_holder_has_a_greater_epoch_than_all_before: [Flaw::TheSameEpoch],
    only_its_holder_renews: [
        Flaw::AnyoneRenews,
        Flaw::RevivesTheEnded,
        Flaw::TellsNobody,
        Flaw::AllOrNoneAreRenewed,
        Flaw::TellsNoInputs,
        Flaw::IsNotProlonged,
    ],
    only_its_holder_writes: [
        Flaw::AnyoneWrites,
        Flaw::AnyoneTurns,
        Flaw::WritesTheRest,
        Flaw::StepsComeFirst,
        Flaw::StepsOfOneEpoch,
    ],
    steps_are_read_back_in_order: [
        Flaw::StepsAsText,
        Flaw::StepsTheLastFirst,
        Flaw::StepsOnlyOnce,
        Flaw::StepsOfAnother,
        Flaw::StepsWithoutPages,
    ],
    a_run_that_is_let_go_is_claimed_when_it_is_due: [
        Flaw::WaitsForEver,
        Flaw::NeverWaits,
        Flaw::NeedsNoInput,
        Flaw::LongWaitsEndAtOnce,
    ],
    an_input_wakes_a_run: [
        Flaw::LosesWhatCameBefore,
        Flaw::DoesNotWake,
        Flaw::InputsTheLastFirst,
        Flaw::InputsTwice,
        Flaw::TellsNoInputs,
    ],
    what_has_ended_stays_as_it_is: [
        Flaw::ClaimsTheEnded,
        Flaw::InputsAfterTheEnd,
        Flaw::StepsAfterTheEnd,
        Flaw::ForgetsTheResult,
    ],
    claims_without_progress_are_counted: [Flaw::CountsNothing, Flaw::CountsReleases, Flaw::CountsAllClaims],
    pages_neither_repeat_nor_skip: [
        Flaw::OldestFirst,
        Flaw::BeforeIncludes,
        Flaw::FiltersThePage,
        Flaw::OneTooManyListed,
        Flaw::AnyPrincipal,
        Flaw::AnyKindListed,
        Flaw::AnyState,
    ],
    what_is_open_is_counted: [
        Flaw::CountsTheEnded,
        Flaw::CountsTheWaitingAlone,
        Flaw::CountsTheRunningAlone,
        Flaw::CountsAnyPrincipal,
        Flaw::CountsAnyKind,
        Flaw::CountsThoseOfRuns,
        Flaw::CountsOneMore,
        Flaw::CountsAnyTenant,
    ],
    what_is_due_for_long_is_told: [
        Flaw::TellsTheWaiting,
        Flaw::TellsTheHeld,
        Flaw::TellsTheEndedAsDue,
        Flaw::TellsOneKindAsDue,
    ],
    tenants_are_apart: [
        Flaw::AnyTenantIsRead,
        Flaw::AnyTenantsSteps,
        Flaw::AnyTenantWrites,
        Flaw::AnyTenantIsWoken,
    ],
    what_is_kept_is_bounded: [
        Flaw::CutsArguments,
        Flaw::CutsSteps,
        Flaw::CutsKeys,
        Flaw::CutsResults,
        Flaw::CutsInputs,
        Flaw::LosesInputs,
    ],
    what_ended_long_ago_may_go: [
        Flaw::TellsTheNew,
        Flaw::TellsAll,
        Flaw::TellsTheRunning,
        Flaw::TellsTheLast,
        Flaw::CountsNone,
    ],
    what_is_removed_is_gone: [
        Flaw::KeepsWhatIsRemoved,
        Flaw::KeepsTheRunning,
        Flaw::RemovesAll,
        Flaw::RemovesElsewhere,
        Flaw::RemovesForEver,
    ],
}
