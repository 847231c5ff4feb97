//! Sessions in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::lock;
use crate::caller::{Principal, Tenant};
use crate::clock::{Clock, Timestamp};
use crate::store::StoreError;
use crate::store::sessions::{
    LONGEST_IDLE, MOST, Saved, SessionInfo, Sessions, StoredSession, check_size, new_handle, new_version,
};

/// [`Sessions`] in memory: at most [`MemorySessions::CAPACITY`] of [`MemorySessions::BYTES`] together; the one that is idle longest
/// goes first.
pub struct MemorySessions {
    clock: Arc<dyn Clock>,
    room: Mutex<Room>,
}

/// The sessions of all owners. Each use has a number, which grows, and each session that of its last use.
#[derive(Default)]
struct Room {
    by_owner: HashMap<Owner, BTreeMap<u64, Kept>>,
    by_use: BTreeMap<u64, Owner>,
    by_end: BTreeSet<(Duration, u64)>,
    last_use: u64,
    bytes: usize,
}

type Owner = (Tenant, Principal);

struct Kept {
    session: StoredSession,
    created: Timestamp,
    used: Timestamp,
    idle: Duration,
    /// By the clock that never goes back.
    end: Duration,
}

impl Room {
    /// Puts a session behind all others, as the one that was used last.
    fn put(&mut self, owner: &Owner, kept: Kept) {
        self.last_use += 1;
        self.bytes += kept.session.value.len();
        self.by_use.insert(self.last_use, owner.clone());
        self.by_end.insert((kept.end, self.last_use));
        self.by_owner.entry(owner.clone()).or_default().insert(self.last_use, kept);
    }

    fn take(&mut self, last_use: u64) -> Option<Kept> {
        let owner = self.by_use.remove(&last_use)?;
        let own = self.by_owner.get_mut(&owner)?;
        let kept = own.remove(&last_use)?;
        if own.is_empty() {
            self.by_owner.remove(&owner);
        }
        self.by_end.remove(&(kept.end, last_use));
        self.bytes -= kept.session.value.len();
        Some(kept)
    }

    /// The number of a session that has not ended, and the session.
    fn find(&self, owner: &Owner, handle: &str, now: Duration) -> Option<(u64, &Kept)> {
        let own = self.by_owner.get(owner)?;
        let found = own.iter().find(|(_, kept)| kept.session.handle == handle && now < kept.end);
        found.map(|(last_use, kept)| (*last_use, kept))
    }

    fn remove_ended(&mut self, now: Duration) {
        while let Some((end, last_use)) = self.by_end.first().copied()
            && end <= now
        {
            self.take(last_use);
        }
    }

    fn remove_what_is_too_much(&mut self, owner: &Owner) {
        let own = self.by_owner.get(owner).filter(|own| own.len() > usize::from(MOST));
        if let Some(last_use) = own.and_then(|own| own.keys().next().copied()) {
            self.take(last_use);
        }
        while self.by_use.len() > MemorySessions::CAPACITY || self.bytes > MemorySessions::BYTES {
            let Some(last_use) = self.by_use.keys().next().copied() else { break };
            self.take(last_use);
        }
    }
}

impl MemorySessions {
    /// How many sessions there are at the most.
    pub const CAPACITY: usize = 10_000;

    /// How many bytes their values have together at the most.
    pub const BYTES: usize = 64 * 1024 * 1024;

    /// No sessions yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, room: Mutex::default() }
    }

    /// Uses a session: takes it out, lets `change` see it, and puts it back as the one that was used last.
    fn use_one<T>(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        change: impl FnOnce(&mut StoredSession) -> T,
    ) -> Option<T> {
        let (owner, now) = ((tenant.clone(), owner.clone()), self.clock.monotonic());
        let mut room = lock(&self.room);
        let (last_use, _) = room.find(&owner, handle, now)?;
        let mut kept = room.take(last_use)?;
        let changed = change(&mut kept.session);
        (kept.used, kept.end) = (self.clock.now(), now.saturating_add(kept.idle));
        room.put(&owner, kept);
        room.remove_what_is_too_much(&owner);
        Some(changed)
    }
}

const STORE: &str = "store of sessions";

#[async_trait]
impl Sessions for MemorySessions {
    async fn create(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        value: Bytes,
        idle: Duration,
    ) -> Result<StoredSession, StoreError> {
        check_size(STORE, &value)?;
        let session = StoredSession { handle: new_handle()?, version: new_version()?, value };
        let (owner, idle) = ((tenant.clone(), owner.clone()), idle.min(LONGEST_IDLE));
        let (now, created) = (self.clock.monotonic(), self.clock.now());
        let end = now.saturating_add(idle);
        let mut room = lock(&self.room);
        room.remove_ended(now);
        room.put(&owner, Kept { session: session.clone(), created, used: created, idle, end });
        room.remove_what_is_too_much(&owner);
        Ok(session)
    }

    async fn load(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
    ) -> Result<Option<StoredSession>, StoreError> {
        Ok(self.use_one(tenant, owner, handle, |session| session.clone()))
    }

    async fn save(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        version: u64,
        value: Bytes,
    ) -> Result<Saved, StoreError> {
        check_size(STORE, &value)?;
        let new = new_version()?;
        let saved = self.use_one(tenant, owner, handle, |session| {
            if session.version != version {
                return Saved::Conflict;
            }
            (session.version, session.value) = (new, value);
            Saved::As(new)
        });
        Ok(saved.unwrap_or(Saved::Gone))
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Result<bool, StoreError> {
        let (owner, now) = ((tenant.clone(), owner.clone()), self.clock.monotonic());
        let mut room = lock(&self.room);
        let found = room.find(&owner, handle, now).map(|(last_use, _)| last_use);
        Ok(found.and_then(|last_use| room.take(last_use)).is_some())
    }

    async fn list(&self, tenant: &Tenant, owner: &Principal) -> Result<Vec<SessionInfo>, StoreError> {
        let (owner, now) = ((tenant.clone(), owner.clone()), self.clock.monotonic());
        let room = lock(&self.room);
        let own = room.by_owner.get(&owner).into_iter().flat_map(|own| own.values().rev());
        let info = |kept: &Kept| SessionInfo {
            handle: kept.session.handle.clone(),
            created: kept.created,
            used: kept.used,
            bytes: kept.session.value.len(),
        };
        Ok(own.filter(|kept| now < kept.end).map(info).collect())
    }
}
