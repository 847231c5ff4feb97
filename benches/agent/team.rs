//! The team, and a server that it works in.

use std::io;
use std::time::Duration;

use futures_util::future::try_join_all;
use mcp_core::agent::{Delegation, Happened, Told};
use mcp_core::run::{Workers, WorkersConfig};
use mcp_core::store::runs::{RunId, RunState};
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, Budget, Caller, Server, Step, Stores, ToolCall, ToolError, Transcript,
    tool_fn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many work in a run.
pub(crate) const WORKERS: usize = 4;

/// A server whose workers do the runs of teams.
pub(crate) struct House {
    server: Server,
    workers: Workers,
    caller: Caller,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Work {
    /// 200 bytes.
    what: String,
}

async fn work(work: Work) -> Result<String, ToolError> {
    Ok(work.what)
}

/// Leaves the work to all workers at once.
struct Boss(AgentSpec);

/// Makes as many steps as it is told.
struct Worker(AgentSpec);

#[async_trait::async_trait]
impl Agent for Boss {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        if !so_far.turns().is_empty() {
            return Step::done(so_far.delegated().filter(|(_, delegated)| delegated.result.is_ok()).count());
        }
        let each = (0..WORKERS).map(|_| Delegation::new("worker", so_far.input()));
        Ok(Step::Delegate(each.collect::<Result<_, _>>()?, mcp_core::agent::Until::All))
    }
}

#[async_trait::async_trait]
impl Agent for Worker {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        let made = so_far.turns().len();
        if made >= so_far.input_as::<usize>()? {
            return Step::done(made);
        }
        Ok(Step::call(ToolCall::new("work", Work { what: format!("{made:0200}") })?))
    }
}

impl House {
    pub(crate) fn open(stores: Stores) -> io::Result<Self> {
        let spec = |name| AgentSpec::new(name, "Works.").budget(Budget::unbounded());
        let server = Server::builder("agents", "1.0.0")
            .stores(stores)
            .tasks_per_caller(u16::MAX)
            .tool(tool_fn("work", "Works.", work).repeatable())
            .agent(Boss(spec("boss")))
            .agent(Worker(spec("worker")))
            .build()
            .map_err(io::Error::other)?;
        let mut config = WorkersConfig::default();
        config.concurrency = 2_000;
        let workers = server.start_workers(config);
        Ok(Self { server, workers, caller: Caller::new("tenant", "bench") })
    }

    /// Has so many runs done at once, in which each worker makes so many steps.
    pub(crate) async fn run(&self, runs: usize, steps: u32) -> io::Result<()> {
        try_join_all((0..runs).map(|_| async {
            let desk = self.server.agent_runs();
            let id = desk.start(&self.caller, "boss", &steps, None, None).await.map_err(io::Error::other)?;
            self.wait(id).await
        }))
        .await?;
        Ok(())
    }

    /// Waits for the end of a run, of which who follows it here hears at once.
    async fn wait(&self, id: RunId) -> io::Result<()> {
        let following = self.server.agent_runs().follow(&self.caller, id, None).await.map_err(io::Error::other)?;
        let mut following = following.ok_or_else(|| io::Error::other("the run is gone"))?;
        while let Some(told) = following.next().await {
            let Told::Event(event) = told else { continue };
            match event.what {
                Happened::Ended { state: RunState::Completed, .. } => return Ok(()),
                Happened::Ended { result, .. } => return Err(io::Error::other(format!("it has failed: {result:?}"))),
                _ => {}
            }
        }
        Err(io::Error::other("the run does not end"))
    }

    pub(crate) async fn close(self, patience: Duration) {
        self.workers.stop(patience).await;
        self.server.drain(patience).await;
    }
}
