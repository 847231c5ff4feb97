//! What is told of a run while it is under way.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::budget::Spent;
use crate::clock::Timestamp;
use crate::store::runs::{RunId, RunState};

/// Something that has happened in a run, as its journal tells it: told at any time and on any replica, it is the same.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RunEvent {
    /// Where it stands among the events of its run.
    #[schemars(with = "String")]
    pub id: Cursor,
    /// When it was recorded.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// How often the run had been taken up by then: more often than at the event before, where it waited between them or was
    /// interrupted.
    pub epoch: u64,
    /// What has happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// What has happened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "event")]
#[non_exhaustive]
pub enum Happened {
    /// The run was begun.
    #[serde(rename = "run.started")]
    Started {
        /// Of which kind it is.
        kind: String,
        /// Who decides first, where agents do.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// An agent has decided what is done next. What that is, the events behind it tell.
    #[serde(rename = "step")]
    Step {
        /// By this name the journal has it.
        step: String,
        /// Who decided.
        agent: String,
        /// What.
        decided: Decided,
        /// What it took to decide, and to do what was decided before.
        spent: Spent,
    },
    /// A tool is called, or something is left to an agent as to a tool of the name `agent.NAME`.
    #[serde(rename = "tool.started")]
    ToolStarted {
        /// By this name the journal has it.
        call: String,
        /// The tool.
        tool: String,
        /// What it is given.
        #[schemars(with = "Value")]
        arguments: Box<RawValue>,
        /// The run in which an agent does it, once that is begun.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        run: Option<RunId>,
    },
    /// That has ended.
    #[serde(rename = "tool.ended")]
    ToolEnded {
        /// By this name the journal has it.
        call: String,
        /// The tool.
        tool: String,
        /// What came of it (schema, `CallToolResult`); absent where that is not on record: it was not called, since it is not there or the
        /// arguments did not fit, or nobody knows what it said.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<Value>")]
        result: Option<Box<RawValue>>,
    },
    /// Whoever started the run is asked something.
    #[serde(rename = "question")]
    Question {
        /// Under this name it is answered.
        name: String,
        /// A request of the protocol (schema, `ElicitRequest`).
        request: Value,
    },
    /// Another agent decides from here on.
    #[serde(rename = "handoff")]
    HandOff {
        /// Who did until now.
        from: String,
        /// Who does now.
        to: String,
    },
    /// The run has ended, and so have its events.
    #[serde(rename = "run.ended")]
    Ended {
        /// How.
        state: RunState,
        /// What came of it, or why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<Value>")]
        result: Option<Box<RawValue>>,
    },
}

/// What an agent has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decided {
    /// Tools are called.
    Call,
    /// Something is left to other agents.
    Delegate,
    /// Another agent decides from here on.
    HandOff,
    /// Whoever started the run is asked.
    Ask,
    /// The run ends.
    Done,
}

impl Happened {
    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "run.started",
            Self::Step { .. } => "step",
            Self::ToolStarted { .. } => "tool.started",
            Self::ToolEnded { .. } => "tool.ended",
            Self::Question { .. } => "question",
            Self::HandOff { .. } => "handoff",
            Self::Ended { .. } => "run.ended",
        }
    }
}

/// A place among the events of a run, from which a reader goes on, at any replica: later events have greater ones. It reads and writes as
/// text: `start`, the number of a step of the journal and which of its events it is, such as `17` or `17.2`, or `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(Place);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Start,
    Step(u32, u32),
    End,
}

impl Cursor {
    pub(super) const START: Self = Self(Place::Start);
    pub(super) const END: Self = Self(Place::End);

    /// The event with the number `part` of those that the step with this number tells.
    pub(super) const fn of(step: u32, part: u32) -> Self {
        Self(Place::Step(step, part))
    }

    /// Whether no event comes behind it.
    pub fn is_end(self) -> bool {
        self == Self::END
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Start => f.write_str("start"),
            Place::Step(step, 0) => write!(f, "{step}"),
            Place::Step(step, part) => write!(f, "{step}.{part}"),
            Place::End => f.write_str("end"),
        }
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().map_err(|_| BadCursor),
            false => Err(BadCursor),
        };
        Ok(Self(match (text, text.split_once('.')) {
            ("start", _) => Place::Start,
            ("end", _) => Place::End,
            (_, Some((step, part))) => Place::Step(number(step)?, number(part)?),
            (step, None) => Place::Step(number(step)?, 0),
        }))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no id of an event of a run; leave it out to begin at the first")]
pub struct BadCursor;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_order_and_read_as_they_are_written() {
        let places =
            [Cursor::START, Cursor::of(0, 0), Cursor::of(0, 1), Cursor::of(9, 10), Cursor::of(10, 9), Cursor::END];
        assert!(places.is_sorted_by(|one, next| one < next));
        for place in places {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        assert_eq!(Cursor::of(17, 0).to_string(), "17");
        for bad in ["", "x", "-1", "+1", "1.", ".1", "1.2.3", "1.x", "99999999999", "END"] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
    }

    #[test]
    fn an_event_has_one_name_everywhere() {
        let raw = || serde_json::value::to_raw_value(&1).unwrap();
        for what in [
            Happened::Started { kind: "agent".to_owned(), agent: None },
            Happened::Question { name: "turn.0".to_owned(), request: Value::Null },
            Happened::HandOff { from: "a".to_owned(), to: "b".to_owned() },
            Happened::Ended { state: RunState::Completed, result: Some(raw()) },
            Happened::ToolStarted { call: String::new(), tool: String::new(), arguments: raw(), run: None },
            Happened::ToolEnded { call: String::new(), tool: String::new(), result: None },
            Happened::Step {
                step: String::new(),
                agent: String::new(),
                decided: Decided::Ask,
                spent: Spent::default(),
            },
        ] {
            let name = what.name();
            let event = RunEvent { id: Cursor::of(1, 2), at: Timestamp::default(), epoch: 3, what };
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(
                (&json["event"], &json["id"], &json["epoch"]),
                (&name.into(), &"1.2".into(), &3.into()),
                "{json}"
            );
        }
    }
}
