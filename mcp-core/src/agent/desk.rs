//! What callers may do with agents.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::budget::Budget;
use super::event::{Cursor, RunEvent};
use super::following::{Events, Following};
use super::inbox::Letter;
use super::order::Order;
use super::runner::unknown;
use super::thread::{Busy, InThread, Threading};
use super::transcript::text;
use super::{KIND, questions};
use crate::caller::Caller;
use crate::catalog::Unseen;
use crate::clock::Timestamp;
use crate::policy::InsufficientScope;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::runs::{InputId, Posted, RunId, RunQuery, RunRecord, RunState};
use crate::store::threads::ThreadId;

/// What callers may do with agents: start runs of them, see what those ask, and answer. For all else they are
/// [runs](crate::run::RunDesk).
pub struct AgentDesk<'s> {
    server: &'s Server,
    thread: Option<(ThreadId, Busy)>,
}

/// A question that waits for an answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The run that asks.
    pub run: RunRecord,
    /// Under which name it is answered.
    pub name: String,
    /// A request of the protocol (schema, `ElicitRequest`).
    pub request: Value,
    /// When it was asked.
    pub at: Timestamp,
}

/// Why nothing becomes of a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentRefusal {
    /// There is no such agent, as far as the caller may know.
    #[error("{0}")]
    Unknown(String),
    /// The caller lacks scopes for it.
    #[error(transparent)]
    Forbidden(#[from] InsufficientScope),
    /// As much is followed as this server takes.
    #[error("{0}")]
    Busy(String),
    /// The caller has as many runs under way, or follows as many, as one may.
    #[error("{0}")]
    TooMany(String),
    /// This run is under way in the thread, or waits there.
    #[error("the thread is busy: run {0} has not ended there; `busy` may say `queue` or `interrupt`")]
    ThreadBusy(RunId),
    /// It does not become JSON.
    #[error("it does not become JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It could not be kept, or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<'s> AgentDesk<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server, thread: None }
    }

    /// The same for runs in a thread of the caller's, which is begun with the first one. Such a run finds what was
    /// [said there](super::Transcript::said) before, and says there what it is to do and what came of it: its input and its output. One is
    /// under way at a time; `busy` says what becomes of one that is started meanwhile.
    #[must_use]
    pub fn in_thread(self, thread: ThreadId, busy: Busy) -> Self {
        Self { thread: Some((thread, busy)), ..self }
    }

    /// Starts a run of `agent`, which is done by whichever process claims it, and gives its id. It may use what the agent's own budget and
    /// `budget` both allow. With an `id` of the caller's own, which nobody else has, a run that was started already is not started again.
    ///
    /// Not cancel safe: a dropped future may or may not have started it.
    ///
    /// # Errors
    /// [`AgentRefusal`]; after [`StoreError::Unavailable`] it may have been started.
    pub async fn start(
        &self,
        caller: &Caller,
        agent: &str,
        input: &impl Serialize,
        budget: Option<Budget>,
        id: Option<RunId>,
    ) -> Result<RunId, AgentRefusal> {
        let found = self.server.agents().seen_by(caller).find(agent).map_err(|unseen| match unseen {
            Unseen::Lacking(lacking) => AgentRefusal::Forbidden(lacking),
            Unseen::Unknown => AgentRefusal::Unknown(unknown(agent, self.server, caller)),
        })?;
        self.check_room(caller, id).await?;
        let budget = budget.map_or(found.spec().budget, |budget| budget.and(found.spec().budget));
        let thread = self.thread.map(|(thread, _)| InThread { thread, before: None });
        let order = Order::new(caller, agent, serde_json::value::to_raw_value(input)?, budget).in_thread(thread);
        let arguments = serde_json::to_vec(&order)?.into();
        let Some((thread, busy)) = self.thread else {
            return Ok(self.server.runs().begin(caller, KIND, arguments, id).await?);
        };
        if let Some(id) = id
            && self.server.run_store().run(caller.tenant(), id).await?.is_some()
        {
            return Ok(id);
        }
        let id = id.unwrap_or_else(|| self.server.new_run_id());
        let threading = Threading::new(self.server, caller.tenant(), caller.principal(), thread);
        threading.join(id, busy, &text(&order.input)).await?;
        let begun = self.server.runs().begin(caller, KIND, arguments, Some(id)).await;
        if begun.is_err() {
            // It may have been begun all the same: then it finds that it is not in the line, and joins it.
            let _ = threading.leave(id).await;
        }
        Ok(begun?)
    }

    /// Whether one more may be under way. One that was started before under its id is there already.
    async fn check_room(&self, caller: &Caller, id: Option<RunId>) -> Result<(), AgentRefusal> {
        let (runs, most) = (self.server.run_store(), self.server.limits().tasks);
        if runs.open(caller.tenant(), caller.principal(), KIND, most).await? < most {
            return Ok(());
        }
        if let Some(id) = id
            && runs.run(caller.tenant(), id).await?.is_some()
        {
            return Ok(());
        }
        Err(AgentRefusal::TooMany(format!(
            "{most} runs of yours are under way, as many as there may be; wait until one has ended, or cancel one"
        )))
    }

    /// What a run asks and nobody has answered, by the names of the questions: requests of the protocol (schema, `ElicitRequest`). Nothing,
    /// where the caller may not see the run.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn questions(&self, caller: &Caller, run: RunId) -> Result<BTreeMap<String, Value>, StoreError> {
        if self.server.runs().find(caller, run).await?.is_none_or(|run| run.state.is_end()) {
            return Ok(BTreeMap::new());
        }
        Ok(questions::open(self.server.run_store(), caller.tenant(), run).await?.requests)
    }

    /// The newest [`MOST_WAITING`](Self::MOST_WAITING) runs of agents that wait, of those that the caller may see. What they ask changes only with
    /// them: with which they are, how often each was claimed and how many inputs it was given.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn waiting_runs(&self, caller: &Caller) -> Result<Vec<RunRecord>, StoreError> {
        let query = RunQuery {
            kind: Some(KIND.to_owned()),
            state: Some(RunState::Waiting),
            limit: Self::MOST_WAITING,
            ..RunQuery::default()
        };
        self.server.runs().list(caller, query).await
    }

    /// What waits for somebody, the oldest first: what nobody has answered of what [`waiting_runs`](Self::waiting_runs) ask.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn waiting(&self, caller: &Caller) -> Result<Vec<Asked>, StoreError> {
        let mut waiting = Vec::new();
        for run in self.waiting_runs(caller).await? {
            let open = questions::open(self.server.run_store(), caller.tenant(), run.id).await?;
            let asked = open.requests.into_iter().map(|(name, request)| {
                let at = open.asked.get(&name).copied().unwrap_or(run.at);
                Asked { run: run.clone(), name, request, at }
            });
            waiting.extend(asked);
        }
        waiting.sort_by_key(|asked| asked.at);
        Ok(waiting)
    }

    /// Of how many runs the questions are told at once.
    pub const MOST_WAITING: u16 = 100;

    /// Answers questions of a run, by their names: each with an `ElicitResult` of the protocol's schema. The first answer to a question
    /// counts. It is posted once, where it is posted again with the same `id` of the caller's own.
    ///
    /// # Errors
    /// [`AgentRefusal::Json`] and [`AgentRefusal::Store`].
    pub async fn answer(
        &self,
        caller: &Caller,
        run: RunId,
        answers: BTreeMap<String, Value>,
        id: Option<InputId>,
    ) -> Result<Posted, AgentRefusal> {
        let letter = Letter { answers, ..Letter::default() };
        Ok(self.server.runs().post(caller, run, serde_json::to_vec(&letter)?.into(), id).await?)
    }

    /// What has happened in a run so far, behind the event `after` that the caller knows, no more than so many events of it; nothing,
    /// where the caller may not see the run. Of a run in which no agents decide it is told that it has begun and ended.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn events(
        &self,
        caller: &Caller,
        run: RunId,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Option<Vec<RunEvent>>, StoreError> {
        if self.server.runs().find(caller, run).await?.is_none() {
            return Ok(None);
        }
        let mut events = Events::of(self.server, caller, run, after);
        let mut told = Vec::new();
        while told.len() < most {
            match events.next().await? {
                Some(event) => told.push(event),
                None => break,
            }
        }
        Ok(Some(told))
    }

    /// The same, and then what happens, as it does.
    ///
    /// # Errors
    /// [`AgentRefusal::Busy`], [`AgentRefusal::TooMany`], and [`AgentRefusal::Store`].
    pub async fn follow(
        &self,
        caller: &Caller,
        run: RunId,
        after: Option<Cursor>,
    ) -> Result<Option<Following>, AgentRefusal> {
        if self.server.runs().find(caller, run).await?.is_none() {
            return Ok(None);
        }
        let counted = self.server.count_listener(caller).map_err(|full| match full.status {
            429 => AgentRefusal::TooMany(full.message),
            _ => AgentRefusal::Busy(full.message),
        })?;
        let hints = self.server.hints();
        // Both before it is read for the first time, so that nothing is missed in between.
        let (near, far) = (hints.watched().watch(run), hints.afar().listen(caller.tenant(), run).await);
        Ok(Some(Following::new(Events::of(self.server, caller, run, after), near, far, counted)))
    }
}
