//! What is offered, and under which policy. A shell translates to its methods, and adds nothing.

mod builder;
mod counts;
pub mod files;
mod follow;
mod ids;
pub mod load;
pub mod open_call;
pub(crate) mod operations;
mod sight;
pub mod stats;
mod streams;
pub mod switches;
pub mod tally;
pub mod threads;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::select;
use tracing::Instrument;

use self::threads::OwnThreads;
use crate::act::Refusals;
use crate::agent::{self, AgentDesk, AgentWork, OfferedAgent};
use crate::call::{Call, OnLeave};
use crate::caller::browsers::Browsers;
use crate::caller::desk::{CallerBooks, CallerDesk};
use crate::caller::{Caller, StoredKeys};
use crate::catalog::Catalog;
use crate::changes::{Change, Changes};
use crate::clock::Clock;
use crate::context::key::Key;
use crate::context::{Cancellation, Context};
use crate::definition::DefinitionDesk;
use crate::definition::stored::StoredAgents;
use crate::legacy::mail::Mail;
use crate::measure::ToolMeasures;
use crate::policy::{InsufficientScope, Patterns, Rules};
use crate::presence::JoinError;
use crate::prompt::OfferedPrompt;
use crate::protocol::caching::Caching;
use crate::resource::OfferedResource;
use crate::run::hints::Hints;
use crate::run::{RunDesk, Work, Workers, WorkersConfig};
use crate::seal::Seal;
use crate::spans;
use crate::spawn::Spawner;
use crate::store::StoreError;
use crate::store::cache::Cache;
use crate::store::events::Events;
use crate::store::files::Files;
use crate::store::history::{CallQuery, History};
use crate::store::ledger::{CallId, CallRecord, Ledger};
use crate::store::limits;
use crate::store::runs::{RunId, Runs};
use crate::store::sessions::{SessionInfo, Sessions};
use crate::store::settings::Settings;
use crate::store::stats::Stats;
use crate::task::{self, TaskWork};
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::key::IdempotencyKey;
use crate::tool::output::ToolOutput;
use crate::tool::pipeline::{Failure, Flights, Keys, Rates};
use crate::tool::redacted::Redacted;
use crate::tool::registry::OfferedTool;

pub use builder::{BuildError, ServerBuilder};
use counts::Running;
pub(crate) use counts::RunningGuard;
use files::OwnFiles;
use ids::CallIds;
use load::{Load, LoadCaps};
use operations::Operations;
use streams::Listener;
pub(crate) use streams::ListenerGuard;
pub use streams::OpenStream;
use switches::Switches;
use tally::Tally;

/// A server: its tools, its stores, its policy. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    identity: Identity,
    tools: Catalog<OfferedTool>,
    resources: Catalog<OfferedResource>,
    resource_templates: Catalog<OfferedResource>,
    prompts: Catalog<OfferedPrompt>,
    agents: Arc<Catalog<OfferedAgent>>,
    stored_agents: Option<Arc<StoredAgents>>,
    route_rules: Rules,
    approval: Patterns,
    list_caching: Caching,
    limits: Limits,
    clock: Arc<dyn Clock>,
    spawner: Arc<dyn Spawner>,
    ledger: Option<Arc<dyn Ledger>>,
    history: Option<Arc<dyn History>>,
    stats: Option<Arc<dyn Stats>>,
    cache: Arc<dyn Cache>,
    sessions: Arc<dyn Sessions>,
    keys: Keys,
    work: BTreeMap<String, Arc<dyn Work>>,
    run_ledger: Arc<dyn Ledger>,
    runs: Arc<dyn Runs>,
    hints: Hints,
    files: Option<Arc<dyn Files>>,
    rates: Option<Rates>,
    limit_store: Arc<dyn limits::Limits>,
    flights: Flights,
    ids: CallIds,
    running: Arc<Running>,
    load: Arc<Load>,
    protocol_sessions: Arc<dyn Sessions>,
    mail: Arc<Mail>,
    seal: Seal,
    stored_keys: StoredKeys,
    caller_books: CallerBooks,
    changes: Changes,
    switches: Switches,
    events: Arc<dyn Events>,
    listeners: Arc<Tally<Listener>>,
    refusals: Refusals,
    redacted: Redacted,
    closing: Cancellation,
    /// Whether workers were started.
    works: AtomicBool,
    /// Whether some tool on offer is known to make tasks of its calls.
    knows_tasks: AtomicBool,
    measured: bool,
    operations: Operations,
}

