//! Which processes serve from the same stores.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;

/// Knows which replicas live. It concerns no caller: each replica speaks of itself, and there are few.
///
/// A replica that was killed cannot leave, so each lives for a time that it renews. One that was stopped for so long that its time
/// ended may come back by joining again; what others took over meanwhile stays theirs.
///
/// # Promises
/// - **a replica lives until its time is over**: counted from when it last joined; one that joins again lives on.
/// - **a replica that leaves is gone at once**: and may join again.
/// - **all that live are listed**: with what they said of themselves, those that began first before the others.
/// - **nobody joins one that is alone**: nor does one that must be alone join others, however many ask at once; who was refused is
///   told of one that lives.
#[async_trait]
pub trait Replicas: Send + Sync + 'static {
    /// Lets `replica` live for `time` from now, whether it lives already or not. Refused, it changes nothing, and gives the replica
    /// that is in the way.
    ///
    /// Not cancel safe: a dropped future may or may not have joined.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have joined all the same.
    async fn join(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError>;

    /// Ends a replica, so that others need not wait for its time to be over.
    ///
    /// Not cancel safe: a dropped future may not have ended it, and then it ends by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it ends by itself.
    async fn leave(&self, id: ReplicaId) -> Result<(), StoreError>;

    /// Those that live.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn list(&self) -> Result<Vec<Living>, StoreError>;
}

/// A process, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// No other process, before or after it, has the same.
    pub id: ReplicaId,
    /// The name of its machine.
    pub host: String,
    /// The version of what it runs.
    pub version: String,
    /// When it began, by its own clock.
    pub started: Timestamp,
    /// Whether no other may live beside it: it keeps to itself what replicas must share.
    pub alone: bool,
}

impl Replica {
    /// A process with a new id, which others may join.
    pub fn new(host: impl Into<String>, version: impl Into<String>, started: Timestamp) -> Self {
        // The keys of a `RandomState` come from the system's source of randomness. Nobody has 0.
        let id = ReplicaId::from_u64(RandomState::new().hash_one(0_u8).max(1));
        Self { id, host: host.into(), version: version.into(), started, alone: false }
    }
}

/// A replica that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
    /// What it said of itself.
    pub replica: Replica,
    /// Until when, unless it joins again; by the clock of the store.
    pub until: Timestamp,
}

/// The id of a process among those that serve from the same stores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(u64);

impl ReplicaId {
    /// The id with these 64 bits.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits of the id.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
