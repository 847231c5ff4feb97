//! Runs in memory.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;

use super::records::overdue;
use super::{MemoryStore, lock};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::ledger::Entry;
use crate::store::records::Keep;
use crate::store::runs::{
    Claimed, Hold, Input, MOST_INPUTS, NewRun, Posted, RunId, RunQuery, RunRecord, RunState, Runs, STORE, Stand, Step,
    StepRecord, Turn, Verdict, check_size,
};

/// The runs of all tenants. When it is full, those that have ended make room, the oldest first; nothing else is forgotten.
#[derive(Default)]
pub(super) struct Journals {
    by_id: BTreeMap<Key, Kept>,
    bytes: usize,
}

pub(super) type Key = (Tenant, RunId);

struct Kept {
    run: RunRecord,
    /// Each with the epoch under which it was written.
    steps: BTreeMap<u32, StepRecord>,
    inputs: Vec<Input>,
}

impl Kept {
    fn size(&self) -> usize {
        let steps: usize = self.steps.values().map(|record| size(&record.step)).sum();
        let inputs: usize = self.inputs.iter().map(|input| input.body.len()).sum();
        self.run.arguments.len() + self.run.result.len() + steps + inputs
    }

    fn stand(&self) -> Stand {
        Stand { epoch: self.run.epoch, state: self.run.state }
    }

    fn next_number(&self) -> u32 {
        self.steps.last_key_value().map_or(0, |(number, _)| number + 1)
    }
}

fn size(step: &Step) -> usize {
    step.key.len() + step.body.len()
}

fn key(hold: &Hold) -> Key {
    (hold.tenant.clone(), hold.run)
}

fn full() -> StoreError {
    StoreError::Unavailable { store: STORE, source: None }
}

impl Journals {
    /// Makes room for so many bytes, and for another run.
    fn make_room(&mut self, bytes: usize, runs: usize) -> Result<(), StoreError> {
        while self.by_id.len() + runs > MemoryStore::CAPACITY || self.bytes + bytes > MemoryStore::BYTES {
            let ended = self.by_id.iter().filter_map(|(key, kept)| Some((kept.run.ended?, key)));
            let Some((_, oldest)) = ended.min() else { return Err(full()) };
            self.remove(&oldest.clone());
        }
        Ok(())
    }

    /// Whether a run is there, or a step of it, where that is asked for.
    pub(super) fn has(&self, key: &Key, step: Option<u32>) -> bool {
        self.by_id.get(key).is_some_and(|kept| match step {
            Some(number) => kept.steps.contains_key(&number),
            None => kept.run.state.is_end(),
        })
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.by_id.remove(key) {
            self.bytes -= kept.size();
        }
    }

    /// Whether all of these entries may be written.
    pub(super) fn judge(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let (mut stands, mut bytes) = (HashMap::new(), 0);
        for entry in entries {
            entry.check()?;
            let verdict = match entry {
                Entry::Step { hold, step } => match self.by_id.get(&key(hold)) {
                    Some(kept) => {
                        bytes += size(step);
                        let there = kept.steps.get(&step.number).map(|record| record.epoch);
                        stands.entry(key(hold)).or_insert_with(|| kept.stand()).step(hold, there)
                    }
                    None => Verdict::Conflict,
                },
                Entry::Turn { hold, turn } => match self.by_id.get(&key(hold)) {
                    Some(kept) => stands.entry(key(hold)).or_insert_with(|| kept.stand()).turn(hold, turn),
                    None => Verdict::Conflict,
                },
                _ => Verdict::New,
            };
            if verdict == Verdict::Conflict {
                return Err(StoreError::Conflict { store: "ledger" });
            }
        }
        if bytes == 0 { Ok(()) } else { self.make_room(bytes, 0) }
    }

    pub(super) fn step(&mut self, hold: &Hold, step: Step) {
        if let Some(kept) = self.by_id.get_mut(&key(hold))
            && !kept.steps.contains_key(&step.number)
        {
            self.bytes += size(&step);
            kept.steps.insert(step.number, StepRecord { epoch: hold.epoch, step });
        }
    }

    pub(super) fn turn(&mut self, hold: &Hold, turn: Turn, now: Timestamp) {
        let Some(kept) = self.by_id.get_mut(&key(hold)) else { return };
        if kept.stand().turn(hold, &turn) != Verdict::New {
            return;
        }
        let run = &mut kept.run;
        run.state = turn.state();
        match turn {
            Turn::Wait { seen, time } => {
                run.due = if seen < run.inputs { Some(now) } else { time.map(|time| now.after(time)) };
                run.attempts = 0;
            }
            Turn::Retry { after } => run.due = Some(now.after(after)),
            Turn::Release => (run.due, run.attempts) = (Some(now), run.attempts.saturating_sub(1)),
            Turn::End { result, at, .. } => {
                self.bytes += result.len();
                (run.due, run.ended, run.result) = (None, Some(at), result);
            }
        }
    }
}

#[async_trait]
impl Runs for MemoryStore {
    async fn create(&self, run: &NewRun) -> Result<(), StoreError> {
        check_size(&run.arguments)?;
        let now = self.clock.now();
        let mut runs = lock(&self.runs);
        let key = (run.tenant.clone(), run.id);
        if runs.by_id.contains_key(&key) {
            return Ok(());
        }
        runs.make_room(run.arguments.len(), 1)?;
        runs.bytes += run.arguments.len();
        let run = RunRecord { due: Some(now), ..run.clone().into() };
        runs.by_id.insert(key, Kept { run, steps: BTreeMap::new(), inputs: Vec::new() });
        Ok(())
    }

