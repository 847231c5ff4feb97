//! Keys of calls in memory.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::idempotency::{CallKey, Claim, Claimed, Digest, Idempotency};
use crate::store::ledger::{Answer, CallId};
use crate::store::replicas::ReplicaId;

/// The keys of all tenants.
#[derive(Default)]
pub(super) struct Claims(HashMap<CallKey, Row>);

struct Row {
    digest: Digest,
    owner: CallId,
    /// Nobody's, where the owner has released it.
    replica: Option<ReplicaId>,
    /// How many owners it had.
    owners: u64,
    answered: bool,
    /// When it was first claimed.
    at: Duration,
}

impl Claims {
    /// Whether a call still has its key.
    pub(super) fn has(&self, answer: &Answer) -> bool {
        self.0.get(&answer.key).is_some_and(|row| row.owner == answer.call)
    }

    /// Keeps an answer.
    pub(super) fn answer(&mut self, answer: &Answer) {
        if let Some(row) = self.0.get_mut(&answer.key) {
            row.answered = true;
        }
    }

    /// Removes the first of these, so many, and tells how many.
    fn remove(&mut self, mut old: Vec<(Duration, CallKey)>, most: usize) -> u64 {
        old.sort();
        old.truncate(most);
        for (_, key) in &old {
            self.0.remove(key);
        }
        old.len() as u64
    }

    /// Makes room for one more, if there is any.
    fn make_room(&mut self) -> bool {
        if self.0.len() >= MemoryStore::CAPACITY {
            let answered = self.0.iter().filter(|(_, row)| row.answered);
            if let Some(oldest) = answered.min_by_key(|(_, row)| row.at).map(|(key, _)| key.clone()) {
                self.0.remove(&oldest);
            }
        }
        self.0.len() < MemoryStore::CAPACITY
    }
}

impl MemoryStore {
    fn is_dead(&self, row: &Row) -> bool {
        !row.replica.is_some_and(|replica| self.replicas.lives(replica))
    }

    /// Whether nobody is going to answer.
    fn is_over(&self, row: &Row) -> bool {
        row.answered || self.is_dead(row)
    }
}

#[async_trait]
impl Idempotency for MemoryStore {
    async fn claim(&self, key: &CallKey, claim: &Claim) -> Result<Claimed, StoreError> {
        let mut claims = lock(&self.claims);
        let Some(row) = claims.0.get_mut(key) else {
            if !claims.make_room() {
                return Err(StoreError::Unavailable { store: "idempotency", source: None });
            }
            let Claim { owner, replica, digest } = *claim;
            let (replica, at) = (Some(replica), self.clock.monotonic());
            claims.0.insert(key.clone(), Row { digest, owner, replica, owners: 1, answered: false, at });
            return Ok(Claimed::First);
        };
        if row.digest != claim.digest {
            return Ok(Claimed::Mismatch);
        }
        if row.answered {
            return Ok(Claimed::Answered(row.owner));
        }
        if row.owner != claim.owner {
            if !self.is_dead(row) {
                return Ok(Claimed::Running);
            }
            row.owners += 1;
            (row.owner, row.replica) = (claim.owner, Some(claim.replica));
        }
        Ok(if row.owners == 1 { Claimed::First } else { Claimed::TakenOver })
    }

    async fn release(&self, key: &CallKey, owner: CallId, begun: bool) -> Result<(), StoreError> {
        let mut claims = lock(&self.claims);
        if let Some(row) = claims.0.get_mut(key).filter(|row| row.owner == owner && !row.answered) {
            if begun || row.owners > 1 {
                row.replica = None;
            } else {
                claims.0.remove(key);
            }
        }
        Ok(())
    }

    async fn prune(&self, age: Duration, limit: u16) -> Result<u64, StoreError> {
        let mut claims = lock(&self.claims);
        let Some(before) = self.clock.monotonic().checked_sub(age) else { return Ok(0) };
        let old = claims.0.iter().filter(|(_, row)| row.at < before && self.is_over(row));
        let old = old.map(|(key, row)| (row.at, key.clone())).collect();
        Ok(claims.remove(old, limit.into()))
    }

    async fn prune_surplus(&self, most: u64, limit: u16) -> Result<u64, StoreError> {
        let mut claims = lock(&self.claims);
        let mut counts = HashMap::<Tenant, u64>::new();
        for key in claims.0.keys() {
            *counts.entry(key.tenant.clone()).or_default() += 1;
        }
        for (tenant, count) in counts.into_iter().filter(|(_, count)| *count > most) {
            let theirs = claims.0.iter().filter(|(key, row)| key.tenant == tenant && self.is_over(row));
            let theirs: Vec<_> = theirs.map(|(key, row)| (row.at, key.clone())).collect();
            let surplus = usize::try_from(count - most).unwrap_or(usize::MAX);
            match claims.remove(theirs, surplus.min(limit.into())) {
                0 => {}
                removed => return Ok(removed),
            }
        }
        Ok(0)
    }

    async fn erase(&self, tenant: &Tenant, principal: &Principal, limit: u16) -> Result<u64, StoreError> {
        let mut claims = lock(&self.claims);
        let theirs = claims.0.iter().filter(|(key, _)| key.tenant == *tenant && key.principal == *principal);
        let theirs = theirs.map(|(key, row)| (row.at, key.clone())).collect();
        Ok(claims.remove(theirs, limit.into()))
    }
}
