//! What an agent decides.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::as_tool::Given;
use super::budget::Budget;
use super::error::AgentError;
use crate::ask::form;
use crate::tool::arguments::Arguments;

/// With what the names of the tools begin that stand for agents.
pub(crate) const AGENT: &str = "agent.";

/// What is to be done next. It is recorded before it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Tools are called, for the caller of the run and with no more than they may: all of them side by side.
    Call(Vec<ToolCall>),
    /// Other agents do something, each in a run of its own: side by side, until so much has come of it.
    Delegate(Vec<Delegation>, Until),
    /// The agent of this name decides from now on, and finds all that has come of the run so far.
    HandOff(String),
    /// Whoever started the run is asked something, and the run waits for the answer, for days and at no cost.
    Ask(Inquiry),
    /// The run ends, and this came of it, as JSON.
    Done(Box<RawValue>),
}

/// A call of a tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolCall {
    /// By what the agent knows it again; where it is a model that decides, that is the model's id of the call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The tool's name.
    pub tool: String,
    /// A JSON object.
    pub arguments: Box<RawValue>,
    /// Why it is not made, where it is not: then this is what has come of it, as an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Something that is left to another agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delegation {
    /// The agent's name.
    pub agent: String,
    /// What it is to do, as JSON.
    pub input: Box<RawValue>,
    /// What it may use at the most; in any case no more than is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// For what a step that leaves something to others waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Until {
    /// All have ended.
    #[default]
    All,
    /// All have ended well, or one has not: then the others are ended.
    OneFails,
    /// One has ended well, and the others are ended; or none has.
    OneSucceeds,
}

/// A question to whoever started a run: a message, and a form for the answer (schema, `ElicitRequestFormParams`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inquiry {
    /// What is asked.
    pub message: String,
    /// The fields of the answer.
    pub schema: Map<String, Value>,
}

impl Step {
    /// One call.
    pub fn call(call: ToolCall) -> Self {
        Self::Call(vec![call])
    }

    /// Leaves everything to one other agent.
    pub fn delegate(delegation: Delegation) -> Self {
        Self::Delegate(vec![delegation], Until::All)
    }

    /// Ends the run, and this came of it.
    ///
    /// # Errors
    /// [`AgentError::Failed`] where it does not become JSON.
    pub fn done(output: impl Serialize) -> Result<Self, AgentError> {
        Ok(Self::Done(raw(&output)?))
    }
}

impl ToolCall {
    /// A call of `tool`.
    ///
    /// # Errors
    /// [`AgentError::Failed`] where the arguments do not become a JSON object.
    pub fn new(tool: impl Into<String>, arguments: impl Serialize) -> Result<Self, AgentError> {
        let arguments = raw(&arguments)?;
        if !arguments.get().starts_with('{') {
            return Err(AgentError::failed("the arguments of a tool are a JSON object"));
        }
        Ok(Self { id: String::new(), tool: tool.into(), arguments, refused: None })
    }

    /// The same under an id of the agent's own.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// What is left to an agent, where this is the tool that stands for one; an error, where its arguments are not those of such a tool.
    pub(crate) fn delegated(&self) -> Option<Result<Delegation, String>> {
        let agent = self.tool.strip_prefix(AGENT)?;
        let given = serde_json::from_str::<Given>(self.arguments.get());
        Some(match given {
            Ok(Given { input }) => Ok(Delegation { agent: agent.to_owned(), input, budget: None }),
            Err(error) => Err(format!("an agent is given {{\"input\": …}}: {error}")),
        })
    }

    /// What the tool is given.
    ///
    /// # Errors
    /// They are no JSON object.
    pub(crate) fn checked(&self) -> Result<Arguments, crate::tool::error::ToolError> {
        Arguments::from_json(self.arguments.get().to_owned())
    }
}

impl Delegation {
    /// Leaves `input` to `agent`.
    ///
    /// # Errors
    /// [`AgentError::Failed`] where the input does not become JSON.
    pub fn new(agent: impl Into<String>, input: impl Serialize) -> Result<Self, AgentError> {
        Ok(Self { agent: agent.into(), input: raw(&input)?, budget: None })
    }

    /// With no more than this budget.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }
}

impl Inquiry {
    /// A form with a field for each of `A`'s, as [`Question::form`](crate::Question::form) makes one. What is answered,
    /// [`Transcript::answer`](super::Transcript::answer) reads.
    ///
    /// # Errors
    /// [`AgentError::Failed`] where `A` is no form.
    pub fn form<A: schemars::JsonSchema>(message: impl Into<String>) -> Result<Self, AgentError> {
        Ok(Self { message: message.into(), schema: form::of::<A>().map_err(AgentError::Failed)? })
    }

    /// The request of the protocol.
    pub(crate) fn request(&self) -> Value {
        json!({"method": "elicitation/create", "params": form::params(&self.message, &self.schema)})
    }
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, AgentError> {
    to_raw_value(value).map_err(|error| AgentError::failed(format!("it does not become JSON: {error}")))
}