    async fn claim(&self, kind: &str, limit: u16, lease: Duration) -> Result<Claimed, StoreError> {
        let now = self.clock.now();
        let mut runs = lock(&self.runs);
        let mut due: Vec<_> =
            runs.by_id.values_mut().filter(|kept| kept.run.kind == kind && kept.run.due.is_some()).collect();
        due.sort_by_key(|kept| kept.run.due);
        let ready = due.iter().take_while(|kept| kept.run.due <= Some(now)).count().min(limit.into());
        let later = due.split_off(ready);
        let mut claimed = Claimed::default();
        for kept in due {
            let position = kept.next_number();
            let run = &mut kept.run;
            run.attempts = if run.position < position { 1 } else { run.attempts + 1 };
            (run.epoch, run.state, run.position) = (run.epoch + 1, RunState::Running, position);
            run.due = Some(now.after(lease));
            claimed.runs.push(run.clone());
        }
        if claimed.runs.len() < limit.into() {
            let soonest = later.iter().map(|kept| &kept.run).chain(&claimed.runs).filter_map(|run| run.due).min();
            claimed.next = soonest.map(|due| now.until(due));
        }
        Ok(claimed)
    }

    async fn renew(&self, held: &[Hold], lease: Duration) -> Result<Vec<Option<u32>>, StoreError> {
        let now = self.clock.now();
        let mut runs = lock(&self.runs);
        let renew = |hold: &Hold| {
            let run = &mut runs.by_id.get_mut(&key(hold))?.run;
            let is_held = run.epoch == hold.epoch && run.state == RunState::Running && run.due > Some(now);
            is_held.then(|| run.due = Some(now.after(lease))).map(|()| run.inputs)
        };
        Ok(held.iter().map(renew).collect())
    }

    async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        Ok(lock(&self.runs).by_id.get(&(tenant.clone(), run)).map(|kept| kept.run.clone()))
    }

    async fn runs(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunRecord>, StoreError> {
        let runs = lock(&self.runs);
        let own = runs.by_id.iter().rev().filter(|((owner, _), _)| owner == tenant).map(|(_, kept)| &kept.run);
        Ok(own.filter(|run| query.matches(run)).take(query.limit.into()).cloned().collect())
    }

    async fn open(&self, tenant: &Tenant, principal: &Principal, kind: &str, most: u16) -> Result<u16, StoreError> {
        let runs = lock(&self.runs);
        let own = runs.by_id.iter().filter(|((owner, _), _)| owner == tenant).map(|(_, kept)| &kept.run);
        let own = own.filter(|run| run.principal == *principal && run.kind == kind && run.parent.is_none());
        let open = own.filter(|run| !run.state.is_end());
        Ok(u16::try_from(open.take(most.into()).count()).unwrap_or(most))
    }

    async fn longest_due(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.clock.now();
        let runs = lock(&self.runs);
        let due = runs.by_id.values().filter_map(|kept| kept.run.due).min();
        Ok(due.filter(|due| *due <= now).map(|due| due.until(now)))
    }

    async fn steps(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<StepRecord>, StoreError> {
        let runs = lock(&self.runs);
        let steps = runs.by_id.get(&(tenant.clone(), run)).into_iter().flat_map(|kept| kept.steps.range(from..));
        Ok(steps.take(limit.into()).map(|(_, record)| record.clone()).collect())
    }

    async fn post(&self, tenant: &Tenant, run: RunId, input: &Input) -> Result<Posted, StoreError> {
        check_size(&input.body)?;
        let now = self.clock.now();
        let mut runs = lock(&self.runs);
        let key = (tenant.clone(), run);
        let Some(kept) = runs.by_id.get(&key) else { return Ok(Posted::Missing) };
        if kept.inputs.iter().any(|other| other.id == input.id) {
            return Ok(Posted::Kept);
        }
        if kept.run.state.is_end() {
            return Ok(Posted::Ended);
        }
        if kept.run.inputs >= MOST_INPUTS {
            return Err(StoreError::Refused { store: STORE, source: None });
        }
        runs.make_room(input.body.len(), 0)?;
        runs.bytes += input.body.len();
        let Some(kept) = runs.by_id.get_mut(&key) else { return Ok(Posted::Missing) };
        kept.inputs.push(input.clone());
        kept.run.inputs += 1;
        if kept.run.state == RunState::Waiting {
            kept.run.due = Some(kept.run.due.map_or(now, |due| due.min(now)));
        }
        Ok(Posted::Kept)
    }

    async fn inputs(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<Input>, StoreError> {
        let runs = lock(&self.runs);
        let inputs = runs.by_id.get(&(tenant.clone(), run)).into_iter().flat_map(|kept| &kept.inputs);
        Ok(inputs.skip(usize::try_from(from).unwrap_or(usize::MAX)).take(limit.into()).cloned().collect())
    }

    async fn overdue(&self, keep: Keep, limit: u16) -> Result<Vec<(Tenant, RunId)>, StoreError> {
        let runs = lock(&self.runs);
        let ended = runs.by_id.iter().filter_map(|(key, kept)| Some((&key.0, kept.run.ended?, key)));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_by_key(|(_, at, _)| *at);
        Ok(overdue(&ended, keep, limit).into_iter().cloned().collect())
    }
}
