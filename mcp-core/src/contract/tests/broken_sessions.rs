//! Sessions that break their promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::caller::{Principal, Tenant};
use crate::clock::simulated::SimulatedClock;
use crate::clock::{Clock, Timestamp};
use crate::contract::Fresh;
use crate::contract::sessions::ROOM;
use crate::memory::lock;
use crate::store::sessions::{Saved, SessionInfo, Sessions, StoredSession, check_size, new_handle, new_version};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    CutsAtNul,
    FoldsHandles,
    KeepsTheVersion,
    KeepsTheValue,
    NeverEnds,
    LoadIsNoUse,
    SaveIsNoUse,
    OneIdleLifetime,
    SavesWhatHasEnded,
    RemovesWhatHasEnded,
    ListsWhatHasEnded,
    ListIsAUse,
    AnyOwner,
    AnyTenant,
    JoinsTheNames,
    LastSaveCounts,
    ConflictYetSaved,
    RemovesNothing,
    RemovesAll,
    AlwaysRemoved,
    CountsHandles,
    ShortHandles,
    TakesAnySize,
    RefusedYetSaved,
    HasNoBound,
    OldestGoes,
    BoundsAllTogether,
    HasNoBoundInAll,
    OldestOfAllGoes,
    OwnersOwnGoes,
    BoundsEachTenant,
    OneRoom,
    CreatedFirst,
    UsedLastLast,
    CountsNoBytes,
    CountsOneOwner,
}

/// Sessions in a list, the one that was used last behind the others; sound, but for its flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    owner: String,
    session: StoredSession,
    created: Timestamp,
    used: Timestamp,
    idle: Duration,
    number: usize,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.protocol_sessions = Arc::new(Broken { flaw, clock: clock.clone(), kept: Mutex::default() });
    if flaw == Flaw::OneRoom {
        stores.sessions = stores.protocol_sessions.clone();
    }
    Fresh::new(stores, clock)
}

impl Broken {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn owner(&self, tenant: &Tenant, owner: &Principal) -> String {
        match self.flaw {
            Flaw::AnyOwner => format!("{tenant:?}"),
            Flaw::AnyTenant => format!("{owner:?}"),
            Flaw::JoinsTheNames => format!("{tenant}{owner}"),
            _ => format!("{tenant:?} {owner:?}"),
        }
    }

    fn has_ended(&self, kept: &Kept) -> bool {
        !self.is(Flaw::NeverEnds) && kept.used.after(kept.idle) <= self.clock.now()
    }

    fn place(&self, all: &[Kept], owner: &str, handle: &str) -> Option<usize> {
        let is_same = |other: &str| match self.flaw {
            Flaw::FoldsHandles => other.eq_ignore_ascii_case(handle),
            _ => other == handle,
        };
        all.iter().position(|kept| kept.owner == owner && is_same(&kept.session.handle))
    }

    fn is_used(&self, all: &mut Vec<Kept>, place: usize) {
        let mut kept = all.remove(place);
        kept.used = self.clock.now();
        all.push(kept);
    }

    fn check(&self, value: &Bytes) -> Result<(), StoreError> {
        if self.is(Flaw::TakesAnySize) { Ok(()) } else { check_size("broken store", value) }
    }
}

/// Of more than `most` that count, removes the one that is idle longest, or the oldest, of those that may go.
fn remove_surplus(
    all: &mut Vec<Kept>,
    most: u32,
    oldest: bool,
    counts: impl Fn(&Kept) -> bool,
    may_go: impl Fn(&Kept) -> bool,
) {
    if all.iter().filter(|kept| counts(kept)).count() <= most as usize {
        return;
    }
    let goes = all.iter().enumerate().filter(|(_, kept)| may_go(kept));
    let goes = goes.min_by_key(|(place, kept)| if oldest { kept.number } else { *place });
    if let Some((place, _)) = goes {
        all.remove(place);
    }
}

#[async_trait]
impl Sessions for Broken {
    async fn create(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        value: Bytes,
        idle: Duration,
    ) -> Result<StoredSession, StoreError> {
        self.check(&value)?;
        let (owner, now, mut all) = (self.owner(tenant, owner), self.clock.now(), lock(&self.kept));
        let number = all.iter().map(|kept| kept.number + 1).max().unwrap_or_default();
        let handle = match self.flaw {
            Flaw::CountsHandles => format!("session-0000000000000000-{number:08}"),
            Flaw::ShortHandles => new_handle()?[..16].to_owned(),
            _ => new_handle()?,
        };
        let session = StoredSession { handle, version: new_version()?, value };
        let mut stored = session.clone();
        if self.is(Flaw::CutsAtNul) {
            stored.value = stored.value.split(|byte| *byte == 0).next().unwrap_or_default().to_vec().into();
        }
        let idle = if self.is(Flaw::OneIdleLifetime) { Duration::from_secs(60) } else { idle };
        all.push(Kept { owner: owner.clone(), session: stored, created: now, used: now, idle, number });
        let is_own = |kept: &Kept| kept.owner == owner;
        if !self.is(Flaw::HasNoBound) {
            let counts = |kept: &Kept| is_own(kept) || self.is(Flaw::BoundsAllTogether);
            remove_surplus(&mut all, ROOM.of_owner, self.is(Flaw::OldestGoes), counts, counts);
        }
        if !self.is(Flaw::HasNoBoundInAll) {
            let tenant = |owner: &str| owner.split(' ').next().map(str::to_owned);
            let counts = |kept: &Kept| !self.is(Flaw::BoundsEachTenant) || tenant(&kept.owner) == tenant(&owner);
            let may_go = |kept: &Kept| counts(kept) && (!self.is(Flaw::OwnersOwnGoes) || is_own(kept));
            remove_surplus(&mut all, ROOM.in_all, self.is(Flaw::OldestOfAllGoes), counts, may_go);
        }
        Ok(session)
    }

