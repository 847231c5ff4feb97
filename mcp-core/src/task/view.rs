//! A task as its client is shown it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::round::{Answers, Round};
use super::{KIND, POLL, ROUND};
use crate::agent::{self, Delegated};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::json;
use crate::jsonrpc;
use crate::store::StoreError;
use crate::store::runs::{InputKind, RunId, RunRecord, RunState, Runs, Step, StepKind, each_step};
use crate::tool::error::{KeyError, ToolError};

/// A task, and what it waits for (schema of the extension, `DetailedTask`).
pub(crate) struct Task {
    pub(super) run: RunRecord,
    /// The requests that are not answered, by their names.
    pub(super) open: BTreeMap<String, Value>,
    updated: Timestamp,
}

/// By what it is seen that a task has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    status: &'static str,
    /// How many requests are not answered.
    open: usize,
    updated: Timestamp,
}

/// How many rows are read at a time.
const PAGE: u16 = 200;

impl Task {
    /// One that has just been begun.
    pub(super) fn begun(run: RunRecord) -> Self {
        Self { updated: run.at, run, open: BTreeMap::new() }
    }

    /// The task of that id, if it is the caller's own.
    pub(super) async fn load(runs: &dyn Runs, caller: &Caller, id: RunId) -> Result<Option<Self>, StoreError> {
        let run = runs.run(caller.tenant(), id).await?;
        let is_task = |run: &RunRecord| [KIND, agent::KIND].contains(&&*run.kind);
        let Some(run) = run.filter(|run| is_task(run) && run.principal == *caller.principal()) else {
            return Ok(None);
        };
        let mut task = Self { updated: run.ended.unwrap_or(run.at), run, open: BTreeMap::new() };
        if !task.run.state.is_end() {
            task.look(runs).await?;
        }
        Ok(Some(task))
    }

    pub(super) fn id(&self) -> RunId {
        self.run.id
    }

    pub(super) fn has_ended(&self) -> bool {
        self.run.state.is_end()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { status: self.status(), open: self.open.len(), updated: self.updated }
    }

    /// Reads what the task waits for.
    async fn look(&mut self, runs: &dyn Runs) -> Result<(), StoreError> {
        let (tenant, id) = (self.run.tenant.clone(), self.run.id);
        if self.run.kind == agent::KIND {
            let open = agent::questions::open(runs, &tenant, id).await?;
            self.updated = self.updated.max(open.updated.unwrap_or(self.updated));
            self.open = open.requests;
            return Ok(());
        }
        let mut round = None;
        each_step(runs, &tenant, id, 0, |step| {
            self.updated = self.updated.max(step.at);
            // What is begun behind a question has its answer.
            if step.key.starts_with(ROUND) {
                round = Some(step);
            }
        })
        .await?;
        self.open = round.as_ref().map(questions).unwrap_or_default();
        let mut from = 0;
        while from < self.run.inputs && !self.open.is_empty() {
            let page = runs.inputs(&tenant, id, from, PAGE).await?;
            from += u32::from(PAGE);
            for input in page {
                self.updated = self.updated.max(input.at);
                if input.kind == InputKind::Message {
                    Answers::read(&input.body).keys().for_each(|name| drop(self.open.remove(name)));
                }
            }
        }
        Ok(())
    }

    /// Writes the members of `Task` (schema of the extension), without braces.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, lifetime: Duration) {
        let head = json!({
            "taskId": self.run.id,
            "status": self.status(),
            "createdAt": self.run.at,
            "lastUpdatedAt": self.updated,
            "ttlMs": millis(lifetime),
            "pollIntervalMs": millis(POLL),
        });
        json::write_members(out, &head);
    }

    /// The same, with what it waits for, or what came of it.
    pub(crate) fn encode_detailed(&self, out: &mut Vec<u8>, lifetime: Duration) {
        self.encode(out, lifetime);
        match self.run.state {
            RunState::Completed => {
                // Clients of the modern era look for the type of each result.
                out.extend_from_slice(b",\"result\":{\"resultType\":\"complete\",");
                let ended = if self.run.kind == agent::KIND { Delegated::of(&self.run) } else { None };
                let result = ended.map_or_else(|| self.run.result.clone(), |ended| ended.output().to_json());
                out.extend_from_slice(result.strip_prefix(b"{").unwrap_or(b"}"));
            }
            RunState::Failed => {
                let error = self.error();
                out.extend_from_slice(b",\"statusMessage\":");
                json::write(out, &error["message"]);
                out.extend_from_slice(b",\"error\":");
                json::write(out, &error);
            }
            _ if !self.open.is_empty() => {
                out.extend_from_slice(b",\"inputRequests\":");
                json::write(out, &self.open);
            }
            _ => {}
        }
    }

    fn status(&self) -> &'static str {
        match self.run.state {
            RunState::Completed => "completed",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Waiting | RunState::Running if !self.open.is_empty() => "input_required",
            RunState::Waiting | RunState::Running => "working",
        }
    }

    /// The error with which it failed.
    fn error(&self) -> Value {
        #[derive(Deserialize)]
        struct Failed {
            #[serde(default)]
            error: String,
            #[serde(default)]
            code: String,
            rpc: Option<Value>,
        }
        let failed = serde_json::from_slice(&self.run.result);
        match failed.unwrap_or(Failed { error: "the task failed".to_owned(), code: String::new(), rpc: None }) {
            Failed { rpc: Some(error), .. } => error,
            Failed { error, code, .. } => {
                let message = if code == "outcome_unknown" {
                    ToolError::Key(KeyError::OutcomeUnknown).to_string()
                } else {
                    error
                };
                json!({"code": jsonrpc::INTERNAL_ERROR, "message": message, "data": {"code": code}})
            }
        }
    }
}

/// The requests of a round that ended with questions.
fn questions(step: &Step) -> BTreeMap<String, Value> {
    if step.kind != StepKind::Done {
        return BTreeMap::new();
    }
    match serde_json::from_slice(&step.body) {
        Ok(Round::Asked(asked)) => {
            asked.questions.into_iter().map(|(name, question)| (name, question.request)).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
