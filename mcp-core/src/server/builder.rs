//! Putting a server together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use super::counts::Running;
use super::ids::CallIds;
use super::load::{Load, LoadCaps};
use super::switches::Switches;
use super::{Identity, Inner, Limits, Server};
use crate::act::Refusals;
use crate::agent::{self, AGENT, Agent, AgentTools, BadAgent, OfferedAgent};
use crate::caller::StoredKeys;
use crate::caller::desk::CallerBooks;
use crate::catalog::{Catalog, Offered, Source};
use crate::changes::{Change, Changes};
use crate::clock::Clock;
use crate::context::Cancellation;
use crate::definition::stored::StoredAgents;
use crate::definition::{Models, mentions};
use crate::legacy::mail::Mail;
use crate::memory::{MemoryCache, MemorySessions};
use crate::policy::Policy;
use crate::prompt::{BadPrompt, OfferedPrompt, Prompt};
use crate::protocol::caching::Caching;
use crate::resource::{BadResource, OfferedResource, Resource};
use crate::run::Work;
use crate::run::hints::Hints;
use crate::seal::{Seal, own_key};
use crate::spawn::Spawner;
use crate::store::Stores;
use crate::store::limits::Rate;
use crate::task;
use crate::tool::Tool;
use crate::tool::pipeline::{Flights, Keys, Rates, check_rate};
use crate::tool::redacted::Redacted;
use crate::tool::registry::{BadTool, OfferedTool};
use crate::tool::spec::Icon;

/// Puts a server together. What is wrong with a part is told by [`ServerBuilder::build`].
#[must_use]
pub struct ServerBuilder {
    implementation: Implementation,
    instructions: Option<String>,
    tools: Vec<Arc<dyn Tool>>,
    tool_sources: Vec<Arc<dyn Source<OfferedTool>>>,
    resources: Vec<Arc<dyn Resource>>,
    resource_sources: Vec<Arc<dyn Source<OfferedResource>>>,
    prompts: Vec<Arc<dyn Prompt>>,
    prompt_sources: Vec<Arc<dyn Source<OfferedPrompt>>>,
    agents: Vec<Arc<dyn Agent>>,
    agent_sources: Vec<Arc<dyn Source<OfferedAgent>>>,
    models: Option<Models>,
    policy: Policy,
    list_caching: Caching,
    work: BTreeMap<String, Arc<dyn Work>>,
    twice: Option<String>,
    stores: Option<Stores>,
    clock: Option<Arc<dyn Clock>>,
    spawner: Option<Arc<dyn Spawner>>,
    limits: Limits,
    rates: Rates,
    secret_keys: Zeroizing<Vec<[u8; 32]>>,
    measured: bool,
    redacted: Redacted,
}

/// Who a server is (schema, `Implementation`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Implementation {
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    website_url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    icons: Vec<Icon>,
}

impl ServerBuilder {
    pub(super) fn new(name: String, version: String) -> Self {
        Self {
            implementation: Implementation { name, version, title: None, website_url: None, icons: Vec::new() },
            instructions: None,
            tools: Vec::new(),
            tool_sources: Vec::new(),
            resources: Vec::new(),
            resource_sources: Vec::new(),
            prompts: Vec::new(),
            prompt_sources: Vec::new(),
            agents: Vec::new(),
            agent_sources: Vec::new(),
            models: None,
            policy: Policy::none(),
            list_caching: Caching::default(),
            work: BTreeMap::new(),
            twice: None,
            stores: None,
            clock: None,
            spawner: None,
            limits: Limits {
                timeout: Duration::from_secs(60),
                grace: Duration::from_secs(1),
                max_output: 1024 * 1024,
                session_idle: Duration::from_secs(24 * 60 * 60),
                task_ttl: Duration::from_secs(24 * 60 * 60),
                tasks: 100,
                page: 100,
                listeners: 16 * 1024,
                streams_per_caller: 1_000,
                load: LoadCaps { in_flight: 4_096, bytes: 256 * 1024 * 1024, wait: Duration::from_millis(50) },
            },
            rates: Rates::default(),
            secret_keys: Zeroizing::default(),
            measured: false,
            redacted: Redacted::default(),
        }
    }

