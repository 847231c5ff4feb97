//! Calls in memory.

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::history::{CallQuery, History};
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger};

impl Ledger for MemoryStore {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut calls = lock(&self.calls);
        for Entry::Call(call) in entries {
            // Calls end in another order than they began; new ones belong near the end.
            let place = calls.partition_point(|other| other.id < call.id);
            if calls.get(place).is_none_or(|other| other.id != call.id) {
                calls.insert(place, call);
            }
        }
        let surplus = calls.len().saturating_sub(Self::CAPACITY);
        calls.drain(..surplus);
        std::future::ready(Ok(())).boxed()
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        let calls = lock(&self.calls);
        let wanted = calls.iter().rev().filter(|call| call.tenant == *tenant && query.matches(call));
        Ok(wanted.take(query.limit.into()).cloned().collect())
    }

    async fn call(&self, tenant: &Tenant, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        let calls = lock(&self.calls);
        Ok(calls.iter().find(|call| call.tenant == *tenant && call.id == id).cloned())
    }
}
