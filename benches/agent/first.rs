//! How much later than the model gives it, who follows a run is given the first delta.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};
use mcp_core::agent::Told;
use mcp_core::clock::Clock;
use mcp_core::model::Deltas;
use mcp_core::model::delta::{Delta, End, FinishReason};
use mcp_core::run::{Workers, WorkersConfig};
use mcp_core::store::runs::RunId;
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, Caller, LanguageModel, Message, ModelError, ModelRequest, Server, Step,
    Stores, Transcript,
};
use tokio::sync::Semaphore;

/// For so long nothing comes of a model before its first delta.
const SILENCE: Duration = Duration::from_millis(20);

/// Says how many nanoseconds after a moment it says so.
struct Stamping(Instant);

#[async_trait::async_trait]
impl LanguageModel for Stamping {
    fn name(&self) -> &'static str {
        "bench::stamping"
    }

    async fn stream(&self, _: &ModelRequest) -> Result<Deltas, ModelError> {
        let begun = self.0;
        let first = stream::once(async move { Ok(Delta::text(begun.elapsed().as_nanos().to_string())) });
        Ok(first.chain(stream::iter([Ok(Delta::End(End::new(FinishReason::Stop)))])).boxed())
    }
}

/// Asks the model once its run may go on.
struct Speaker {
    spec: AgentSpec,
    model: Stamping,
    gates: Gates,
}

#[derive(Clone, Default)]
struct Gates(Arc<Mutex<HashMap<RunId, Arc<Semaphore>>>>);

impl Gates {
    fn of(&self, run: RunId) -> Arc<Semaphore> {
        let mut gates = self.0.lock().expect("nobody panics");
        gates.entry(run).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
    }
}

#[async_trait::async_trait]
impl Agent for Speaker {
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, _: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        drop(self.gates.of(cx.run()).acquire().await);
        let reply = cx.complete(&self.model, &ModelRequest::new([Message::user("Say it.")])).await;
        Step::done(reply.map_err(|error| AgentError::failed(error.to_string()))?.message.text())
    }
}

/// A server, and who follows its runs.
pub(crate) struct House {
    server: Server,
    workers: Workers,
    gates: Gates,
    begun: Instant,
}

impl House {
    pub(crate) fn open(stores: Stores) -> io::Result<Self> {
        let (begun, gates) = (Instant::now(), Gates::default());
        let spec = AgentSpec::new("speaker", "Speaks.");
        let server = Server::builder("first", "1.0.0")
            .stores(stores)
            .agent(Speaker { spec, model: Stamping(begun), gates: gates.clone() })
            .build()
            .map_err(io::Error::other)?;
        let mut config = WorkersConfig::default();
        config.concurrency = 256;
        let workers = server.start_workers(config);
        Ok(Self { server, workers, gates, begun })
    }

    /// Has so many runs done, so many at once, and gives how long each first delta was on its way, the shortest first.
    pub(crate) async fn run(&self, runs: usize, at_once: usize) -> io::Result<Vec<Duration>> {
        let each = (0..at_once).map(async |_| {
            let mut took = Vec::new();
            for _ in 0..runs / at_once {
                took.push(self.one().await?);
            }
            Ok::<_, io::Error>(took)
        });
        let mut took: Vec<_> = try_join_all(each).await?.concat();
        took.sort();
        Ok(took)
    }

    async fn one(&self) -> io::Result<Duration> {
        let (caller, desk) = (Caller::new("tenant", "bench"), self.server.agent_runs());
        let id = desk.start(&caller, "speaker", &1, None, None).await.map_err(io::Error::other)?;
        let following = desk.follow(&caller, id, None).await.map_err(io::Error::other)?;
        let mut following = following.ok_or_else(|| io::Error::other("the run is gone"))?;
        let (gate, begun) = (self.gates.of(id), self.begun);
        // Whoever follows has a task of their own, as each stream of HTTP has.
        let followed = tokio::spawn(async move {
            let mut took = None;
            while let Some(told) = following.next().await {
                match told {
                    Told::Delta(delta) => {
                        let now = begun.elapsed();
                        took =
                            took.or(delta.text.parse().ok().map(|said| now.saturating_sub(Duration::from_nanos(said))));
                    }
                    _ => {
                        let gate = gate.clone();
                        // Until then it waits for what comes.
                        tokio::spawn(async move {
                            TokioClock::new().sleep(SILENCE).await;
                            gate.add_permits(1);
                        });
                    }
                }
            }
            took
        });
        followed.await.map_err(io::Error::other)?.ok_or_else(|| io::Error::other("a first delta was missed"))
    }

    pub(crate) async fn close(self, patience: Duration) {
        self.workers.stop(patience).await;
        self.server.drain(patience).await;
    }
}
