//! What clients do with tasks.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::KIND;
use super::order::Order;
use super::round::Answers;
use super::view::Task;
use crate::agent::{self, AGENT, Given};
use crate::caller::Caller;
use crate::capability::ClientCapabilities;
use crate::changes::Change;
use crate::clock::{Clock, Timestamp};
use crate::context::key::Key;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::id::{millis, version_7};
use crate::store::runs::{Input, InputId, InputKind, NewRun, RunId, RunRecord, Runs};
use crate::store::sessions::fill;
use crate::tool::arguments::Arguments;
use crate::tool::error::KeyError;

/// The tasks of one caller. Nobody else sees them.
pub(crate) struct Tasks {
    server: Server,
    caller: Caller,
}

/// Why nothing became of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// There is no such task, or it is another's.
    #[error("there is no task {0:?}: it may have ended long ago, or be another caller's")]
    Missing(String),
    /// The caller has as many as there may be.
    #[error("{0} tasks of yours are under way, as many as there may be; wait until one has ended, or cancel one")]
    TooMany(u16),
    /// The key of the call was sent with another one.
    #[error("{KeyError}", KeyError = KeyError::Reused)]
    Reused,
    /// It does not become JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It could not be kept, or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tasks {
    pub(crate) fn of(server: &Server, caller: &Caller) -> Self {
        Self { server: server.clone(), caller: caller.clone() }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.server.clock()
    }

    fn runs(&self) -> &dyn Runs {
        self.server.run_store()
    }

    /// Begins a task, unless the call was sent before under its key; it is kept when this is done. `state` is what is known from the
    /// rounds that the client waited for.
    pub(crate) async fn begin(
        &self,
        client: ClientCapabilities,
        tool: &str,
        arguments: &Arguments,
        key: Option<&str>,
        state: Option<&str>,
    ) -> Result<Task, Refused> {
        let (kind, order) = match tool.strip_prefix(AGENT) {
            // Its run is the task.
            Some(agent) => (agent::KIND, self.agent_order(agent, arguments)?),
            None => {
                let order = Order::new(&self.caller, client, tool, arguments, key, state)?;
                (KIND, Bytes::from(serde_json::to_vec(&order)?))
            }
        };
        let at = self.server.clock().now();
        let id = match key {
            None => new_id(at)?,
            Some(key) => {
                let id = id_of(&Key::in_run(&self.caller, tool, key.to_owned()));
                if let Some(task) = self.begun_before(id, &order).await? {
                    return Ok(task);
                }
                id
            }
        };
        let (tenant, principal) = (self.caller.tenant().clone(), self.caller.principal().clone());
        let most = self.server.limits().tasks;
        if self.runs().open(&tenant, &principal, kind, most).await? >= most {
            return Err(Refused::TooMany(most));
        }
        let arguments = order.clone();
        let run = NewRun { id, tenant, principal, kind: kind.to_owned(), parent: None, arguments, at };
        self.runs().create(&run).await?;
        self.tell(id, kind);
        // Of two that were sent under one key at once, one has begun it.
        if key.is_some()
            && let Some(task) = self.begun_before(id, &order).await?
        {
            return Ok(task);
        }
        Ok(Task::begun(RunRecord::from(run)))
    }

    /// The task that an earlier call under the same key has begun.
    async fn begun_before(&self, id: RunId, order: &[u8]) -> Result<Option<Task>, Refused> {
        let Some(task) = Task::load(self.runs(), &self.caller, id).await? else { return Ok(None) };
        if asks_for(&task.run.arguments) == asks_for(order) { Ok(Some(task)) } else { Err(Refused::Reused) }
    }

    /// What a run is to do whose agent is called as a tool.
    fn agent_order(&self, agent: &str, arguments: &Arguments) -> Result<Bytes, Refused> {
        let Given { input } = serde_json::from_slice(arguments.as_bytes())?;
        let agents = self.server.agents().seen_by(&self.caller);
        // It was found as a tool just now.
        let budget = agents.find(agent).map(|agent| agent.spec().budget).unwrap_or_default();
        Ok(serde_json::to_vec(&agent::Order::new(&self.caller, agent, input, budget))?.into())
    }

    /// The task of that id.
    pub(crate) async fn find(&self, id: &str) -> Result<Task, Refused> {
        let task = match id.parse() {
            Ok(id) => Task::load(self.runs(), &self.caller, id).await?,
            Err(_) => None,
        };
        task.ok_or_else(|| Refused::Missing(id.chars().take(64).collect()))
    }

    /// Gives a task answers; those to what it does not ask are left out.
    pub(crate) async fn update(&self, id: &str, mut answers: BTreeMap<String, Value>) -> Result<(), Refused> {
        let task = self.find(id).await?;
        answers.retain(|name, _| task.open.contains_key(name));
        if answers.is_empty() {
            return Ok(());
        }
        let input = InputId::from_u128(self.server.new_call_id().as_u128());
        self.post(&task, input, InputKind::Message, Answers::write(answers)?).await
    }

    /// Ends a task. It has a grace to do so by itself; one that has ended stays as it is.
    pub(crate) async fn cancel(&self, id: &str) -> Result<(), Refused> {
        let task = self.find(id).await?;
        // Once is enough.
        self.post(&task, InputId::from_u128(task.run.id.as_u128()), InputKind::Cancel, Bytes::new()).await
    }

    async fn post(&self, task: &Task, id: InputId, kind: InputKind, body: Bytes) -> Result<(), Refused> {
        let (principal, at) = (self.caller.principal().clone(), self.server.clock().now());
        let input = Input { id, principal, kind, body, at };
        self.runs().post(self.caller.tenant(), task.run.id, &input).await?;
        self.tell(task.run.id, &task.run.kind);
        Ok(())
    }

    /// Nobody waits for a hint.
    fn tell(&self, id: RunId, kind: &str) {
        let (server, tenant, kind) = (self.server.clone(), self.caller.tenant().clone(), kind.to_owned());
        self.server.spawn(async move {
            server.hints().tell(id, &kind).await;
            let _ = server.changes().tell(Some(&tenant), &Change::Task(id)).await;
        });
    }
}

/// What an order asks for, whoever sent it: the same, where a call is sent again under its key.
fn asks_for(order: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(alias = "input")]
        arguments: Box<RawValue>,
    }
    serde_json::from_slice::<Asked>(order).ok().map(|asked| asked.arguments.get().to_owned())
}

/// An id that nobody guesses.
fn new_id(at: Timestamp) -> Result<RunId, StoreError> {
    let mut random = [0; 16];
    fill(&mut random)?;
    Ok(version_of(millis(at), random))
}

/// The id of what is done under a key.
fn id_of(key: &Key) -> RunId {
    let digest: [u8; 32] = Sha256::new().chain_update(b"task ").chain_update(key.effect()).finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    version_of(0, bytes)
}

fn version_of(millis: u64, bytes: [u8; 16]) -> RunId {
    let bits = u128::from_be_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    RunId::from_u128(version_7(millis, (bits >> 64) as u64, bits as u64))
}
