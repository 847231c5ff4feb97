//! An agent as a tool, `agent.NAME`: one way to it for every client.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::{Either, select, try_join_all};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::desk::AgentRefusal;
use super::runner::is_turn;
use super::step::AGENT;
use super::{AgentSpec, Delegated, OfferedAgent, questions};
use crate::ask::Question;
use crate::capability::ClientCapability;
use crate::catalog::{Catalog, Source};
use crate::changes::{Change, Heard};
use crate::context::{Context, Progress};
use crate::store::StoreError;
use crate::store::id::derived;
use crate::store::runs::{InputId, RunId, StepKind, each_step};
use crate::tool::Tool;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;
use crate::tool::schema;
use crate::tool::spec::ToolSpec;

/// The agents of a catalog, as tools.
pub(crate) struct AgentTools(pub(crate) Arc<Catalog<OfferedAgent>>);

impl Source<OfferedTool> for AgentTools {
    fn find(&self, key: &str) -> Option<Arc<OfferedTool>> {
        self.0.find(key.strip_prefix(AGENT)?).map(|agent| agent.tool().clone())
    }

    fn list(&self) -> Vec<Arc<OfferedTool>> {
        self.0.list().iter().map(|agent| agent.tool().clone()).collect()
    }
}

/// Starts a run of an agent, and waits for its end: for a client that follows no tasks. (For one that does, the run itself is the task.)
pub(super) struct AgentTool {
    agent: Arc<str>,
    spec: ToolSpec,
}

/// What the tool is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    pub(crate) input: Box<RawValue>,
}

/// How soon it is looked at a run again of which nothing is heard.
const LOOK: Duration = Duration::from_secs(1);

/// How long a call takes at the most whose run is bounded by no time of its own.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// For how long it is waited that a run which has used up its time says so.
const MARGIN: Duration = Duration::from_secs(60);

impl AgentTool {
    pub(super) fn of(agent: &AgentSpec) -> Self {
        let mut spec = ToolSpec::new(format!("{AGENT}{}", agent.name()), agent.description())
            .input_json(schema::of_one("input", &agent.input))
            .task()
            .timeout(agent.budget.time.map_or(LONGEST, |time| time + MARGIN));
        spec.requirement = agent.requirement.clone();
        Self { agent: agent.shared_name(), spec }
    }
}

#[async_trait]
impl Tool for AgentTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Arguments, cx: Context) -> Result<ToolOutput, ToolError> {
        let given: Given = arguments.parse()?;
        let run = cx.once("run", self.start(&given, &cx)).await?;
        let waited = pin!(Waiting { run, cx: &cx, seen: 0, turns: 0, has_asked: false }.wait());
        match select(waited, pin!(cx.cancelled())).await {
            Either::Left((output, _)) => output,
            Either::Right(_) => {
                // Nobody waits for what it would say.
                let _ = cx.server().runs().cancel(cx.caller(), run).await;
                Err(ToolError::Cancelled)
            }
        }
    }
}

impl AgentTool {
    /// Starts the run, or finds it where a call under the same key has started it.
    async fn start(&self, given: &Given, cx: &Context) -> Result<RunId, ToolError> {
        // Under a key it is the same in each attempt; else it stands among the runs of its time.
        let time = if cx.inner().key.is_some() { 0 } else { cx.call_id().as_u128() };
        let id = RunId::from_u128(derived(time, cx.key().as_bytes()));
        let started = cx.server().agent_runs().start(cx.caller(), &self.agent, &given.input, None, Some(id)).await;
        started.map_err(|refusal| match refusal {
            AgentRefusal::Store(error @ StoreError::Unavailable { .. }) => ToolError::Unavailable(Box::new(error)),
            refusal => ToolError::failed(refusal.to_string()),
        })
    }
}

/// Waits for a run.
struct Waiting<'c> {
    run: RunId,
    cx: &'c Context,
    /// How many steps of its journal were read.
    seen: u32,
    /// How many of them were decisions.
    turns: u32,
    /// Whether some of them were questions.
    has_asked: bool,
}

impl Waiting<'_> {
    /// Waits for the end of the run, and asks meanwhile what it asks.
    async fn wait(mut self) -> Result<ToolOutput, ToolError> {
        let (cx, id) = (self.cx, self.run);
        let server = cx.server();
        let mut changes = server.listen_to_changes(cx.caller()).await.ok();
        loop {
            let run = server.runs().find(cx.caller(), id).await.map_err(unavailable)?;
            let run = run.ok_or_else(|| ToolError::failed(format!("the run {id} is gone")))?;
            if let Some(ended) = Delegated::of(&run) {
                return Ok(ended.output());
            }
            self.tell().await?;
            if self.ask().await? {
                continue;
            }
            let news = async {
                match &mut changes {
                    // Where nobody tells of it any more, it looks after a while.
                    Some(changes) => {
                        while let Some(heard) = changes.next().await {
                            if matches!(heard, Heard::Missed) || heard == Heard::Change(Change::Task(id)) {
                                return;
                            }
                        }
                        std::future::pending().await
                    }
                    None => std::future::pending().await,
                }
            };
            select(pin!(news), cx.clock().sleep(LOOK)).await;
        }
    }

    /// Tells the client how far the run has come.
    async fn tell(&mut self) -> Result<(), ToolError> {
        let (server, before) = (self.cx.server(), self.turns);
        each_step(server.run_store(), self.cx.caller().tenant(), self.run, self.seen, |step| {
            self.seen = step.number + 1;
            if step.kind == StepKind::Noted {
                self.turns += u32::from(is_turn(&step.key));
                self.has_asked |= questions::name(&step.key).is_some();
            }
        })
        .await
        .map_err(unavailable)?;
        if self.turns > before {
            self.cx.progress(Progress::new(self.turns.into()).saying(format!("step {}", self.turns)));
        }
        Ok(())
    }

    /// Asks the client what the run asks, if it asks anything.
    async fn ask(&self) -> Result<bool, ToolError> {
        if !self.has_asked {
            return Ok(false);
        }
        let (cx, id) = (self.cx, self.run);
        let open =
            questions::open(cx.server().run_store(), cx.caller().tenant(), id).await.map_err(unavailable)?.requests;
        if open.is_empty() {
            return Ok(false);
        }
        if !cx.client_can(ClientCapability::Elicitation) {
            let names: Vec<_> = open.keys().map(String::as_str).collect();
            return Err(ToolError::failed(format!(
                "the run {id} waits for answers to {}, which this client cannot be asked; it goes on once they are given over REST",
                names.join(", ")
            )));
        }
        let asked = open.into_iter().map(async |(name, request)| {
            let answer: Value = cx.ask(&name, Question::asked_before(&request)).await?;
            Ok::<_, ToolError>((name, answer))
        });
        let answers: BTreeMap<_, _> = try_join_all(asked).await?.into_iter().collect();
        let once = answers.keys().fold(id.as_u128(), |once, name| derived(once, name.as_bytes()));
        let answered = cx.server().agent_runs().answer(cx.caller(), id, answers, Some(InputId::from_u128(once))).await;
        answered.map_err(|refusal| ToolError::failed(refusal.to_string()))?;
        Ok(true)
    }
}

fn unavailable(error: StoreError) -> ToolError {
    ToolError::Unavailable(Box::new(error))
}
