//! What an agent may know and do while it decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::budget::{Budget, Spent};
use super::error::AgentError;
use super::offered::OfferedAgent;
use super::voice::Voice;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::memory::lock;
use crate::model::LanguageModel;
use crate::model::error::ModelError;
use crate::model::price::Money;
use crate::model::reply::{Draft, Reply};
use crate::model::request::ModelRequest;
use crate::run::RunContext;
use crate::server::Server;
use crate::store::runs::RunId;
use crate::tool::registry::OfferedTool;

/// What an agent may know and do while it decides on one step. Cheap to clone.
#[derive(Clone)]
pub struct AgentContext(Arc<Inner>);

struct Inner {
    server: Server,
    caller: Caller,
    run: RunContext,
    /// By which name the journal will have the step.
    step: String,
    agent: Arc<str>,
    left: Budget,
    noted: Mutex<Noted>,
}

/// What an agent says beside its step.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) kept: Option<Box<RawValue>>,
    pub(super) spent: Spent,
    /// What each model took.
    pub(super) models: BTreeMap<String, (u64, Money)>,
}

/// As which a model is counted that nobody has named.
const OTHER: &str = "other";

impl AgentContext {
    /// Of `agent`, which decides on `step`.
    pub(super) fn new(
        server: Server,
        caller: Caller,
        run: RunContext,
        (step, agent): (&str, Arc<str>),
        left: Budget,
    ) -> Self {
        let step = step.to_owned();
        Self(Arc::new(Inner { server, caller, run, step, agent, left, noted: Mutex::default() }))
    }

    /// Whoever started the run, with no more than they may at this moment.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.0.run.id()
    }

    /// The server's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.0.server.clock()
    }

    /// What is left of the run's budget.
    pub fn left(&self) -> Budget {
        self.0.left
    }

    /// The tools that the caller may use.
    pub fn tools(&self) -> Vec<Arc<OfferedTool>> {
        let seen = self.0.server.tools().seen_by(&self.0.caller);
        let mut tools = seen.list();
        tools.retain(|tool| seen.check(tool).is_ok());
        tools
    }

    /// All scopes that the use of a tool takes.
    pub(super) fn scopes_of(&self, tool: &OfferedTool) -> Vec<Arc<str>> {
        self.0.server.tools().scopes_of(tool)
    }

    /// The agents that the caller may use.
    pub fn agents(&self) -> Vec<Arc<OfferedAgent>> {
        let seen = self.0.server.agents().seen_by(&self.0.caller);
        let mut agents = seen.list();
        agents.retain(|agent| seen.check(agent).is_ok());
        agents
    }

    /// Asks a language model, waits for the whole reply, and tells who follows the run what it says meanwhile ([`ModelDelta`](crate::run::ModelDelta)).
    /// Of several that are asked at once, the one that was asked last is heard.
    ///
    /// # Errors
    /// As [`LanguageModelExt::complete`](crate::LanguageModelExt::complete), by which a model is asked of which nobody is to hear before
    /// the step is decided.
    pub async fn complete(
        &self,
        model: &(impl LanguageModel + ?Sized),
        request: &ModelRequest,
    ) -> Result<Reply, ModelError> {
        let mut voice = Voice::new(&self.0.run, &self.0.step, &self.0.agent);
        let (mut deltas, mut draft) = (model.stream(request).await?, Draft::default());
        while let Some(delta) = deltas.next().await {
            let delta = delta?;
            voice.say(&delta, &draft);
            draft.push(delta)?;
        }
        draft.finish()
    }

    /// Keeps something with the step, for whoever decides on later ones: [`Turn::kept`](super::Turn::kept) gives it. The last one is kept.
    ///
    /// # Errors
    /// [`AgentError::Failed`] where it does not become JSON.
    pub fn keep(&self, value: &impl Serialize) -> Result<(), AgentError> {
        let kept =
            to_raw_value(value).map_err(|error| AgentError::failed(format!("it does not become JSON: {error}")))?;
        lock(&self.0.noted).kept = Some(kept);
        Ok(())
    }

    /// Says what it took to decide, which counts for the budget of the run.
    pub fn spend(&self, tokens: u64, money: Money) {
        self.spend_on(OTHER, tokens, money);
    }

    /// The same, of the model that took it: [`Server::model_stats`](crate::Server::model_stats) tells of it once the decision is recorded.
    pub fn spend_on(&self, model: &str, tokens: u64, money: Money) {
        let mut noted = lock(&self.0.noted);
        noted.spent = noted.spent.and(Spent { tokens, money, ..Spent::default() });
        let (sum, cost) = noted.models.entry(model.to_owned()).or_default();
        (*sum, *cost) = (sum.saturating_add(tokens), cost.plus(money));
    }

    pub(super) fn take_noted(&self) -> Noted {
        std::mem::take(&mut *lock(&self.0.noted))
    }
}