    /// A name for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.implementation.title = Some(title.into());
        self
    }

    /// Where to read more about it.
    pub fn website_url(mut self, url: impl Into<String>) -> Self {
        self.implementation.website_url = Some(url.into());
        self
    }

    /// A picture to show beside the name.
    pub fn icon(mut self, icon: Icon) -> Self {
        self.implementation.icons.push(icon);
        self
    }

    /// How to use the server, for a model.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Offers a tool. Tools are listed in the order in which they are given.
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Offers several tools.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Offers the tools that a source has, behind those given one by one.
    pub fn tool_source(mut self, source: impl Source<OfferedTool>) -> Self {
        self.tool_sources.push(Arc::new(source));
        self
    }

    /// Offers a resource, or a template of resources. They are listed in the order in which they are given, and a URI is read by the
    /// first that fits.
    pub fn resource(mut self, resource: impl Resource) -> Self {
        self.resources.push(Arc::new(resource));
        self
    }

    /// Offers the resources that a source has, behind those given one by one.
    pub fn resource_source(mut self, source: impl Source<OfferedResource>) -> Self {
        self.resource_sources.push(Arc::new(source));
        self
    }

    /// Offers a prompt. Prompts are listed in the order in which they are given.
    pub fn prompt(mut self, prompt: impl Prompt) -> Self {
        self.prompts.push(Arc::new(prompt));
        self
    }

    /// Offers the prompts that a source has, behind those given one by one.
    pub fn prompt_source(mut self, source: impl Source<OfferedPrompt>) -> Self {
        self.prompt_sources.push(Arc::new(source));
        self
    }

    /// Offers an agent, whose runs are done once [`Server::start_workers`] was called.
    pub fn agent(mut self, agent: impl Agent) -> Self {
        self.agents.push(Arc::new(agent));
        self
    }

    /// Offers the agents of a source, behind those that are given one by one.
    pub fn agent_source(mut self, source: impl Source<OfferedAgent>) -> Self {
        self.agent_sources.push(Arc::new(source));
        self
    }

    /// Keeps agents that operators write down while the server serves ([`Server::definitions`]), for which these models decide.
    pub fn stored_agents(mut self, models: Models) -> Self {
        self.models = Some(models);
        self
    }

    /// What callers need, on top of what a tool, resource, prompt or agent requires by itself.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// For how long, and by whom, lists of what is offered may be kept, and what the server says of itself (server/utilities/caching);
    /// not at all, where nothing is said.
    pub fn list_caching(mut self, caching: Caching) -> Self {
        self.list_caching = caching;
        self
    }

    /// Does the work of runs of this kind, once [`Server::start_workers`] was called.
    pub fn work(mut self, kind: impl Into<String>, work: impl Work) -> Self {
        let kind = kind.into();
        if self.work.insert(kind.clone(), Arc::new(work)).is_some() || [task::KIND, agent::KIND].contains(&&*kind) {
            self.twice.get_or_insert(kind);
        }
        self
    }

    /// Records every call in these stores, and caches and keeps sessions and runs in them. Without stores nothing is recorded, and
    /// results, sessions and runs are kept in this process.
    pub fn stores(mut self, stores: Stores) -> Self {
        self.stores = Some(stores);
        self
    }

    /// Where time comes from; with the feature `tokio`, the machine.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Where calls run that take longer than one poll; with the feature `tokio`, the runtime of whoever polls.
    pub fn spawner(mut self, spawner: Arc<dyn Spawner>) -> Self {
        self.spawner = Some(spawner);
        self
    }

    /// How long a call may take, where its tool does not say (60 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// How often all callers together may call tools, on all replicas that share their limits: as many at once as a burst, which come
    /// back evenly. What tools call in a call, results from the cache, and answers to a key that was sent before, do not count. Tools
    /// may be limited [by themselves](crate::ToolSpec::rate_limit) beside it.
    pub fn rate_limit(mut self, rate: Rate) -> Self {
        self.rates.of_all = Some(rate);
        self
    }

    /// The same for each caller.
    pub fn rate_limit_per_caller(mut self, rate: Rate) -> Self {
        self.rates.per_caller = Some(rate);
        self
    }

    /// How long a call that should end may go on, before it is dropped (1 s).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.limits.grace = grace;
        self
    }

    /// How many bytes an output may have, where its tool does not say (1 MiB).
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.limits.max_output = bytes;
        self
    }

    /// How long a session is kept that nobody comes back to (24 hours); at the most a year.
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.limits.session_idle = idle;
        self
    }

    /// How long clients are told that a task is kept, and how long one waits for answers (24 hours): no longer than runs are kept once they
    /// have ended.
    pub fn task_ttl(mut self, ttl: Duration) -> Self {
        self.limits.task_ttl = ttl;
        self
    }

    /// How many tasks of one caller may be under way (100), and how many runs of agents, but for those that runs have begun; more are
    /// answered 429.
    pub fn tasks_per_caller(mut self, most: u16) -> Self {
        self.limits.tasks = most;
        self
    }

    /// The keys under which is sealed what clients carry from one round of questions to the next, and under which API keys are hashed, the
    /// newest first: the first seals and hashes, all of them open and find. Replicas have the same. Without any, the server has a key
    /// of its own, which ends with it.
    pub fn secret_keys(mut self, keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        self.secret_keys = Zeroizing::new(keys.into_iter().collect());
        self
    }

    /// Counts calls, how they end and how long they take; [`Server::measures`] tells. Without it nothing is counted.
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// How many tools a page of `tools/list` has (100).
    pub fn page_size(mut self, tools: usize) -> Self {
        self.limits.page = tools.max(1);
        self
    }

    /// How many streams may be open at once (16,384): of clients that listen to changes, and of calls that tell their clients how far they
    /// have come. More are answered 503.
    pub fn listeners(mut self, most: usize) -> Self {
        self.limits.listeners = most;
        self
    }

    /// Does not record what stands in arguments at these places, of whichever tool: JSON pointers (RFC 6901), such as `/card/number`. See
    /// [`ToolSpec::redacted`](crate::ToolSpec::redacted).
    pub fn redacted(mut self, pointers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.redacted.extend(pointers);
        self
    }

    /// How many of them one caller may have (1,000); more are answered 429.
    pub fn streams_per_caller(mut self, most: usize) -> Self {
        self.limits.streams_per_caller = most;
        self
    }

    /// How many calls may be under way that take longer than one poll (4,096), of those of agents and tasks as well; while there are as
    /// many, requests are answered 503. Clients that listen are none of them.
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.limits.load.in_flight = calls;
        self
    }

    /// How many bytes may be held in memory at once (256 MiB): of bodies larger than 16 KiB, and of answers that clients do not take, where
    /// the host counts those. While there are as many, requests are answered 503, and so is one whose body would be too much.
    pub fn max_bytes_in_flight(mut self, bytes: usize) -> Self {
        self.limits.load.bytes = bytes;
        self
    }

    /// For how long calls that hold a thread may wait for one (50 ms): while those that wait take longer together, and are more than four for each
    /// thread, one more is answered 503. What calls of a tool cost is learned where the server is [`measured`](Self::measured);
    /// how many threads there are, the [`Spawner`] says.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.limits.load.wait = wait;
        self
    }

    /// The server.
    ///
    /// # Errors
    /// [`BuildError`]: a tool, resource or prompt that cannot be offered, or a seam that is missing.
    pub fn build(self) -> Result<Server, BuildError> {
        #[cfg(feature = "tokio")]
        let (clock, spawner) = (
            self.clock.or_else(|| Some(Arc::new(crate::tokio_runtime::TokioClock::new()))),
            self.spawner.or_else(|| Some(Arc::new(crate::tokio_runtime::TokioSpawner::current()))),
        );
        #[cfg(not(feature = "tokio"))]
        let (clock, spawner) = (self.clock, self.spawner);
        let clock = clock.ok_or(BuildError::Missing("clock"))?;
        let spawner = spawner.ok_or(BuildError::Missing("spawner"))?;

        if let Some(kind) = self.twice {
            return Err(BuildError::WorkTwice(kind));
        }
        let Rates { of_all, per_caller } = self.rates;
        of_all.into_iter().chain(per_caller).try_for_each(check_rate).map_err(BuildError::Rate)?;
        // Keys and runs are kept also where nothing else is.
        let books = self.stores.clone().unwrap_or_else(|| Stores::in_memory(clock.clone()));
        let changes = Changes::new(books.events.clone());
        let stored_agents = self.models.map(|models| Arc::new(StoredAgents::new(books.settings.clone(), models)));
        let (more_agents, more_tools) = (!self.agent_sources.is_empty(), !self.tool_sources.is_empty());
        let agent_sources = self.agent_sources.into_iter().chain(stored_agents.clone().map(|stored| stored as _));
        // They are offered as tools.
        let agents =
            Catalog::new("agent", agent_sources.collect(), self.policy.agents.clone(), changes.clone(), Change::Tools);
        for agent in self.agents {
            let agent = OfferedAgent::new(agent)?;
            agents.insert(agent).map_err(|agent| BadAgent::twice(agent.key().to_owned()))?;
        }
        let agents = Arc::new(agents);
        let (mut tool_sources, mut tool_rules) = (self.tool_sources, self.policy.tools);
        if !agents.is_empty() {
            tool_sources.push(Arc::new(AgentTools(agents.clone())));
            tool_rules.extend(AGENT, &self.policy.agents);
        }
        let tools = Catalog::new("tool", tool_sources, tool_rules, changes.clone(), Change::Tools);
        for tool in self.tools {
            let tool = OfferedTool::new(tool)?;
            if tool.key().starts_with(AGENT) {
                return Err(BadTool::stands_for_agent(tool.key()).into());
            }
            tools.insert(tool).map_err(|tool| BadTool::twice(tool.key().to_owned()))?;
        }
        mentions::check(&agents, &tools, more_agents, more_tools)?;
        let resources = Catalog::new(
            "resource",
            self.resource_sources,
            self.policy.resources.clone(),
            changes.clone(),
            Change::Resources,
        );
        let resource_templates =
            Catalog::new("resource", Vec::new(), self.policy.resources, changes.clone(), Change::Resources);
        for resource in self.resources {
            let resource = OfferedResource::new(resource)?;
            let catalog = if resource.spec().is_template() { &resource_templates } else { &resources };
            catalog.insert(resource).map_err(|resource| BadResource::twice(resource.key().to_owned()))?;
        }
        let prompts =
            Catalog::new("prompt", self.prompt_sources, self.policy.prompts, changes.clone(), Change::Prompts);
        for prompt in self.prompts {
            let prompt = OfferedPrompt::new(prompt)?;
            prompts.insert(prompt).map_err(|prompt| BadPrompt::twice(prompt.key().to_owned()))?;
        }

        let identity = Identity {
            implementation: serde_json::to_vec(&self.implementation).map_err(BuildError::Identity)?.into(),
            name: self.implementation.name,
            version: self.implementation.version,
            instructions: self.instructions,
        };
        let secret_keys =
            if self.secret_keys.is_empty() { Zeroizing::new(own_key().to_vec()) } else { self.secret_keys };
        let caller_books = CallerBooks::new(&books);
        let stored_keys = StoredKeys::new(&secret_keys, &books, clock.clone(), spawner.clone());
        let keys = Keys::new(&books);
        let files = self.stores.as_ref().and_then(|stores| stores.files.clone());
        let stats = self.stores.as_ref().map(|stores| stores.stats.clone());
        let (ledger, history, cache, sessions) = match self.stores {
            Some(stores) => (Some(stores.ledger), Some(stores.history), Some(stores.cache), Some(stores.sessions)),
            None => (None, None, None, None),
        };
        let running = Arc::new(Running::default());
        let load = Load::new(self.limits.load.clone(), clock.clone(), running.clone(), spawner.threads());
        Ok(Server(Arc::new(Inner {
            identity,
            tools,
            resources,
            resource_templates,
            prompts,
            agents,
            stored_agents,
            route_rules: self.policy.routes,
            approval: self.policy.approval,
            list_caching: self.list_caching,
            limits: self.limits,
            cache: cache.unwrap_or_else(|| Arc::new(MemoryCache::new(clock.clone()))),
            sessions: sessions.unwrap_or_else(|| Arc::new(MemorySessions::new(clock.clone()))),
            files,
            clock,
            spawner,
            ledger,
            history,
            stats,
            keys,
            work: self.work,
            run_ledger: books.ledger,
            runs: books.runs,
            protocol_sessions: books.protocol_sessions,
            mail: Arc::new(Mail::new(books.events.clone())),
            changes,
            switches: Switches::new(books.settings),
            events: books.events.clone(),
            listeners: Arc::default(),
            refusals: Refusals::default(),
            redacted: self.redacted,
            closing: Cancellation::default(),
            works: AtomicBool::new(false),
            knows_tasks: AtomicBool::new(false),
            hints: Hints::new(books.events),
            rates: (of_all.is_some() || per_caller.is_some()).then_some(self.rates),
            limit_store: books.limits,
            flights: Flights::default(),
            ids: CallIds::new(),
            running,
            load: Arc::new(load),
            seal: Seal::new(&secret_keys),
            stored_keys,
            caller_books,
            measured: self.measured,
            operations: Default::default(),
        })))
    }
}

/// Why a server cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// One of its tools cannot be offered.
    #[error(transparent)]
    Tool(#[from] BadTool),
    /// One of its resources cannot be offered.
    #[error(transparent)]
    Resource(#[from] BadResource),
    /// One of its prompts cannot be offered.
    #[error(transparent)]
    Prompt(#[from] BadPrompt),
    /// One of its agents cannot be offered.
    #[error(transparent)]
    Agent(#[from] BadAgent),
    /// Two kinds of work have one name.
    #[error("there are two kinds of run {0:?}; give each a name of its own")]
    WorkTwice(String),
    /// A rate allows nothing, or all.
    #[error("the rate limit of the server: {0}")]
    Rate(String),
    /// Without the feature `tokio`, the clock and the spawner must be given.
    #[error("the server has no {0}; give it one by ServerBuilder::{0}, or turn on the feature \"tokio\" of mcp-core")]
    Missing(&'static str),
    /// What the server says of itself does not become JSON.
    #[error("the server's name or title does not become JSON")]
    Identity(#[source] serde_json::Error),
}
