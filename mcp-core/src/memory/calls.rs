//! Calls in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::history::{CallQuery, History};
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger};

/// The calls of all tenants, in the order of their ids.
#[derive(Default)]
pub(super) struct Calls {
    by_id: BTreeMap<(CallId, Tenant), CallRecord>,
    bytes: usize,
}

impl Calls {
    fn add(&mut self, call: CallRecord) {
        self.by_id.entry((call.id, call.tenant.clone())).or_insert_with(|| {
            self.bytes += size(&call);
            call
        });
    }

    fn forget_the_oldest(&mut self) {
        while self.by_id.len() > MemoryStore::CAPACITY || self.bytes > MemoryStore::BYTES {
            let Some((_, oldest)) = self.by_id.pop_first() else { break };
            self.bytes -= size(&oldest);
        }
    }
}

/// What of a call can be large.
fn size(call: &CallRecord) -> usize {
    call.tool.len() + call.arguments.len() + call.result.len()
}

impl Ledger for MemoryStore {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let (mut calls, mut runs) = (lock(&self.calls), lock(&self.runs));
        if let Err(error) = runs.judge(&entries) {
            return std::future::ready(Err(error)).boxed();
        }
        for entry in entries {
            match entry {
                Entry::Call(call) => calls.add(call),
                Entry::Step { hold, step } => runs.step(&hold, step),
                Entry::Turn { hold, turn } => runs.turn(&hold, turn, self.clock.now()),
            }
        }
        calls.forget_the_oldest();
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
