//! Long work, step by step: who does it, how far it has come, and what it was told meanwhile.

mod journal;
mod pages;
mod stand;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::id::id;
use super::records::Keep;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

pub use journal::{
    BadInputId, Ending, Input, InputId, InputKind, Posted, Step, StepKind, StepRecord, Turn, UnknownInput, UnknownStep,
};
pub(crate) use pages::each_step;
pub use stand::{Stand, Verdict};

/// Keeps runs: work that outlives the process that began it. Whoever claims a run holds it for the time of a lease, which it renews,
/// and writes each step through the [`Ledger`](super::ledger::Ledger) under the epoch that the claim gave it. Another one may claim it
/// once that lease is over, with a greater epoch, and from then on nothing is written under the smaller one.
///
/// A holder counts the lease from before it asked, and by a clock that goes on while it is stopped. Times are those of the store:
/// a database tells its own.
///
/// # Promises
/// - **a created run is read back**: to the last byte. Created twice it is one run, and the first one stays.
/// - **a run has one holder at a time**: however many claim at once.
/// - **no more than the limit are claimed**: of that kind alone, and those first that are due longest.
/// - **a run is claimed when it is due**: at once when it is new, and when its lease is over; never before. Where there is room left,
///   a claim tells how long it is until the next one is due.
/// - **each holder has a greater epoch than all before**: of the same run.
/// - **only its holder renews**: as long as its lease is not over; who has lost a run is told, and the others of the same call are renewed.
/// - **only its holder writes**: under an earlier epoch a step, or a turn, is a [`StoreError::Conflict`], and so is one for a run that was
///   let go. Nothing of its commit is written, and all of those beside it. Each step is read back with the epoch that it was written under.
/// - **steps are read back in order**: to the last byte. The same step twice is one; another one in its place is a conflict.
/// - **a run that is let go is claimed when it is due**: after its time, or at once; one that waits for an input alone is not claimed
///   before there is one.
/// - **an input wakes a run**: also one that came before the run let go, if its holder had not seen it. Inputs keep their order, and one that is
///   posted twice is one.
/// - **what has ended stays as it is**: it is not claimed, takes no inputs and no steps, and shows how it ended.
/// - **claims without progress are counted**: from one after each step and each wait; a release is not counted.
/// - **pages neither repeat nor skip**: runs come in falling order of their ids, full pages of those that satisfy the query, and on with
///   `before` set to the last.
/// - **what is open is counted**: the runs of a principal and a kind that have not ended, up to the number that is asked for, but for those that
///   other runs have begun.
/// - **what is due for long is told**: of all tenants and kinds together; neither what waits or is held, nor what has ended.
/// - **tenants are apart**: nothing of another tenant's run is shown, written or woken.
/// - **what is kept is bounded**: arguments, steps, inputs and results that are larger than [`LARGEST`], keys that are larger than
///   [`LARGEST_KEY`], and inputs beyond [`MOST_INPUTS`], are refused.
/// - **what ended long ago may go**: before then, or of a tenant of which more have ended, those that ended first; so many at a time,
///   and nothing that has not ended.
/// - **what is removed is gone**: with all that belongs to it, whatever its state, and nothing else; who holds it has lost it.
#[async_trait]
pub trait Runs: Send + Sync + 'static {
    /// Keeps a new run, which is due at once.
    ///
    /// Not cancel safe: a dropped future may or may not have created it; it may be created again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been created. [`StoreError::Refused`]: its arguments are too large.
    async fn create(&self, run: &NewRun) -> Result<(), StoreError>;

    /// Takes runs of `kind` that are due, at most `limit`, for `lease`.
    ///
    /// Not cancel safe: a dropped future may have claimed some, which nobody holds until that lease is over.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some may have been claimed, as above.
    async fn claim(&self, kind: &str, limit: u16, lease: Duration) -> Result<Claimed, StoreError>;

    /// Makes the leases of `held` end `lease` from now. For each, in their order: how many inputs its run has; nothing where it is lost.
    ///
    /// Not cancel safe: a dropped future may or may not have renewed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: each ends when it would have ended, or `lease` from now.
    async fn renew(&self, held: &[Hold], lease: Duration) -> Result<Vec<Option<u32>>, StoreError>;

    /// One run.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Refused`] where it was written by a version that this one does not know.
    async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<RunRecord>, StoreError>;

    /// The runs that satisfy `query`, at most `query.limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Runs::run`].
    async fn runs(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunRecord>, StoreError>;

    /// The ids of the runs that satisfy `query`, as [`Runs::runs`] has them: also of those that cannot be read.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn ids(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunId>, StoreError> {
        Ok(self.runs(tenant, query).await?.into_iter().map(|run| run.id).collect())
    }

    /// How many runs of `kind` a principal has that have not ended and that no run has begun: `most`, where there are as many or more.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Runs::run`].
    async fn open(&self, tenant: &Tenant, principal: &Principal, kind: &str, most: u16) -> Result<u16, StoreError>;

    /// The steps of a run whose numbers are `from` or greater, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Runs::run`].
    async fn steps(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<StepRecord>, StoreError>;

    /// Tells a run something. It is woken if it waits.
    ///
    /// Not cancel safe: a dropped future may or may not have posted it; it may be posted again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been posted. [`StoreError::Refused`]: it is too large, or the run has too many.
    async fn post(&self, tenant: &Tenant, run: RunId, input: &Input) -> Result<Posted, StoreError>;

    /// The inputs of a run in the order in which they were posted, without the first `from`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Runs::run`].
    async fn inputs(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<Input>, StoreError>;

    /// The runs of all tenants that have ended and are not to be kept, at most `limit`, for whoever removes them through the
    /// [`Ledger`](super::ledger::Ledger). It is for the house's own work.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Runs::run`].
    async fn overdue(&self, keep: Keep, limit: u16) -> Result<Vec<(Tenant, RunId)>, StoreError>;

    /// For how long that run of all tenants has been due and nobody has claimed it, which has been for longest; nothing, where none is
    /// due. It is for the house's own work.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Runs::run`].
    async fn longest_due(&self) -> Result<Option<Duration>, StoreError>;
}

/// How many bytes arguments, a step, an input or a result have at the most.
pub const LARGEST: usize = 1024 * 1024;

/// How many bytes the key of a step has at the most.
pub const LARGEST_KEY: usize = 1024;

/// How many inputs a run has at the most.
pub const MOST_INPUTS: u32 = 1_000;

id! {
    /// The id of a run: a UUID of version 7 (RFC 9562), so that newer ids are greater. It reads and writes as the usual text.
    RunId, BadRunId, "a run"
}

/// A run that is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Its id, which nobody else has; ids of one tenant sort by the time at which their runs were created.
    pub id: RunId,
    /// To whom it belongs.
    pub tenant: Tenant,
    /// For whom it is done.
    pub principal: Principal,
    /// Who can do it: those that claim this kind.
    pub kind: String,
    /// The run that has begun this one.
    pub parent: Option<RunId>,
    /// What is to be done, in words that its kind understands.
    pub arguments: Bytes,
    /// When it was created.
    pub at: Timestamp,
}

