//! Calls that may be sent twice.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::ledger::CallId;
use super::replicas::ReplicaId;
use crate::caller::{Principal, Tenant};

/// Sees to it that a call which is sent twice under one key is answered once. A call claims its key before it begins, and commits its
/// record together with an [`Answer`](super::ledger::Entry::Answer), by which whoever comes later finds the result.
///
/// How many keys are kept of one caller is bounded by each implementation: beyond that, those that were answered first are forgotten.
///
/// # Promises
/// - **one call has a key**: however many claim it at once; the others are told that it runs. Who asks twice is told the same.
/// - **a key belongs to one caller and one tool**: the same key of another tenant, principal or tool is another one.
/// - **other arguments are a mismatch**: whatever has become of the call that has the key.
/// - **an answer is kept with its record**: both or none; and a commit whose answer was lost can be made again.
/// - **a call that died is followed by one other**: one whose replica lives no more; the other is told so.
/// - **the answer of a call that lost its key is a conflict**: nothing of its commit is written.
/// - **a released key is free or taken over**: free, where nothing was begun under it; only its call releases it, and not what is
///   answered.
/// - **old keys are removed a few at a time**: those that were answered, or whose call has died; what runs stays.
/// - **too many keys are removed a few at a time**: the oldest of those first, until each tenant has so many; what runs stays.
/// - **what a principal has is erased**: also what runs, so many at a time, and nothing of another's.
#[async_trait]
pub trait Idempotency: Send + Sync + 'static {
    /// Claims `key`.
    ///
    /// Not cancel safe: a dropped future may or may not have claimed; [`Idempotency::release`] undoes it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: as above.
    async fn claim(&self, key: &CallKey, claim: &Claim) -> Result<Claimed, StoreError>;

    /// Gives up the claim of `owner`, which is not going to be answered. Where something was `begun`, the next that claims the key is
    /// told so.
    ///
    /// Not cancel safe: a dropped future may or may not have released.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn release(&self, key: &CallKey, owner: CallId, begun: bool) -> Result<(), StoreError>;

    /// Forgets keys that were first claimed longer than `age` ago, at most `limit` of them, the oldest first, and tells how many. It
    /// concerns all tenants, and is the house's own work.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn prune(&self, age: Duration, limit: u16) -> Result<u64, StoreError>;

    /// Forgets keys of tenants that have more than `most`, at most `limit` of them, as [`Idempotency::prune`] does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn prune_surplus(&self, most: u64, limit: u16) -> Result<u64, StoreError>;

    /// Forgets keys of a principal, at most `limit` of them, and tells how many. A call that has one of them has lost it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn erase(&self, tenant: &Tenant, principal: &Principal, limit: u16) -> Result<u64, StoreError>;
}

/// How long a key is remembered, where nobody says otherwise.
pub const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// How many keys are remembered of one caller, where nobody says otherwise.
pub const MOST: usize = 100_000;

/// Under what a call is sent again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey {
    /// To whom the call belongs.
    pub tenant: Tenant,
    /// Who calls.
    pub principal: Principal,
    /// The tool's name.
    pub tool: String,
    /// What the caller has made up.
    pub key: String,
}

/// Who claims a key, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The call; no other call has its id.
    pub owner: CallId,
    /// The replica on which it runs.
    pub replica: ReplicaId,
    /// Of its arguments.
    pub digest: Digest,
}

/// The SHA-256 of a call's arguments, as they came.
pub type Digest = [u8; 32];

/// What has become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is the claimer's, and nothing was begun under it.
    First,
    /// It is the claimer's, and another call may have begun under it, which is not going to be answered.
    TakenOver,
    /// Another call has it, and may still be answered.
    Running,
    /// It was answered, in the record of this call.
    Answered(CallId),
    /// It was claimed with other arguments.
    Mismatch,
}
