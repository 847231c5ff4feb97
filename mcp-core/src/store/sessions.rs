//! Small state that a caller comes back to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::StoreError;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Keeps state for a caller under a handle, for as long as it is used.
///
/// # Promises
/// - **a saved session is loaded**: to the last byte, and with another version each time it was saved.
/// - **a session that is idle for too long is gone**: to load it and to save it are uses, after which its idle lifetime begins anew;
///   of uses within a second, or within a quarter of that lifetime, the first may count alone.
/// - **callers are apart**: another's handle is not found, whoever presents it; neither another principal nor another tenant loads,
///   saves, removes or lists a session.
/// - **a concurrent change is a conflict**: of several that save upon the same version one does, and the others are told.
/// - **a removed session is gone**: and its owner's others stay.
/// - **a handle cannot be guessed**: it has at least 128 random bits, in letters, digits, `-` and `_`.
/// - **a session is small**: a value of more than [`LARGEST`] bytes is refused, and changes nothing.
/// - **an owner has few sessions**: at most [`SessionRoom::of_owner`]; when one more is created, the one that is idle longest goes.
/// - **there are few sessions in all**: at most [`SessionRoom::in_all`]; when one more is created, the one that is idle longest goes,
///   whosever it is. A large room may be counted now and then alone, and then holds up to a hundredth more.
/// - **rooms are apart**: a session is neither found nor listed in another room, and pushes none out of it.
/// - **a list shows the last used first**: and all of them; to be listed is no use.
/// - **what there is is counted**: all of the room, whosever they are; one that has ended may count until it is met.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Begins a session, which ends when it was not used for `idle`, or for a year.
    ///
    /// Not cancel safe: a dropped future may have begun one that nobody knows, and that ends by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when the value is too large.
    async fn create(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        value: Bytes,
        idle: Duration,
    ) -> Result<StoredSession, StoreError>;

    /// The session under `handle`, which is hereby used.
    ///
    /// Cancel safe: a dropped future has used it or not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached, which says nothing of whether there is such a session.
    async fn load(&self, tenant: &Tenant, owner: &Principal, handle: &str)
    -> Result<Option<StoredSession>, StoreError>;

    /// Replaces the value of a session, unless it has changed since it had `version`.
    ///
    /// Not cancel safe: a dropped future may or may not have saved.
    ///
    /// # Errors
    /// As [`Sessions::create`]. After [`StoreError::Unavailable`] it may yet be saved; then to save it again is a conflict.
    async fn save(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        version: u64,
        value: Bytes,
    ) -> Result<Saved, StoreError>;

    /// Ends a session, and tells whether there was one.
    ///
    /// Not cancel safe: a dropped future may or may not have ended it.
    ///
    /// # Errors
    /// As [`Sessions::load`].
    async fn remove(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Result<bool, StoreError>;

    /// What the owner has.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Sessions::load`].
    async fn list(&self, tenant: &Tenant, owner: &Principal) -> Result<Vec<SessionInfo>, StoreError>;

    /// How many there are in the room. It is for the house's own work.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Sessions::load`].
    async fn count(&self) -> Result<u64, StoreError>;
}

/// How many bytes a value has at the most.
pub const LARGEST: usize = 64 * 1024;

/// How long a session may be idle at the most, whatever was asked for.
pub const LONGEST_IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Sessions that are kept apart from all others, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRoom {
    /// What they are called; no other room that is kept in the same place has the same name.
    pub name: &'static str,
    /// How many an owner has at the most, and never fewer than one.
    pub of_owner: u32,
    /// How many there are at the most, and never fewer than one.
    pub in_all: u32,
}

impl SessionRoom {
    /// What tools keep for their callers: 100 of an owner, and 1,000,000 in all.
    pub const APPLICATION: Self = Self { name: "sessions", of_owner: 100, in_all: 1_000_000 };

    /// What clients of the older era open: 1,000 of an owner, and 10,000 in all.
    pub const PROTOCOL: Self = Self { name: "protocol_sessions", of_owner: 1_000, in_all: 10_000 };
}

/// A session as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Whoever presents it and owns the session finds it.
    pub handle: String,
    /// Another one each time it was saved; which of two is the later it does not tell.
    pub version: u64,
    /// What is kept.
    pub value: Bytes,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is kept, and this is the version now.
    As(u64),
    /// It is not: somebody else has saved since.
    Conflict,
    /// It is not: there is no such session any more.
    Gone,
}

/// A session as its owner sees it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its handle.
    pub handle: String,
    /// When it began.
    pub created: Timestamp,
    /// When it was last loaded or saved.
    pub used: Timestamp,
    /// How many bytes its value has.
    pub bytes: usize,
}

/// Refuses a value that is too large, in the name of a store.
///
/// # Errors
/// [`StoreError::Refused`].
pub fn check_size(store: &'static str, value: &[u8]) -> Result<(), StoreError> {
    if value.len() <= LARGEST { Ok(()) } else { Err(StoreError::Refused { store, source: None }) }
}

/// A handle that was never there before: 144 bits of the system's randomness, as 24 characters.
///
/// # Errors
/// [`StoreError::Unavailable`] where the system has no randomness.
pub fn new_handle() -> Result<String, StoreError> {
    let mut bytes = [0; 18];
    fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A version that a session never had before. It fits the signed integers of databases.
///
/// # Errors
/// As [`new_handle`].
pub fn new_version() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes) >> 1)
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    let failed = |error| StoreError::Unavailable { store: "source of randomness", source: Some(Arc::new(error)) };
    getrandom::fill(bytes).map_err(failed)
}