/// Who the server says it is, encoded once.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The JSON object `Implementation` (schema, `Implementation`).
    pub(crate) implementation: Bytes,
    pub(crate) instructions: Option<String>,
}

/// What no call may exceed, where its tool does not say otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) max_output: usize,
    pub(crate) session_idle: Duration,
    pub(crate) task_ttl: Duration,
    pub(crate) tasks: u16,
    pub(crate) page: usize,
    pub(crate) listeners: usize,
    pub(crate) streams_per_caller: usize,
    pub(crate) load: LoadCaps,
}

impl Server {
    /// Begins a server of this name and version.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> ServerBuilder {
        ServerBuilder::new(name.into(), version.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.identity.name
    }

    /// The version.
    pub fn version(&self) -> &str {
        &self.0.identity.version
    }

    /// The tools on offer.
    pub fn tools(&self) -> &Catalog<OfferedTool> {
        &self.0.tools
    }

    /// The resources on offer.
    pub fn resources(&self) -> &Catalog<OfferedResource> {
        &self.0.resources
    }

    /// The templates of resources' URIs on offer.
    pub fn resource_templates(&self) -> &Catalog<OfferedResource> {
        &self.0.resource_templates
    }

    /// The prompts on offer.
    pub fn prompts(&self) -> &Catalog<OfferedPrompt> {
        &self.0.prompts
    }

    /// The agents on offer.
    pub fn agents(&self) -> &Catalog<OfferedAgent> {
        &self.0.agents
    }

