//! How a run of an agent ends.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::budget::{Budget, Limit, Spent};
use super::transcript::{Delegated, Performed, Transcript};
use crate::run::RunError;
use crate::store::runs::{RunRecord, RunState};

/// What a run that has ended well gives.
#[derive(Serialize, Deserialize)]
pub(super) struct Output {
    pub(super) output: Box<RawValue>,
    pub(super) spent: Spent,
}

/// What a run that has ended otherwise says.
#[derive(Deserialize)]
struct Failure {
    error: String,
    #[serde(default)]
    limit: Option<Limit>,
    #[serde(default)]
    spent: Spent,
}

impl Output {
    pub(super) fn of(output: Box<RawValue>, spent: Spent) -> Result<Bytes, RunError> {
        Ok(serde_json::to_vec(&Self { output, spent })?.into())
    }
}

/// Ends a run that has used up its budget, with what has come of it so far.
pub(super) fn exhausted(limit: Limit, budget: Budget, transcript: &Transcript) -> RunError {
    let most = match limit {
        Limit::Steps => format!("{} steps", budget.steps.unwrap_or_default()),
        Limit::Calls => format!("{} calls of tools", budget.calls.unwrap_or_default()),
        Limit::Tokens => format!("{} tokens", budget.tokens.unwrap_or_default()),
        Limit::Money => format!("{}", budget.money.unwrap_or_default()),
        Limit::Time => format!("{:?}", budget.time.unwrap_or_default()),
        Limit::Depth => format!("{} agents inside of one another", budget.depth.unwrap_or_default()),
    };
    let told = json!({
        "error": format!("the run has used up its {limit}: it may use {most}"),
        "code": "budget",
        "limit": limit,
        "partial": partial(transcript),
        "spent": transcript.spent(),
    });
    RunError::FailedAs(told.to_string().into())
}

/// What came of the last turn.
fn partial(transcript: &Transcript) -> Value {
    let json = |raw: &[u8]| -> Value { serde_json::from_slice(raw).unwrap_or_default() };
    match transcript.last().map(|turn| &turn.performed) {
        Some(Performed::Called(calls)) => calls.iter().map(|(_, output)| json(&output.to_json())).collect(),
        Some(Performed::Delegated(delegations)) => {
            delegations.iter().map(|(_, delegated)| Value::from(delegated.text())).collect()
        }
        Some(Performed::Asked(_, answer)) => answer.clone(),
        Some(Performed::HandedOff(_)) | None => Value::Null,
    }
}

impl Delegated {
    /// What came of a run that was begun for it; nothing, while that goes on.
    pub(crate) fn of(run: &RunRecord) -> Option<Self> {
        let failed =
            |error: String| Self { run: Some(run.id), result: Err(error), limit: None, spent: Spent::default() };
        match run.state {
            RunState::Waiting | RunState::Running => None,
            RunState::Completed => Some(match serde_json::from_slice::<Output>(&run.result) {
                Ok(Output { output, spent }) => Self { run: Some(run.id), result: Ok(output), limit: None, spent },
                Err(error) => failed(format!("what came of it cannot be read: {error}")),
            }),
            RunState::Failed | RunState::Cancelled => Some(match serde_json::from_slice::<Failure>(&run.result) {
                Ok(Failure { error, limit, spent }) => Self { limit, spent, ..failed(error) },
                Err(_) => failed("it failed".to_owned()),
            }),
        }
    }

    /// Nothing came of it, since it was not begun.
    pub(super) fn not_begun(why: String, limit: Option<Limit>) -> Self {
        Self { run: None, result: Err(why), limit, spent: Spent::default() }
    }
}