/// A run as it is at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// To whom it belongs.
    pub tenant: Tenant,
    /// For whom it is done.
    pub principal: Principal,
    /// Who can do it.
    pub kind: String,
    /// The run that has begun this one.
    pub parent: Option<RunId>,
    /// What is to be done.
    pub arguments: Bytes,
    /// When it was created.
    pub at: Timestamp,
    /// What becomes of it.
    pub state: RunState,
    /// How often it was claimed.
    pub epoch: u64,
    /// How often it was claimed since it last moved on.
    pub attempts: u32,
    /// The number of its next step, as it was when the run was last claimed.
    pub position: u32,
    /// How many inputs it has.
    pub inputs: u32,
    /// When it may be claimed: until then it waits, or somebody holds it. Nothing where it waits for an input alone, or has ended.
    pub due: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came of it, in words of its kind, or why it failed.
    pub result: Bytes,
}

impl RunRecord {
    /// The right that its last claim gave.
    pub fn hold(&self) -> Hold {
        Hold { tenant: self.tenant.clone(), run: self.id, epoch: self.epoch }
    }

    /// How its holder ends it.
    pub fn end(&self, ending: Ending, result: Bytes, at: Timestamp) -> Turn {
        Turn::End { run: Box::new(self.clone()), ending, result, at }
    }
}

impl From<NewRun> for RunRecord {
    /// As it is when it has just been created.
    fn from(run: NewRun) -> Self {
        let NewRun { id, tenant, principal, kind, parent, arguments, at } = run;
        Self {
            id,
            tenant,
            principal,
            kind,
            parent,
            arguments,
            at,
            state: RunState::Waiting,
            epoch: 0,
            attempts: 0,
            position: 0,
            inputs: 0,
            due: Some(at),
            ended: None,
            result: Bytes::new(),
        }
    }
}

/// What becomes of a run at the moment. It reads and writes as the word of [`RunState::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// Nobody holds it: it is new, or waits for a time or an input.
    Waiting,
    /// Somebody holds it, or has held it until they were gone.
    Running,
    /// It has ended as it should.
    Completed,
    /// It has ended otherwise; its result says why.
    Failed,
    /// It was to end, and has.
    Cancelled,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word by which it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of it.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl FromStr for RunState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(UnknownState)
    }
}

/// A word that names no [`RunState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of waiting, running, completed, failed, cancelled")]
pub struct UnknownState;

/// What a claim gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claimed {
    /// The runs that are now held.
    pub runs: Vec<RunRecord>,
    /// How long it is until another one is due, for all that is known now; nothing where none will be, or where as many as were
    /// asked for are here and it was not looked for.
    pub next: Option<Duration>,
}

/// The right to go on with a run, until its lease is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// To whom the run belongs.
    pub tenant: Tenant,
    /// Which run.
    pub run: RunId,
    /// Greater than those of all earlier holders.
    pub epoch: u64,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} under epoch {}", self.run, self.epoch)
    }
}

/// Which runs to show; what is `None` is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunQuery {
    /// Only this principal's.
    pub principal: Option<Principal>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only those in this state.
    pub state: Option<RunState>,
    /// Only those with a smaller id: where the page before ended.
    pub before: Option<RunId>,
    /// How many at the most.
    pub limit: u16,
}

impl Default for RunQuery {
    fn default() -> Self {
        Self { principal: None, kind: None, state: None, before: None, limit: 100 }
    }
}

impl RunQuery {
    /// Whether `run` of the right tenant is one of those asked for.
    pub fn matches(&self, run: &RunRecord) -> bool {
        self.principal.as_ref().is_none_or(|principal| *principal == run.principal)
            && self.kind.as_ref().is_none_or(|kind| *kind == run.kind)
            && self.state.is_none_or(|state| state == run.state)
            && self.before.is_none_or(|before| run.id < before)
    }
}

/// Refuses what is too large, in the name of the store of runs.
///
/// # Errors
/// [`StoreError::Refused`].
pub fn check_size(body: &[u8]) -> Result<(), StoreError> {
    if body.len() <= LARGEST { Ok(()) } else { too_large() }
}

pub(super) fn too_large() -> Result<(), StoreError> {
    Err(StoreError::Refused { store: STORE, source: None })
}

/// What errors of a store of runs call it.
pub const STORE: &str = "store of runs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_word_everywhere() {
        for state in RunState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