    /// What callers may do with agents.
    pub fn agent_runs(&self) -> AgentDesk<'_> {
        AgentDesk::new(self)
    }

    /// The threads of `caller`, in which runs of agents [are](AgentDesk::in_thread). Nobody sees another's.
    pub fn threads<'s>(&'s self, caller: &'s Caller) -> OwnThreads<'s> {
        OwnThreads::new(self, caller.tenant(), caller.principal())
    }

    /// What operators may do with agents that are kept in the server's stores, where it [keeps](ServerBuilder::stored_agents) them.
    pub fn definitions(&self) -> DefinitionDesk<'_> {
        DefinitionDesk::new(self)
    }

    /// Looks which agents are stored, and from then on follows what is done with them on any replica, as long as the server lives. Call it before
    /// the server serves.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be known which there are.
    pub async fn follow_agents(&self) -> Result<(), StoreError> {
        self.follow("agents", StoredAgents::topic(), |server| server.look_at_agents().boxed()).await
    }

    pub(crate) async fn look_at_agents(&self) -> Result<(), StoreError> {
        if let Some(stored) = self.stored_agents()
            && stored.look().await?
            && let Err(error) = self.announce(&Change::Tools).await
        {
            tracing::warn!(%error, "clients are not told that the list of agents has changed");
        }
        Ok(())
    }

    pub(crate) fn stored_agents(&self) -> Option<&StoredAgents> {
        self.0.stored_agents.as_deref()
    }

    pub(crate) fn events(&self) -> &Arc<dyn Events> {
        &self.0.events
    }

    /// Whether somebody is asked before an agent calls this tool.
    pub(crate) fn takes_approval(&self, tool: &str) -> bool {
        self.0.approval.fit(tool)
    }

    pub(crate) fn route_rules(&self) -> &Rules {
        &self.0.route_rules
    }

    /// Calls a tool, as every way in does.
    ///
    /// Dropping the future is what a client does that leaves: the call is cancelled, after a grace.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_tool(&self, caller: Caller, name: &str, arguments: Arguments) -> Result<ToolOutput, CallError> {
        self.call(caller, None, name, arguments).await
    }

    /// Calls a tool under a key: however often that is sent, also to other servers on the same stores, and whatever befalls them, the
    /// tool is run once, and the answer is that of the first. docs/effects.md says what is promised, and what is not.
    ///
    /// Dropping the future is what a client does that leaves: the call goes on to its end, so that it is answered when it is sent again.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_tool_once(
        &self,
        caller: Caller,
        key: &IdempotencyKey,
        name: &str,
        arguments: Arguments,
    ) -> Result<ToolOutput, CallError> {
        self.call(caller, Some(key), name, arguments).await
    }

    async fn call(
        &self,
        caller: Caller,
        key: Option<&IdempotencyKey>,
        name: &str,
        arguments: Arguments,
    ) -> Result<ToolOutput, CallError> {
        let tool = self.find_tool(&caller, name)?;
        self.load().check_cost(&tool.cost).map_err(|busy| CallError::Busy(busy.message))?;
        let key = key.map(|key| Box::new(Key::new(&caller, name, key.as_str())));
        let cx = Context::new(self.clone(), caller, key, None, None);
        let span = spans::execute_tool(name);
        Call::new(tool, arguments, cx, OnLeave::Cancel).within(span).await.map_err(CallError::from)
    }

    /// The recorded calls that `caller` may see: an administrator all of the tenant's, others their own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; also where the server keeps no records.
    pub async fn calls(&self, caller: &Caller, mut query: CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        if !caller.has_role(Caller::ADMIN) {
            query.principal = Some(caller.principal().clone());
        }
        match &self.0.history {
            Some(history) => history.calls(caller.tenant(), &query).await,
            None => Err(StoreError::Unavailable { store: "history", source: None }),
        }
    }

    /// How browsers keep a key.
    pub fn browsers(&self) -> Browsers<'_> {
        Browsers::new(self)
    }

    /// One recorded call, if `caller` may see it.
    ///
    /// # Errors
    /// As [`Server::calls`].
    pub async fn recorded_call(&self, caller: &Caller, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        let history = self.0.history.as_ref().ok_or(StoreError::Unavailable { store: "history", source: None })?;
        let call = history.call(caller.tenant(), id).await?;
        Ok(call.filter(|call| caller.has_role(Caller::ADMIN) || call.principal == *caller.principal()))
    }

    /// The sessions of `caller`, the last used first. Nobody sees another's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionInfo>, StoreError> {
        self.0.sessions.list(caller.tenant(), caller.principal()).await
    }

    /// Ends a session of `caller`, and tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn end_session(&self, caller: &Caller, handle: &str) -> Result<bool, StoreError> {
        self.0.sessions.remove(caller.tenant(), caller.principal(), handle).await
    }

    /// Lets in whoever has an API key that is kept in the server's stores: one of [`AnyOf`](crate::caller::AnyOf) that an endpoint may ask.
    pub fn stored_keys(&self) -> StoredKeys {
        self.0.stored_keys.clone()
    }

    /// What callers may do with users and their keys.
    pub fn callers(&self) -> CallerDesk<'_> {
        CallerDesk::new(self)
    }

    /// Joins the replicas that serve from the same stores. It waits for one that was killed to be taken for dead. Without it, the
    /// first call with a key joins, and waits for nobody.
    ///
    /// # Errors
    /// [`JoinError`]: another lives, and one of the two must be alone; or the stores cannot be reached.
    pub async fn join(&self) -> Result<(), JoinError> {
        self.0.keys.presence.join(self.spawner()).await
    }

    /// What callers may do with runs.
    pub fn runs(&self) -> RunDesk<'_> {
        RunDesk::new(self)
    }

    /// Begins to do the work of runs, of the kinds that [`ServerBuilder::work`] was given, in this process; on the spawner. From then on
    /// calls become tasks where their tools say that they may. Call it where the server serves, once, and
    /// [`Workers::stop`] before it ends.
    pub fn start_workers(&self, config: WorkersConfig) -> Workers {
        let Inner { work, run_ledger, runs, hints, clock, spawner, works, .. } = &*self.0;
        let mut work = work.clone();
        work.insert(task::KIND.to_owned(), Arc::new(TaskWork::new(self.clone())));
        work.insert(agent::KIND.to_owned(), Arc::new(AgentWork::new(self.clone())));
        works.store(true, Ordering::Release);
        let books = (run_ledger.clone(), runs.clone());
        Workers::start(config, work, books, hints.clone(), (clock.clone(), spawner.clone()))
    }

    /// The files of `caller`. Nobody sees another's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the server keeps no files.
    pub fn files(&self, caller: &Caller) -> Result<OwnFiles, StoreError> {
        match &self.0.files {
            Some(files) => Ok(OwnFiles::new(files.clone(), caller)),
            None => Err(StoreError::Unavailable { store: "store of files", source: None }),
        }
    }

    /// Tells all clients that listen for it, on every replica, that something has changed. A hint: who listens looks.
    ///
    /// Cancel safe: a dropped future has told all of them or nobody.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some may not have been told; [`StoreError::Refused`]: the URI is too long.
    pub async fn announce(&self, change: &Change) -> Result<(), StoreError> {
        self.0.changes.tell(None, change).await
    }

    /// Ends the streams of clients that listen, each with a result, and refuses new ones. Call it before [`Server::drain`], when the
    /// server stops.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// Completes when no call is under way, or after `limit`, and when all that ended are recorded, for which it waits as long
    /// again at the most. Then it leaves the replicas. Call it when no new ones come in.
    ///
    /// Returns how many calls were still running.
    pub async fn drain(&self, limit: Duration) -> usize {
        select(pin!(self.0.running.idle()), self.0.clock.sleep(limit)).await;
        if let Some(ledger) = &self.0.ledger {
            select(pin!(self.settle_refusals()), self.0.clock.sleep(limit)).await;
            // An empty commit waits for all before it. What fails has been told to whoever waited for it.
            select(ledger.commit(Vec::new()), self.0.clock.sleep(limit)).await;
        }
        select(pin!(self.0.keys.presence.leave()), self.0.clock.sleep(limit)).await;
        self.0.running.count()
    }

    /// What was counted of each tool on offer, in their order; nothing, unless [`ServerBuilder::measured`] was asked for.
    ///
    /// Tools count by themselves: where a source gives one tool to two servers, both are in it.
    pub fn measures(&self) -> Vec<ToolMeasures> {
        if !self.0.measured {
            return Vec::new();
        }
        // What is off now was called before.
        let tools = self.0.tools.list().into_iter().chain(self.0.tools.list_off());
        tools.map(|tool| tool.measures()).collect()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn has_resources(&self) -> bool {
        !self.0.resources.is_empty() || !self.0.resource_templates.is_empty()
    }

    pub(crate) fn has_prompts(&self) -> bool {
        !self.0.prompts.is_empty()
    }

    pub(crate) fn list_caching(&self) -> Caching {
        self.0.list_caching
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Runs a task beside everything else. What it logs belongs to the span of whoever asked for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawner.spawn(task.in_current_span().boxed());
    }

    pub(crate) fn spawner(&self) -> &dyn Spawner {
        &*self.0.spawner
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    pub(crate) fn caller_books(&self) -> &CallerBooks {
        &self.0.caller_books
    }

    pub(crate) fn settings(&self) -> &dyn Settings {
        self.0.switches.settings()
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.0.measured
    }

    pub(crate) fn cache(&self) -> &dyn Cache {
        &*self.0.cache
    }

    pub(crate) fn session_store(&self) -> &dyn Sessions {
        &*self.0.sessions
    }

    pub(crate) fn ledger(&self) -> Option<&dyn Ledger> {
        self.0.ledger.as_deref()
    }

    pub(crate) fn work(&self) -> &BTreeMap<String, Arc<dyn Work>> {
        &self.0.work
    }

    /// Whether a tool has a view.
    pub(crate) fn has_views(&self) -> bool {
        self.0.tools.list().iter().any(|tool| tool.spec().wire.meta.is_some())
    }

    /// Whether calls become tasks: somebody works here, and there is a tool, or was one, that makes tasks of its calls.
    pub(crate) fn does_tasks(&self) -> bool {
        let Inner { works, knows_tasks, tools, .. } = &*self.0;
        if !works.load(Ordering::Acquire) {
            return false;
        }
        if !knows_tasks.load(Ordering::Acquire) {
            let knows = tools.list().iter().any(|tool| tool.spec().policy.task.is_some());
            knows_tasks.fetch_or(knows, Ordering::AcqRel);
        }
        knows_tasks.load(Ordering::Acquire)
    }

    pub(crate) fn run_store(&self) -> &dyn Runs {
        &*self.0.runs
    }

    pub(crate) fn hints(&self) -> &Hints {
        &self.0.hints
    }

    /// How often callers may call, where that is limited.
    pub(crate) fn rates(&self) -> Option<&Rates> {
        self.0.rates.as_ref()
    }

    pub(crate) fn limit_store(&self) -> &dyn limits::Limits {
        &*self.0.limit_store
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.0.flights
    }

    /// The sessions of clients of the older era.
    pub(crate) fn protocol_sessions(&self) -> &dyn Sessions {
        &*self.0.protocol_sessions
    }

    pub(crate) fn mail(&self) -> &Arc<Mail> {
        &self.0.mail
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.0.changes
    }

    pub(crate) fn closing(&self) -> &Cancellation {
        &self.0.closing
    }

    /// The server as long as others keep it alive.
    pub(crate) fn weak(&self) -> impl Fn() -> Option<Self> + Send + use<> {
        let weak = Arc::downgrade(&self.0);
        move || weak.upgrade().map(Self)
    }

    pub(crate) fn redacted(&self) -> &Redacted {
        &self.0.redacted
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    pub(crate) fn shared_clock(&self) -> Arc<dyn Clock> {
        self.0.clock.clone()
    }

    /// What there is to do, and what was refused because of that.
    pub fn load(&self) -> &Arc<Load> {
        &self.0.load
    }

    pub(crate) fn new_call_id(&self) -> CallId {
        self.0.ids.next(self.0.clock.now())
    }

    pub(crate) fn new_run_id(&self) -> RunId {
        RunId::from_u128(self.new_call_id().as_u128())
    }

    /// Counts a call that runs on the spawner, until the guard is dropped.
    pub(crate) fn count_running(&self) -> RunningGuard {
        self.0.running.begin()
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No tool has this name.
    #[error("there is no tool {name:?}{}", did_you_mean(nearest.as_deref()))]
    UnknownTool {
        /// The name that was asked for.
        name: String,
        /// The name of an offered tool that may have been meant.
        nearest: Option<String>,
    },
    /// The caller lacks scopes that the tool takes.
    #[error(transparent)]
    Forbidden(#[from] InsufficientScope),
    /// The call cannot be made as it was asked for.
    #[error("{0}")]
    Refused(String),
    /// The server has enough to do: send it again later. Nothing was done.
    #[error("{0}")]
    Busy(String),
    /// The caller has as much under way as one may. Nothing was done.
    #[error("{0}")]
    TooMany(String),
    /// The tool, or a stage on the way to it, gave an error.
    #[error("{}", told(*id, error))]
    Tool {
        /// The id under which the call is recorded and logged.
        id: CallId,
        /// What went wrong.
        error: ToolError,
        /// Whether it went wrong in an earlier call, which was sent under the same key.
        replayed: bool,
    },
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Tool { id: failure.id, error: failure.error, replayed: failure.replayed }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default()
}

/// What a client is told of an error: the id stands for a cause that it does not see.
pub(crate) fn told(id: CallId, error: &ToolError) -> String {
    match error {
        ToolError::Internal(_) => format!("{error}; the server's log has the cause under {id}"),
        _ => error.to_string(),
    }
}