    async fn load(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
    ) -> Result<Option<StoredSession>, StoreError> {
        let (owner, mut all) = (self.owner(tenant, owner), lock(&self.kept));
        let place = self.place(&all, &owner, handle).filter(|place| !self.has_ended(&all[*place]));
        Ok(place.map(|place| {
            let session = all[place].session.clone();
            if !self.is(Flaw::LoadIsNoUse) {
                self.is_used(&mut all, place);
            }
            session
        }))
    }

    async fn save(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        version: u64,
        value: Bytes,
    ) -> Result<Saved, StoreError> {
        let (owner, mut all) = (self.owner(tenant, owner), lock(&self.kept));
        let checked = self.check(&value);
        if !self.is(Flaw::RefusedYetSaved) {
            checked.clone()?;
        }
        let ended = |kept: &Kept| self.has_ended(kept) && !self.is(Flaw::SavesWhatHasEnded);
        let Some(place) = self.place(&all, &owner, handle).filter(|place| !ended(&all[*place])) else {
            return Ok(Saved::Gone);
        };
        let session = &mut all[place].session;
        let is_conflict = session.version != version && !self.is(Flaw::LastSaveCounts);
        if !self.is(Flaw::KeepsTheValue) && (!is_conflict || self.is(Flaw::ConflictYetSaved)) {
            session.value = value;
        }
        if is_conflict {
            return Ok(Saved::Conflict);
        }
        if !self.is(Flaw::KeepsTheVersion) {
            session.version = new_version()?;
        }
        let version = session.version;
        if !self.is(Flaw::SaveIsNoUse) {
            self.is_used(&mut all, place);
        }
        checked.map(|()| Saved::As(version))
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Result<bool, StoreError> {
        let (owner, mut all) = (self.owner(tenant, owner), lock(&self.kept));
        let ended = |kept: &Kept| self.has_ended(kept) && !self.is(Flaw::RemovesWhatHasEnded);
        let place = self.place(&all, &owner, handle).filter(|place| !ended(&all[*place]));
        match (place, self.flaw) {
            (_, Flaw::RemovesNothing) => {}
            (Some(_), Flaw::RemovesAll) => all.retain(|kept| kept.owner != owner),
            (Some(place), _) => drop(all.remove(place)),
            (None, _) => {}
        }
        Ok(place.is_some() || self.is(Flaw::AlwaysRemoved))
    }

    async fn list(&self, tenant: &Tenant, owner: &Principal) -> Result<Vec<SessionInfo>, StoreError> {
        let (owner, mut all) = (self.owner(tenant, owner), lock(&self.kept));
        let is_shown = |kept: &Kept| kept.owner == owner && (!self.has_ended(kept) || self.is(Flaw::ListsWhatHasEnded));
        let mut own: Vec<_> = all.iter_mut().filter(|kept| is_shown(kept)).collect();
        match self.flaw {
            Flaw::UsedLastLast => {}
            Flaw::CreatedFirst => own.sort_by_key(|kept| std::cmp::Reverse(kept.number)),
            _ => own.reverse(),
        }
        let info = own.into_iter().map(|kept| {
            if self.is(Flaw::ListIsAUse) {
                kept.used = self.clock.now();
            }
            let bytes = if self.is(Flaw::CountsNoBytes) { 0 } else { kept.session.value.len() };
            SessionInfo { handle: kept.session.handle.clone(), created: kept.created, used: kept.used, bytes }
        });
        Ok(info.collect())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let all = lock(&self.kept);
        let first = all.first().map(|kept| kept.owner.clone());
        Ok(all.iter().filter(|kept| !self.is(Flaw::CountsOneOwner) || Some(&kept.owner) == first.as_ref()).count()
            as u64)
    }
}

super::each_case_fails! {
    sessions, broken,
    a_saved_session_is_loaded: [
        Flaw::CutsAtNul,
        Flaw::FoldsHandles,
        Flaw::KeepsTheVersion,
        Flaw::KeepsTheValue,
    ],
    a_session_that_is_idle_for_too_long_is_gone: [
        Flaw::NeverEnds,
        Flaw::LoadIsNoUse,
        Flaw::SaveIsNoUse,
        Flaw::OneIdleLifetime,
        Flaw::SavesWhatHasEnded,
        Flaw::RemovesWhatHasEnded,
        Flaw::ListsWhatHasEnded,
        Flaw::ListIsAUse,
    ],
    callers_are_apart: [Flaw::AnyOwner, Flaw::AnyTenant, Flaw::JoinsTheNames],
    a_concurrent_change_is_a_conflict: [Flaw::LastSaveCounts, Flaw::ConflictYetSaved],
    a_removed_session_is_gone: [Flaw::RemovesNothing, Flaw::RemovesAll, Flaw::AlwaysRemoved],
    a_handle_cannot_be_guessed: [Flaw::CountsHandles, Flaw::ShortHandles],
    a_session_is_small: [Flaw::TakesAnySize, Flaw::RefusedYetSaved],
    an_owner_has_few_sessions: [Flaw::HasNoBound, Flaw::OldestGoes, Flaw::BoundsAllTogether],
    there_are_few_sessions_in_all: [
        Flaw::HasNoBoundInAll,
        Flaw::OldestOfAllGoes,
        Flaw::OwnersOwnGoes,
        Flaw::BoundsEachTenant,
    ],
    rooms_are_apart: [Flaw::OneRoom],
    a_list_shows_the_last_used_first: [Flaw::UsedLastLast, Flaw::CreatedFirst, Flaw::CountsNoBytes],
    what_there_is_is_counted: [Flaw::CountsOneOwner],
}
