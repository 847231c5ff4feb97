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
    LONGEST_IDLE, Saved, SessionInfo, SessionRoom, Sessions, StoredSession, check_size, new_handle, new_version,
};

/// [`Sessions`] in memory: as many as there may be in their room, but at most [`MemorySessions::CAPACITY`] of
/// [`MemorySessions::BYTES`] together; the one that is idle longest goes first.
pub struct MemorySessions {
    clock: Arc<dyn Clock>,
    room: SessionRoom,
    held: Mutex<Held>,
}

/// The sessions of all owners. Each use has a number, which grows, and each session that of its last use.
#[derive(Default)]
struct Held {
    by_owner: HashMap<Owner, BTreeMap<u64, Kept>>,
    by_handle: HashMap<String, u64>,
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

impl Held {
    /// Puts a session behind all others, as the one that was used last.
    fn put(&mut self, owner: &Owner, kept: Kept) {
        self.last_use += 1;
        self.bytes += kept.session.value.len();
        self.by_handle.insert(kept.session.handle.clone(), self.last_use);
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
        self.by_handle.remove(&kept.session.handle);
        self.by_end.remove(&(kept.end, last_use));
        self.bytes -= kept.session.value.len();
        Some(kept)
    }

    /// The number of a session that has not ended, and the session.
    fn find(&self, owner: &Owner, handle: &str, now: Duration) -> Option<(u64, &Kept)> {
        let last_use = *self.by_handle.get(handle)?;
        let kept = self.by_owner.get(owner)?.get(&last_use)?;
        (now < kept.end).then_some((last_use, kept))
    }

    fn remove_ended(&mut self, now: Duration) {
        while let Some((end, last_use)) = self.by_end.first().copied()
            && end <= now
        {
            self.take(last_use);
        }
    }

    fn remove_what_is_too_much(&mut self, owner: &Owner, room: SessionRoom) {
        let most = |most: u32| usize::try_from(most.max(1)).unwrap_or(usize::MAX);
        let own = self.by_owner.get(owner).filter(|own| own.len() > most(room.of_owner));
        if let Some(last_use) = own.and_then(|own| own.keys().next().copied()) {
            self.take(last_use);
        }
        let in_all = most(room.in_all).min(MemorySessions::CAPACITY);
        while self.by_use.len() > in_all || self.bytes > MemorySessions::BYTES {
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

    /// No sessions yet, in the room of [`SessionRoom::APPLICATION`].
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, room: SessionRoom::APPLICATION, held: Mutex::default() }
    }

    /// The same, in another room.
    #[must_use]
    pub fn of(self, room: SessionRoom) -> Self {
        Self { room, ..self }
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
        let mut held = lock(&self.held);
        let (last_use, _) = held.find(&owner, handle, now)?;
        let mut kept = held.take(last_use)?;
        let changed = change(&mut kept.session);
        (kept.used, kept.end) = (self.clock.now(), now.saturating_add(kept.idle));
        held.put(&owner, kept);
        held.remove_what_is_too_much(&owner, self.room);
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
        let mut held = lock(&self.held);
        held.remove_ended(now);
        held.put(&owner, Kept { session: session.clone(), created, used: created, idle, end });
        held.remove_what_is_too_much(&owner, self.room);
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
        let mut held = lock(&self.held);
        let found = held.find(&owner, handle, now).map(|(last_use, _)| last_use);
        Ok(found.and_then(|last_use| held.take(last_use)).is_some())
    }

    async fn list(&self, tenant: &Tenant, owner: &Principal) -> Result<Vec<SessionInfo>, StoreError> {
        let (owner, now) = ((tenant.clone(), owner.clone()), self.clock.monotonic());
        let held = lock(&self.held);
        let own = held.by_owner.get(&owner).into_iter().flat_map(|own| own.values().rev());
        let info = |kept: &Kept| SessionInfo {
            handle: kept.session.handle.clone(),
            created: kept.created,
            used: kept.used,
            bytes: kept.session.value.len(),
        };
        Ok(own.filter(|kept| now < kept.end).map(info).collect())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let mut held = lock(&self.held);
        held.remove_ended(self.clock.monotonic());
        Ok(held.by_use.len() as u64)
    }
}
