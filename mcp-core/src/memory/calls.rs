//! Calls in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::links::Links;
use super::stats::Counts;
use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::audit::{Removal, RemovalCause};
use crate::store::history::{CallQuery, History};
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger};

/// The calls of all tenants, in the order of their ids.
#[derive(Default)]
pub(super) struct Calls {
    by_id: BTreeMap<(CallId, Tenant), CallRecord>,
    bytes: usize,
    /// How many there were.
    pub(super) counts: Counts,
    /// What was done to them.
    pub(super) links: Links,
}

impl Calls {
    /// All calls, those with the smallest ids first.
    pub(super) fn all(&self) -> impl Iterator<Item = &CallRecord> {
        self.by_id.values()
    }

    fn add(&mut self, call: CallRecord) {
        self.by_id.entry((call.id, call.tenant.clone())).or_insert_with(|| {
            self.bytes += size(&call);
            self.counts.add(&call);
            call
        });
    }

    fn remove(&mut self, removal: &Removal) {
        for id in &removal.calls {
            if let Some(call) = self.by_id.remove(&(*id, removal.tenant.clone())) {
                self.bytes -= size(&call);
            }
        }
    }

    fn forget_the_oldest(&mut self, now: Timestamp) {
        while self.by_id.len() > MemoryStore::CAPACITY || self.bytes > MemoryStore::BYTES {
            let Some((_, oldest)) = self.by_id.pop_first() else { break };
            self.bytes -= size(&oldest);
            let (tenant, calls) = (oldest.tenant, vec![oldest.id]);
            let removal = Removal { tenant, cause: RemovalCause::Expired, calls, runs: Vec::new() };
            self.links.add(Entry::Removal(removal).marks(), now);
        }
    }

    /// The digest of the call, if it is there.
    pub(super) fn digest(&self, id: u128, tenant: &Tenant) -> Option<[u8; 32]> {
        self.by_id.get(&(CallId::from_u128(id), tenant.clone())).map(CallRecord::digest)
    }
}

/// What of a call can be large.
fn size(call: &CallRecord) -> usize {
    call.tool.len() + call.arguments.len() + call.result.len()
}

impl Ledger for MemoryStore {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let (mut claims, mut calls, mut runs) = (lock(&self.claims), lock(&self.calls), lock(&self.runs));
        let now = self.clock.now();
        let is_outrun = |entry: &Entry| matches!(entry, Entry::Answer(answer) if !claims.has(answer));
        if entries.iter().any(is_outrun) {
            return std::future::ready(Err(StoreError::Conflict { store: "ledger" })).boxed();
        }
        if let Err(error) = runs.judge(&entries) {
            return std::future::ready(Err(error)).boxed();
        }
        for entry in entries {
            match &entry {
                Entry::Call(call) => calls.links.add_call(call, now),
                // There is one chain, and nobody else writes it.
                Entry::Anchor(_) | Entry::Checkpoint(_) => {}
                entry => calls.links.add(entry.marks(), now),
            }
            match entry {
                Entry::Call(call) => calls.add(call),
                Entry::Answer(answer) => claims.answer(&answer),
                Entry::Used { hold, number, used } => {
                    if !runs.has(&(hold.tenant.clone(), hold.run), Some(number)) {
                        calls.counts.add_use(hold.tenant, used);
                    }
                }
                Entry::Step { hold, step } => runs.step(&hold, step),
                Entry::Turn { hold, turn } => runs.turn(&hold, turn, now),
                Entry::Removal(removal) => {
                    calls.remove(&removal);
                    removal.runs.iter().for_each(|run| runs.remove(&(removal.tenant.clone(), *run)));
                }
                Entry::Anchor(_) | Entry::Checkpoint(_) => {}
            }
        }
        calls.forget_the_oldest(now);
        std::future::ready(Ok(())).boxed()
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        let calls = lock(&self.calls);
        let wanted = calls.by_id.values().rev().filter(|call| call.tenant == *tenant && query.matches(call));
        Ok(wanted.take(query.limit.into()).cloned().collect())
    }

    async fn call(&self, tenant: &Tenant, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        Ok(lock(&self.calls).by_id.get(&(id, tenant.clone())).cloned())
    }
}
