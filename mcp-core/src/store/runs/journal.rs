//! What a run goes through: its steps, its turns, its inputs.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RunRecord, RunState};
use crate::caller::Principal;
use crate::clock::Timestamp;
use crate::store::id::id;

/// One step of a run: what is new since the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its place in the journal. Numbers grow; some may be missing.
    pub number: u32,
    /// What it tells.
    pub kind: StepKind,
    /// What it is about: a name that the run has given to it.
    pub key: String,
    /// What is told, in words of its kind.
    pub body: Bytes,
    /// When it was recorded, by the clock of whoever did.
    pub at: Timestamp,
}

/// A step of a run as it is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// Under which epoch it was written: a greater one than that of the step before tells that the run was taken up again between them.
    pub epoch: u64,
    /// The step.
    pub step: Step,
}

/// What a step tells. It reads and writes as the word of [`StepKind::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// Something is about to be done.
    Decided,
    /// It was done, and this came of it.
    Done,
    /// It was tried, and this is why it failed.
    Failed,
    /// Something is worth knowing.
    Noted,
}

impl StepKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Decided, Self::Done, Self::Failed, Self::Noted];

    /// The word by which it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Noted => "noted",
        }
    }
}

impl FromStr for StepKind {
    type Err = UnknownStep;

    fn from_str(word: &str) -> Result<Self, UnknownStep> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(UnknownStep)
    }
}

/// A word that names no [`StepKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of decided, done, failed, noted")]
pub struct UnknownStep;

/// How a holder lets a run go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Turn {
    /// It waits for an input, or until its time is over, where it has one.
    Wait {
        /// How many inputs its holder has seen.
        seen: u32,
        /// How long it waits at the most.
        time: Option<Duration>,
    },
    /// It did not get on, and is tried again.
    Retry {
        /// When.
        after: Duration,
    },
    /// Another may go on with it at once.
    Release,
    /// It has ended.
    End {
        /// The run, as its holder has claimed it.
        run: Box<RunRecord>,
        /// How.
        ending: Ending,
        /// What came of it, or why it failed.
        result: Bytes,
        /// When, by the clock of its holder.
        at: Timestamp,
    },
}

impl Turn {
    /// The run as it is from then on, where it has ended.
    pub fn ended(&self) -> Option<RunRecord> {
        let Self::End { run, ending, result, at } = self else { return None };
        let run = (**run).clone();
        let (state, result) = ((*ending).into(), result.clone());
        Some(RunRecord { state, due: None, ended: Some(*at), result, ..run })
    }

    /// What becomes of the run.
    pub fn state(&self) -> RunState {
        match self {
            Self::End { ending, .. } => (*ending).into(),
            Self::Wait { .. } | Self::Retry { .. } | Self::Release => RunState::Waiting,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Completed,
    /// Otherwise; the result says why.
    Failed,
    /// It was to end.
    Cancelled,
}

impl From<Ending> for RunState {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Completed => Self::Completed,
            Ending::Failed => Self::Failed,
            Ending::Cancelled => Self::Cancelled,
        }
    }
}

/// What a run is told while it is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its id, which no other input of the run has.
    pub id: InputId,
    /// Who tells it.
    pub principal: Principal,
    /// What it is for.
    pub kind: InputKind,
    /// What is told, in words that the run's kind understands.
    pub body: Bytes,
    /// When it was posted.
    pub at: Timestamp,
}

id! {
    /// The id of an input: any UUID that no other input of its run has. It reads and writes as the usual text.
    InputId, BadInputId, "an input"
}

/// What an input is for. It reads and writes as the word of [`InputKind::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputKind {
    /// An answer, or news, for the run.
    Message,
    /// The run is to end.
    Cancel,
}

impl InputKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Message, Self::Cancel];

    /// The word by which it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Cancel => "cancel",
        }
    }
}

impl FromStr for InputKind {
    type Err = UnknownInput;

    fn from_str(word: &str) -> Result<Self, UnknownInput> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(UnknownInput)
    }
}

/// A word that names no [`InputKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected message or cancel")]
pub struct UnknownInput;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is kept, and the run will see it.
    Kept,
    /// The run has ended.
    Ended,
    /// There is no such run.
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_word_everywhere() {
        for kind in StepKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for kind in InputKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
