//! What a task records: how each round of its call ended, and what it was answered.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::ask::InputRequired;
use crate::protocol::errors::RpcError;
use crate::run::RunError;
use crate::run::call::Ended;

/// How one round ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Round {
    /// With the result of the call.
    Output(Box<RawValue>),
    /// With an error of the protocol.
    Error(Value),
    /// With questions.
    Asked(Asked),
}

/// The questions of a round.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    /// By the names under which the client is asked.
    pub(super) questions: BTreeMap<String, Question>,
    /// What is known in the next round.
    pub(super) state: Box<RawValue>,
}

/// A question of a task.
#[derive(Serialize, Deserialize)]
pub(super) struct Question {
    /// The tool's key for it.
    pub(super) key: String,
    /// The request of the protocol.
    pub(super) request: Value,
}

impl Round {
    /// How a round ended. No name of a question is used twice in a task: what is asked again under the same key has another one.
    pub(super) fn of(ended: Ended, used: &BTreeSet<String>) -> Result<Self, RunError> {
        Ok(match ended {
            Ended::Output(output) => Self::Output(serde_json::from_slice(&output.to_json())?),
            Ended::Refused(error) => Self::error(&error),
            Ended::Asked(required) => Self::asked(&required, used)?,
        })
    }

    fn asked(required: &InputRequired, used: &BTreeSet<String>) -> Result<Self, serde_json::Error> {
        let requests: BTreeMap<String, Value> = serde_json::from_str(&required.requests)?;
        let mut questions = BTreeMap::new();
        for (key, request) in requests {
            let others = (2_u32..).map(|n| format!("{key}.{n}"));
            let mut names = std::iter::once(key.clone()).chain(others);
            let is_free = |name: &String| !used.contains(name) && !questions.contains_key(name);
            if let Some(name) = names.find(is_free) {
                questions.insert(name, Question { key, request });
            }
        }
        Ok(Self::Asked(Asked { questions, state: RawValue::from_string(required.state.clone())? }))
    }

    /// Ends with an error.
    fn error(error: &RpcError) -> Self {
        let mut told = json!({"code": error.code, "message": error.message});
        if let Some(data) = &error.data {
            told["data"] = data.clone();
        }
        Self::Error(told)
    }
}

/// What a client has answered, as the run is told it.
#[derive(Serialize, Deserialize)]
pub(super) struct Answers {
    /// By the names of the questions.
    answers: BTreeMap<String, Value>,
}

impl Answers {
    pub(super) fn write(answers: BTreeMap<String, Value>) -> Result<Bytes, serde_json::Error> {
        Ok(serde_json::to_vec(&Self { answers })?.into())
    }

    /// What a run was told; nothing, where that is something else.
    pub(super) fn read(input: &[u8]) -> BTreeMap<String, Value> {
        serde_json::from_slice(input).map(|Self { answers }| answers).unwrap_or_default()
    }
}
