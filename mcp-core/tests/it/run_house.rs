//! What the tests of runs share: servers on the same stores, each with workers and a clock of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_core::caller::Caller;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::run::{RunError, Workers, WorkersConfig};
use mcp_core::store::runs::{Posted, RunId, RunRecord, RunState, StepKind};
use mcp_core::{Server, ServerBuilder, Stores};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::support::{settle, until};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// A server on stores that it shares, with a clock of its own, and its workers.
pub(crate) struct Replica {
    pub(crate) server: Server,
    pub(crate) workers: Workers,
    pub(crate) clock: SimulatedClock,
}

/// What replicas share.
pub(crate) struct House {
    pub(crate) stores: Stores,
    pub(crate) clock: SimulatedClock,
}

impl House {
    pub(crate) fn new() -> Self {
        let clock = SimulatedClock::new();
        Self { stores: Stores::in_memory(Arc::new(clock.clone())), clock }
    }

    /// A replica whose clock is that of the stores.
    pub(crate) fn replica(&self, furnish: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Replica {
        self.replica_at(self.clock.clone(), WorkersConfig::default(), furnish)
    }

    pub(crate) fn replica_at(
        &self,
        clock: SimulatedClock,
        config: WorkersConfig,
        furnish: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Replica {
        let builder = Server::builder("house", "1").clock(Arc::new(clock.clone())).stores(self.stores.clone());
        let server = furnish(builder).build().unwrap();
        let workers = server.start_workers(config);
        Replica { server, workers, clock }
    }

    pub(crate) async fn run(&self, id: RunId) -> RunRecord {
        self.stores.runs.run(caller().tenant(), id).await.unwrap().unwrap()
    }

    pub(crate) async fn steps(&self, id: RunId) -> Vec<(StepKind, String)> {
        let steps = self.stores.runs.steps(caller().tenant(), id, 0, 100).await.unwrap();
        steps.into_iter().map(|record| (record.step.kind, record.step.key)).collect()
    }

    /// Lets time pass, a second after the other, until the run is in this state.
    pub(crate) async fn until(&self, id: RunId, state: RunState) -> RunRecord {
        self.until_it(id, |run| run.state == state).await
    }

    /// The same, until it has ended.
    pub(crate) async fn until_ended(&self, id: RunId) -> RunRecord {
        self.until_it(id, |run| run.state.is_end()).await
    }

    async fn until_it(&self, id: RunId, is_so: impl Fn(&RunRecord) -> bool) -> RunRecord {
        for _ in 0..10_000 {
            settle().await;
            let run = self.run(id).await;
            if is_so(&run) {
                return run;
            }
            self.clock.advance(SECOND);
        }
        panic!("the run is still {:?}", self.run(id).await);
    }
}

impl Replica {
    pub(crate) async fn start(&self, kind: &str, arguments: Value) -> RunId {
        self.server.runs().start(&caller(), kind, arguments.to_string().into(), None).await.unwrap()
    }

    pub(crate) async fn post(&self, id: RunId, body: &'static str) -> Posted {
        self.server.runs().post(&caller(), id, body.into(), None).await.unwrap()
    }
}

pub(crate) async fn comes(done: impl Fn() -> bool) {
    until("what the run was to do", done).await;
}

pub(crate) fn caller() -> Caller {
    Caller::new("tenant", "ada")
}

pub(crate) fn json_of(run: &RunRecord) -> Value {
    serde_json::from_slice(&run.result).unwrap()
}

/// What was done to the world outside, by key; each waits for a permit.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) done: Arc<Mutex<Vec<String>>>,
    pub(crate) gate: Arc<Semaphore>,
}

impl World {
    pub(crate) fn open() -> Self {
        Self { done: Arc::default(), gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    pub(crate) fn closed() -> Self {
        Self { done: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }

    /// Begins, and ends when it may.
    pub(crate) async fn change(&self, key: String) -> Result<String, RunError> {
        self.done.lock().unwrap().push(key.clone());
        self.gate.acquire().await.unwrap().forget();
        Ok(key)
    }
}
