//! Links in memory.

use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;

use super::calls::Calls;
use super::runs::Journals;
use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::audit::{
    Audit, Chain, ChainId, ChainKey, Finding, Kind, Link, LinkQuery, Mark, Record, RecordDigest, Verification,
};
use crate::store::ledger::{CallId, CallRecord};
use crate::store::runs::RunId;

/// What was done, in order. Nobody but this process can write there, so that codes prove nothing: they, and the digests of calls, are
/// made when somebody asks for links.
#[derive(Default)]
pub(super) struct Links {
    done: VecDeque<Done>,
}

struct Done {
    kind: Kind,
    tenant: Tenant,
    subject: u128,
    number: u64,
    /// Nothing, for a call.
    digest: Option<[u8; 32]>,
    at: Timestamp,
}

/// How many links are kept; then the oldest go.
const CAPACITY: usize = 4 * MemoryStore::CAPACITY;

impl Links {
    /// Notes that a call was written.
    pub(super) fn add_call(&mut self, call: &CallRecord, at: Timestamp) {
        let (tenant, subject) = (call.tenant.clone(), call.id.as_u128());
        self.push(Done { kind: Kind::CALL, tenant, subject, number: 0, digest: None, at });
    }

    /// Notes what else was done.
    pub(super) fn add(&mut self, marks: Vec<Mark>, at: Timestamp) {
        for Mark { kind, tenant, subject, number, digest } in marks {
            let Some(tenant) = tenant else { continue };
            self.push(Done { kind, tenant, subject, number, digest: Some(digest), at });
        }
    }

    fn push(&mut self, done: Done) {
        self.done.push_back(done);
        if self.done.len() > CAPACITY {
            self.done.pop_front();
        }
    }
}

impl Done {
    /// The kind of record that was removed, if one was.
    fn removed(&self) -> Option<Kind> {
        let is_removal = [Kind::EXPIRED, Kind::ERASED].contains(&self.kind);
        let of = |kind: &Kind| self.digest == Some(RecordDigest::of_removed(kind));
        [Kind::CALL, Kind::RUN].into_iter().find(|kind| is_removal && of(kind))
    }

    /// Whether what it is about is there. That a key was answered is told by no record of its own.
    fn is_there(&self, calls: &Calls, runs: &Journals) -> bool {
        let run = (self.tenant.clone(), RunId::from_u128(self.subject));
        if self.kind == Kind::CALL {
            calls.digest(self.subject, &self.tenant).is_some()
        } else if self.kind == Kind::STEP {
            runs.has(&run, u32::try_from(self.number).ok())
        } else {
            self.kind == Kind::RUN && runs.has(&run, None)
        }
    }
}

/// All links. That of a call which is gone has no digest any more.
fn chain(calls: &Calls) -> Vec<Link> {
    let mut chain = Chain::begin(ChainId::from_u128(1), ChainKey::new(&[0; 32]));
    let links = calls.links.done.iter().flat_map(|done| {
        let digest = done.digest.or_else(|| calls.digest(done.subject, &done.tenant)).unwrap_or_default();
        let (kind, tenant) = (done.kind.clone(), Some(done.tenant.clone()));
        let mark = Mark { kind, tenant, subject: done.subject, number: done.number, digest };
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

    async fn walk(&self, after: Option<(ChainId, u64)>, limit: u16) -> Result<Vec<Link>, StoreError> {
        let mut links = chain(&lock(&self.calls));
        links.retain(|link| after.is_none_or(|after| after < (link.chain, link.sequence)));
        links.truncate(limit.into());
        Ok(links)
    }

    async fn verify(&self) -> Result<Verification, StoreError> {
        let (calls, runs) = (lock(&self.calls), lock(&self.runs));
        let (mut written, mut removed) = (HashMap::new(), HashSet::new());
        for done in &calls.links.done {
            if let Some(kind) = done.removed() {
                removed.insert((kind, done.subject, &done.tenant));
            } else if done.kind != Kind::ANSWER {
                written.insert((&done.kind, done.subject, done.number, &done.tenant), done);
            }
        }
        let (links, gone) = (calls.links.done.len() as u64, removed.len() as u64);
        let mut verified = Verification { chains: 1, links, removed: gone, ..Verification::default() };
        for ((kind, id, number, tenant), done) in written {
            let record = || Record {
                record: kind.as_str().to_owned(),
                tenant: tenant.as_str().to_owned(),
                id: CallId::from_u128(id).to_string(),
                number,
                chain: None,
                sequence: None,
            };
            let is_call = *kind == Kind::CALL;
            let is_removed = removed.contains(&(if is_call { Kind::CALL } else { Kind::RUN }, id, tenant));
            match (done.is_there(&calls, &runs), is_removed) {
                (true, true) if is_call => verified.find(Finding::RecordBack(record())),
                (true, _) => verified.records += 1,
                // A run that has ended makes room for others, and nobody is told.
                (false, false) if is_call => verified.find(Finding::RecordMissing(record())),
                (false, _) => {}
            }
        }
        Ok(verified)
    }

    /// It does nothing: nobody can cut off what is in this process.
    async fn anchor(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn trim(&self, before: Timestamp) -> Result<bool, StoreError> {
        let (mut calls, runs) = (lock(&self.calls), lock(&self.runs));
        while let Some(oldest) = calls.links.done.front() {
            if oldest.at >= before || oldest.is_there(&calls, &runs) {
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
