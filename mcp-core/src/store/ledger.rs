//! The one door through which calls are written.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::audit::{Head, Removal};
use super::id::id;
use super::idempotency::{CallKey, Digest};
use super::runs::{self, Hold, Step, Turn};
use super::stats::ModelUse;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Writes what must be written together. What it has written is read through [`History`](super::history::History) and
/// [`Runs`](super::runs::Runs).
///
/// # Promises
/// - **committed entries are read back**: once the future is `Ok`, every entry is durable and readable, to the last byte.
/// - **entries are taken at once**: they are in the queue when `commit` returns, before the future is polled; dropping
///   the future does not take them back.
/// - **all or none**: the entries of one commit become readable together.
/// - **an empty commit waits for all before it**: it is how to flush.
/// - **the same id twice is one entry**: a commit whose answer was lost can be made again; the first entry stays. An id is a
///   tenant's own: that of another tenant is another one.
/// - **a ledger that keeps up admits**: work may begin when all that was committed is written.
pub trait Ledger: Send + Sync + 'static {
    /// Commits `entries`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when far too much waits or the database is gone; [`StoreError::Refused`] when an entry cannot
    /// be stored; [`StoreError::Conflict`] when what an entry stands on is another's by now. In each case it is as if the commit
    /// had not been made, unless the database died while it answered.
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Whether work may begin that ends in a commit. It is asked before each call, so that a call whose record could not be
    /// kept is not made; one that was admitted is committed even where the ledger has filled up meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when too much waits to be written, or the database was gone when it was last needed.
    fn admit(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What can be committed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// A call that has ended.
    Call(CallRecord),
    /// Records that are taken away for good.
    Removal(Removal),
    /// How far chains have come; for [`Audit::anchor`](super::audit::Audit::anchor).
    Anchor(Vec<Head>),
    /// The last link of what is removed of a chain, and its removal; for [`Audit::trim`](super::audit::Audit::trim).
    Checkpoint(Head),
    /// A call with a key was answered: at most one in a commit, together with its record, and with no entry of a run.
    Answer(Answer),
    /// A step of a run. It is a [`StoreError::Conflict`] if somebody else holds the run, or nobody.
    Step {
        /// By which right.
        hold: Hold,
        /// What is written.
        step: Step,
    },
    /// What a model took for a step of a run: it stands before that step in the same commit, is counted where the step is new, and is
    /// no record of its own.
    Used {
        /// By which right the step is written.
        hold: Hold,
        /// The number of the step.
        number: u32,
        /// What it took.
        used: ModelUse,
    },
    /// A run is let go, or ends; a conflict as a step is.
    Turn {
        /// By which right.
        hold: Hold,
        /// How it goes on.
        turn: Turn,
    },
}

impl Entry {
    /// Refuses what no ledger takes, since it is too large: for whoever implements one.
    ///
    /// # Errors
    /// [`StoreError::Refused`].
    pub fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Step { step, .. } if step.key.len() > runs::LARGEST_KEY => runs::too_large(),
            Self::Step { step: Step { body, .. }, .. } | Self::Turn { turn: Turn::End { result: body, .. }, .. } => {
                runs::check_size(body)
            }
            _ => Ok(()),
        }
    }
}

/// That what was sent under a key is answered by the record of a call. It is a conflict where the call has lost the key meanwhile
/// ([`Idempotency`](super::idempotency::Idempotency)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The key that the call has claimed.
    pub key: CallKey,
    /// Of its arguments, as it has claimed the key.
    pub arguments: Digest,
    /// The call.
    pub call: CallId,
}

/// A call of a tool as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// Its id; ids of one tenant sort by the time at which their calls began: the milliseconds in it are those of `at`, or up to
    /// [`CallId::AHEAD`] later.
    pub id: CallId,
    /// The call in which it was made, if a tool made it.
    pub parent: Option<CallId>,
    /// To whom it belongs.
    pub tenant: Tenant,
    /// Who called.
    pub principal: Principal,
    /// Where they called from, as far as that is known.
    pub address: Option<IpAddr>,
    /// The tool's name.
    pub tool: String,
    /// The arguments as they came, byte for byte.
    pub arguments: Bytes,
    /// How it ended.
    pub outcome: Outcome,
    /// The result object as JSON, as the client was shown it; that of an error has `isError`.
    pub result: Bytes,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, to the microsecond.
    pub duration: Duration,
    /// How much of that it waited, to the microsecond: to be let in, to be tried again, or for answers of its client.
    pub waited: Duration,
}

/// How a call ended. It reads and writes as the word of [`Outcome::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// With a result.
    Ok,
    /// The tool said that it failed (`isError`).
    Error,
    /// The arguments were refused.
    Invalid,
    /// It took longer than it may.
    TimedOut,
    /// It ended with questions, to be sent again with answers.
    InputRequired,
    /// The client left, or the server stopped.
    Cancelled,
    /// Something broke inside; the log has the cause under the call's id.
    Internal,
    /// An earlier call with the same key was begun, and nobody knows what it has done.
    OutcomeUnknown,
    /// A limit stood in the way, and the tool was not called.
    Limited,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Error,
        Self::Invalid,
        Self::TimedOut,
        Self::InputRequired,
        Self::Cancelled,
        Self::Internal,
        Self::OutcomeUnknown,
        Self::Limited,
    ];

    /// The word by which it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Invalid => "invalid",
            Self::TimedOut => "timed_out",
            Self::InputRequired => "input_required",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Limited => "limited",
        }
    }

    /// Whether whoever called did not get what they called for, and neither asked for that nor is to go on: all but a result, questions,
    /// and that the client has left.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::InputRequired | Self::Cancelled)
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(word: &str) -> Result<Self, UnknownOutcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or(UnknownOutcome)
    }
}

/// A word that names no [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of ok, error, invalid, timed_out, input_required, cancelled, internal, outcome_unknown, limited")]
pub struct UnknownOutcome;

id! {
    /// The id of a call: a UUID of version 7 (RFC 9562), so that newer ids are greater. It reads and writes as the usual text.
    CallId, BadCallId, "a call"
}

impl CallId {
    /// How much later than the beginning of its call the time in an id may be: a clock that is set back by less does not set ids
    /// back.
    pub const AHEAD: Duration = Duration::from_secs(10);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_has_one_word_everywhere() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
    }

    #[test]
    fn an_id_reads_as_it_is_written_and_nothing_else_does() {
        let id = CallId::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_00ff);
        let text = "\"0198c0de-0000-7000-8000-0000000000ff\"";
        assert_eq!(serde_json::to_string(&id).unwrap(), text);
        assert_eq!(serde_json::from_str::<CallId>(text).unwrap(), id);
        for bad in [
            "",
            "0198c0de00007000800000000000ff",
            "+198c0de-0000-7000-8000-0000000000ff",
            "0198c0de-0000-7000-8000-0000000000fg",
        ] {
            assert_eq!(bad.parse::<CallId>(), Err(BadCallId), "{bad:?}");
        }
    }
}
