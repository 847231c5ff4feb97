//! What has come of a run so far.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::budget::{Limit, Spent};
use super::error::AgentError;
use super::step::{Delegation, Inquiry, ToolCall};
use super::thread::Said;
use crate::store::runs::RunId;
use crate::tool::output::ToolOutput;

/// What has come of a run so far: what it is to do, and its turns, each with what came of it. It is the same after a crash, on any
/// replica.
#[derive(Debug)]
pub struct Transcript {
    input: Box<RawValue>,
    said: Vec<Said>,
    turns: Vec<Turn>,
    spent: Spent,
}

/// What an agent decided, and what came of that.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Who decided.
    pub(crate) agent: Arc<str>,
    /// What it keeps for itself.
    pub(crate) kept: Option<Box<RawValue>>,
    pub(crate) performed: Performed,
}

/// A step, and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Performed {
    /// Tools were called, in this order; that of a call that failed is an output with `isError`.
    Called(Vec<(ToolCall, ToolOutput)>),
    /// Other agents did something, in this order.
    Delegated(Vec<(Delegation, Delegated)>),
    /// The agent of this name decides from here on.
    HandedOff(Arc<str>),
    /// A question was answered, with an `ElicitResult` of the protocol's schema.
    Asked(Inquiry, Value),
}

/// What came of a delegation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delegated {
    /// The run in which it was done, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What came of it, as JSON, or why nothing did.
    pub result: Result<Box<RawValue>, String>,
    /// Which of its limits it has used up, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// What it has used.
    #[serde(default)]
    pub spent: Spent,
}

impl Transcript {
    pub(crate) fn begin(input: Box<RawValue>) -> Self {
        Self { input, said: Vec::new(), turns: Vec::new(), spent: Spent::default() }
    }

    pub(super) fn hear(&mut self, said: Vec<Said>) {
        self.said = said;
    }

    pub(crate) fn push(&mut self, turn: Turn) {
        self.turns.push(turn);
    }

    pub(crate) fn spend(&mut self, spent: Spent) {
        self.spent = self.spent.and(spent);
    }

    /// What the run is to do, as JSON.
    pub fn input(&self) -> &RawValue {
        &self.input
    }

    /// What the run is to do, as this type.
    ///
    /// # Errors
    /// [`AgentError::Failed`], which ends the run: it is something else.
    pub fn input_as<T: DeserializeOwned>(&self) -> Result<T, AgentError> {
        let read = serde_json::from_str(self.input.get());
        read.map_err(|error| AgentError::failed(format!("this agent cannot read its input: {error}")))
    }

    /// What the run is to do, as words: a JSON string without its quotes, and anything else as JSON.
    pub fn input_text(&self) -> String {
        text(&self.input)
    }

    /// What was said before in the thread of the run, the newest last: no more than 100 messages, and 128 KiB of them. Nothing, where it is in
    /// none.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// The turns so far, the first one first.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The last turn.
    pub fn last(&self) -> Option<&Turn> {
        self.turns.last()
    }

    /// The output of the last call of a tool, where that was the last turn.
    pub fn last_output(&self) -> Option<&ToolOutput> {
        match &self.last()?.performed {
            Performed::Called(calls) => calls.last().map(|(_, output)| output),
            _ => None,
        }
    }

    /// What came of the last delegation, where that was the last turn.
    pub fn last_delegated(&self) -> Option<&Delegated> {
        match &self.last()?.performed {
            Performed::Delegated(delegations) => delegations.last().map(|(_, delegated)| delegated),
            _ => None,
        }
    }

    /// All that was left to others, in the order in which it was, with what came of it.
    pub fn delegated(&self) -> impl Iterator<Item = (&Delegation, &Delegated)> {
        let delegations = self.turns.iter().filter_map(|turn| match &turn.performed {
            Performed::Delegated(delegations) => Some(delegations),
            _ => None,
        });
        delegations.flatten().map(|(delegation, delegated)| (delegation, delegated))
    }

    /// The answer to the question of the last turn, as this type; nothing where it was declined, and nothing was asked.
    ///
    /// # Errors
    /// [`AgentError::Failed`]: it is something else.
    pub fn answer<A: DeserializeOwned>(&self) -> Result<Option<A>, AgentError> {
        let Some(Performed::Asked(_, answer)) = self.last().map(|turn| &turn.performed) else { return Ok(None) };
        if answer["action"] != "accept" {
            return Ok(None);
        }
        let read = serde_json::from_value(answer["content"].clone());
        read.map(Some).map_err(|error| AgentError::failed(format!("the answer cannot be read: {error}")))
    }

    /// What the run has used so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }
}

impl Turn {
    /// The name of who decided.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// What it decided, and what came of that.
    pub fn performed(&self) -> &Performed {
        &self.performed
    }

    /// What the tools gave that were called, in the order of the calls; none, where something else was done.
    pub fn outputs(&self) -> impl Iterator<Item = &ToolOutput> {
        let calls = match &self.performed {
            Performed::Called(calls) => &calls[..],
            _ => &[],
        };
        calls.iter().map(|(_, output)| output)
    }

    /// What the agent [kept](super::AgentContext::keep) when it decided, as this type.
    ///
    /// # Errors
    /// [`AgentError::Failed`]: it kept something else.
    pub fn kept<T: DeserializeOwned>(&self) -> Result<Option<T>, AgentError> {
        let read = self.kept.as_ref().map(|kept| serde_json::from_str(kept.get())).transpose();
        read.map_err(|error| AgentError::failed(format!("what was kept cannot be read: {error}")))
    }
}

impl Delegated {
    /// What came of it, as words, or why nothing did.
    pub fn text(&self) -> String {
        match &self.result {
            Ok(output) => text(output),
            Err(why) => why.clone(),
        }
    }

    /// The same as a tool gives it.
    pub(crate) fn output(&self) -> ToolOutput {
        let text = || ToolOutput::text(self.text());
        match &self.result {
            Ok(output) if output.get().starts_with('{') => ToolOutput::structured(output).unwrap_or_else(|_| text()),
            Ok(_) => text(),
            Err(_) => text().as_error(),
        }
    }
}

/// A JSON string without its quotes, and anything else as JSON.
pub(super) fn text(json: &RawValue) -> String {
    serde_json::from_str::<String>(json.get()).unwrap_or_else(|_| json.get().to_owned())
}
