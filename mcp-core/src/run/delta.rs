//! What a language model says for a run while it says it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// More of what a language model says for a step that is not decided. It is a preview: nothing of it is recorded, pieces can be missing, and
/// what comes of the step is told behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "model.delta")]
#[non_exhaustive]
pub struct ModelDelta {
    /// By this name the journal will have the step.
    pub step: String,
    /// The agent that decides.
    pub agent: String,
    /// Which time a model is asked. Where it is another one than before, the step is decided anew: what was heard of the step before counts no
    /// more.
    pub attempt: Attempt,
    /// How many characters (Unicode scalar values) of text the model has said before, in this attempt.
    pub from: u64,
    /// What it adds to them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// It begins to write a call of this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

impl ModelDelta {
    /// How many bytes of text are in one at the most.
    pub(crate) const LARGEST: usize = 1024;

    /// Adds what `more` adds, where that goes on with this and there is room for it.
    pub(super) fn join(&mut self, more: &Self) -> bool {
        let fits = self.tool.is_none()
            && more.tool.is_none()
            && self.attempt == more.attempt
            && self.end() == more.from
            && self.text.len() + more.text.len() <= Self::LARGEST;
        if fits {
            self.text.push_str(&more.text);
        }
        fits
    }

    fn end(&self) -> u64 {
        self.from + self.text.chars().count() as u64
    }
}

/// Which time a model is asked for a run: later ones are greater, also those of another process that goes on with it. It reads and writes as
/// text, such as `2.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Of whoever holds the run.
    epoch: u64,
    /// Which one of theirs.
    number: u32,
}

impl Attempt {
    pub(super) const fn of(epoch: u64, number: u32) -> Self {
        Self { epoch, number }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

impl FromStr for Attempt {
    type Err = BadAttempt;

    fn from_str(text: &str) -> Result<Self, BadAttempt> {
        let (epoch, number) = text.split_once('.').ok_or(BadAttempt)?;
        Ok(Self { epoch: epoch.parse().map_err(|_| BadAttempt)?, number: number.parse().map_err(|_| BadAttempt)? })
    }
}

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Attempt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is no [`Attempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected two numbers, such as 2.0")]
pub struct BadAttempt;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delta(attempt: Attempt, from: u64, text: &str) -> ModelDelta {
        let (step, agent) = ("turn.0".to_owned(), "writer".to_owned());
        ModelDelta { step, agent, attempt, from, text: text.to_owned(), tool: None }
    }

    #[test]
    fn it_is_written_as_an_event_and_read_again() {
        let one = Attempt::of(2, 0);
        let tool = ModelDelta { tool: Some("add".to_owned()), ..delta(one, 5, "") };
        for (said, json) in [
            (delta(one, 0, "Hi"), json!({"attempt": "2.0", "from": 0, "text": "Hi"})),
            (tool, json!({"attempt": "2.0", "from": 5, "tool": "add"})),
        ] {
            let mut whole = json!({"event": "model.delta", "step": "turn.0", "agent": "writer"});
            whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
            assert_eq!(serde_json::to_value(&said).unwrap(), whole);
            assert_eq!(serde_json::from_value::<ModelDelta>(whole).unwrap(), said);
        }
        assert!(Attempt::of(9, 9) < Attempt::of(10, 0) && Attempt::of(10, 0) < Attempt::of(10, 1));
        for bad in ["", "1", "1.", ".1", "a.b", "1.2.3"] {
            assert_eq!(bad.parse::<Attempt>(), Err(BadAttempt), "{bad}");
        }
    }

    #[test]
    fn what_goes_on_is_joined_and_nothing_else() {
        let (one, other) = (Attempt::of(1, 0), Attempt::of(1, 1));
        let mut said = delta(one, 3, "größ");
        for (more, joins) in [
            (delta(other, 7, "er"), false),
            (delta(one, 8, "er"), false),
            (delta(one, 7, &"e".repeat(ModelDelta::LARGEST)), false),
            (ModelDelta { tool: Some("add".to_owned()), ..delta(one, 7, "") }, false),
            (delta(one, 7, "er"), true),
        ] {
            assert_eq!(said.join(&more), joins, "{more:?}");
        }
        assert_eq!(said, delta(one, 3, "größer"));
    }
}
