//! Links in memory.

use std::collections::{HashSet, VecDeque};

use async_trait::async_trait;

use super::calls::Calls;
use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::audit::{
    Audit, Chain, ChainId, ChainKey, Finding, Kind, Link, LinkQuery, Mark, Record, Verification,
};
use crate::store::ledger::CallId;

/// What was done, in order. Nobody but this process can write there, so that codes prove nothing: they, and the digests, are made when
/// somebody asks for links.
#[derive(Default)]
pub(super) struct Links {
    done: VecDeque<Done>,
}

struct Done {
    kind: Kind,
    tenant: Tenant,
    subject: u128,
    at: Timestamp,
}

/// How many links are kept; then the oldest go.
const CAPACITY: usize = 4 * MemoryStore::CAPACITY;

impl Links {
    /// Notes what was done to a call.
    pub(super) fn add(&mut self, kind: Kind, tenant: &Tenant, call: CallId, at: Timestamp) {
        self.done.push_back(Done { kind, tenant: tenant.clone(), subject: call.as_u128(), at });
        if self.done.len() > CAPACITY {
            self.done.pop_front();
        }
    }
}

/// All links. That of a call which is gone has no digest any more.
fn chain(calls: &Calls) -> Vec<Link> {
    let mut chain = Chain::begin(ChainId::from_u128(1), ChainKey::new(&[0; 32]));
    let links = calls.links.done.iter().flat_map(|done| {
        let digest = calls.digest(done.subject, &done.tenant).unwrap_or_default();
        let tenant = Some(done.tenant.clone());
        let mark = Mark { kind: done.kind.clone(), tenant, subject: done.subject, number: 0, digest };
        chain.extend(&[mark], done.at)
    });
    links.collect()
}

#[async_trait]
impl Audit for MemoryStore {
    async fn links(&self, tenant: &Tenant, query: &LinkQuery) -> Result<Vec<Link>, StoreError> {
        let mut links = chain(&lock(&self.calls));
        links.retain(|link| link.tenant.as_ref() == Some(tenant) && query.matches(link));
        links.sort_by_key(|link| std::cmp::Reverse(link.place()));
        links.truncate(query.limit.into());
        Ok(links)
    }

    async fn verify(&self) -> Result<Verification, StoreError> {
        let calls = lock(&self.calls);
        let (mut written, mut removed) = (HashSet::new(), HashSet::new());
        for done in &calls.links.done {
            let set = if done.kind == Kind::CALL { &mut written } else { &mut removed };
            set.insert((done.subject, &done.tenant));
        }
        let mut verified = Verification { chains: 1, links: calls.links.done.len() as u64, ..Verification::default() };
        for (id, tenant) in written {
            let record = || Record {
                record: Kind::CALL.as_str().to_owned(),
                tenant: tenant.as_str().to_owned(),
                id: CallId::from_u128(id).to_string(),
                number: 0,
                chain: None,
                sequence: None,
            };
            match (calls.digest(id, tenant).is_some(), removed.contains(&(id, tenant))) {
                (true, false) => verified.records += 1,
                (false, true) => verified.removed += 1,
                (false, false) => verified.find(Finding::RecordMissing(record())),
                (true, true) => verified.find(Finding::RecordBack(record())),
            }
        }
        Ok(verified)
    }

    /// It does nothing: nobody can cut off what is in this process.
    async fn anchor(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn trim(&self, before: Timestamp) -> Result<bool, StoreError> {
        let mut calls = lock(&self.calls);
        while let Some(oldest) = calls.links.done.front() {
            if oldest.at >= before || calls.digest(oldest.subject, &oldest.tenant).is_some() {
                break;
            }
            calls.links.done.pop_front();
        }
        Ok(false)
    }
}

#[cfg(all(test, feature = "contract"))]
impl MemoryStore {
    /// Loses all links.
    pub(crate) fn forget_links(&self) {
        lock(&self.calls).links.done.clear();
    }
}
