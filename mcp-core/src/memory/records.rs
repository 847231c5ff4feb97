//! What is kept in memory, as far as it has to go again.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryStore, MemoryThreads, lock};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::audit::{Removal, RemovalCause};
use crate::store::ledger::{CallId, Entry, Ledger};
use crate::store::records::{Keep, Records};

/// [`Records`] of calls in memory.
pub(crate) struct CallRecords(pub(crate) Arc<MemoryStore>);

/// [`Records`] of notes in memory.
pub(crate) struct NoteRecords(pub(crate) Arc<MemoryStore>);

/// What of `rows`, which come with the oldest first, is not to be kept.
pub(super) fn overdue<K>(rows: &[(&Tenant, Timestamp, K)], keep: Keep, batch: u16) -> Vec<K>
where
    K: Copy,
{
    let mut counts = HashMap::<_, u64>::new();
    for (tenant, ..) in rows {
        *counts.entry(*tenant).or_default() += 1;
    }
    let mut overdue = Vec::new();
    for (tenant, at, key) in rows {
        let count = counts.entry(*tenant).or_default();
        if keep.since.is_some_and(|since| *at < since) || keep.most.is_some_and(|most| *count > most) {
            *count -= 1;
            overdue.push(*key);
        }
    }
    overdue.truncate(batch.into());
    overdue
}

impl CallRecords {
    async fn remove(&self, cause: RemovalCause, ids: Vec<(Tenant, CallId)>) -> Result<u64, StoreError> {
        let mut by_tenant = HashMap::<_, Vec<_>>::new();
        let count = ids.len() as u64;
        for (tenant, id) in ids {
            by_tenant.entry(tenant).or_default().push(id);
        }
        let removals = by_tenant
            .into_iter()
            .map(|(tenant, calls)| Entry::Removal(Removal { tenant, cause, calls, runs: Vec::new() }));
        self.0.commit(removals.collect()).await.map(|()| count)
    }
}

#[async_trait]
impl Records for CallRecords {
    fn kind(&self) -> &'static str {
        "calls"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let ids = {
            let calls = lock(&self.0.calls);
            let rows: Vec<_> = calls.all().map(|call| (&call.tenant, call.at, (&call.tenant, call.id))).collect();
            let overdue = overdue(&rows, keep, batch);
            overdue.into_iter().map(|(tenant, id)| (tenant.clone(), id)).collect()
        };
        self.remove(RemovalCause::Expired, ids).await
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let ids = {
            let calls = lock(&self.0.calls);
            let theirs = calls.all().filter(|call| call.tenant == *tenant && call.principal == *principal);
            theirs.take(batch.into()).map(|call| (tenant.clone(), call.id)).collect()
        };
        self.remove(RemovalCause::Erased, ids).await
    }
}

#[async_trait]
impl Records for NoteRecords {
    fn kind(&self) -> &'static str {
        "notes"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let mut notes = lock(&self.0.notes);
        let rows: Vec<_> = notes.all().map(|(order, (tenant, ..), note)| (tenant, note.written, order)).collect();
        let overdue = overdue(&rows, keep, batch);
        overdue.iter().for_each(|order| notes.forget(*order));
        Ok(overdue.len() as u64)
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let mut notes = lock(&self.0.notes);
        let theirs = notes.all().filter(|(_, (of, by, _), _)| of == tenant && by == principal);
        let theirs: Vec<_> = theirs.take(batch.into()).map(|(order, ..)| order).collect();
        theirs.iter().for_each(|order| notes.forget(*order));
        Ok(theirs.len() as u64)
    }
}

#[async_trait]
impl Records for MemoryThreads {
    fn kind(&self) -> &'static str {
        "messages"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        Ok(self.remove_overdue(keep, batch))
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        Ok(self.remove_all_of(tenant, principal, batch))
    }
}
