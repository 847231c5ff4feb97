//! Runs of several servers on one PostgreSQL, each with stores of its own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcp_core::caller::Caller;
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::run::{Repeatable, RunContext, RunError, Workers, WorkersConfig};
use mcp_core::store::runs::{RunId, RunState};
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{Server, Stores};
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use tokio::sync::Semaphore;

struct Replica {
    server: Server,
    stores: Stores,
    workers: Workers,
}

/// What was done, by key; each waits for a permit.
#[derive(Clone)]
struct World {
    done: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl World {
    fn new(permits: usize) -> Self {
        Self { done: Arc::default(), gate: Arc::new(Semaphore::new(permits)) }
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

async fn replica(url: &str, clock: Arc<dyn Clock>, lease: Duration, world: &World) -> Replica {
    let stores = mcp_store::open(&StoreConfig::new(url, Arc::new(TokioClock::new())).unwrap()).await.unwrap();
    let world = world.clone();
    let work = move |cx: RunContext| {
        let World { done, gate } = world.clone();
        async move {
            for key in ["a", "b"] {
                let (done, gate) = (&done, &gate);
                let change = async move |key: String| {
                    done.lock().unwrap().push(key);
                    gate.acquire().await?.forget();
                    Ok::<_, RunError>(())
                };
                cx.effect(key, Repeatable::Yes, change).await?;
            }
            Ok::<_, RunError>(())
        }
    };
    let server = Server::builder("s", "1").clock(clock).stores(stores.clone()).work("work", work).build().unwrap();
    let mut config = WorkersConfig::default();
    config.lease = lease;
    let workers = server.start_workers(config);
    Replica { server, stores, workers }
}

fn caller() -> Caller {
    Caller::new("tenant", "ada")
}

impl Replica {
    async fn start(&self) -> RunId {
        self.server.runs().start(&caller(), "work", "{}".into(), None).await.unwrap()
    }

    async fn state(&self, id: RunId) -> RunState {
        self.stores.runs.run(caller().tenant(), id).await.unwrap().unwrap().state
    }
}

/// Asks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: not within two minutes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_replicas_do_a_thousand_runs_each_once() {
    let url = PostgresServer::shared().database();
    let world = World::new(Semaphore::MAX_PERMITS);
    let mut replicas = Vec::new();
    for _ in 0..5 {
        // So long that no run is taken from who is slow.
        replicas.push(replica(&url, Arc::new(TokioClock::new()), Duration::from_secs(60 * 60), &world).await);
    }
    let mut ids = Vec::new();
    for n in 0..1_000 {
        ids.push(replicas[n % 5].start().await);
    }
    for (n, id) in ids.iter().enumerate() {
        until("each run is done", async || replicas[n % 5].state(*id).await == RunState::Completed).await;
    }
    let mut expected: Vec<_> = ids.iter().flat_map(|id| ["a", "b"].map(|key| format!("{id}/{key}"))).collect();
    let mut done = world.done();
    expected.sort_unstable();
    done.sort_unstable();
    assert!(done == expected, "{} effects of 2000", done.len());
    for replica in replicas {
        assert_eq!(replica.workers.stop(Duration::from_secs(60)).await, 0);
    }
}

/// The clock of the first stands still: it believes to hold its run, and renews nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_writes_late_is_not_written() {
    let url = PostgresServer::shared().database();
    let (slow, fast) = (World::new(0), World::new(Semaphore::MAX_PERMITS));
    let lease = Duration::from_secs(2);
    let stopped = Arc::new(SimulatedClock::new());
    let first = replica(&url, stopped, lease, &slow).await;
    let id = first.start().await;
    until("the first has begun", async || slow.done().len() == 1).await;
    let second = replica(&url, Arc::new(TokioClock::new()), lease, &fast).await;
    until("the second has done it", async || second.state(id).await == RunState::Completed).await;
    let steps = second.stores.runs.steps(caller().tenant(), id, 0, 10).await.unwrap();
    assert_eq!(steps.len(), 4);
    slow.gate.add_permits(10);
    until("the first knows that it is late", async || first.workers.held() == 0).await;
    assert_eq!((slow.done().len(), fast.done().len()), (1, 2));
    assert_eq!(second.stores.runs.steps(caller().tenant(), id, 0, 10).await.unwrap(), steps);
    let run = second.stores.runs.run(caller().tenant(), id).await.unwrap().unwrap();
    assert_eq!((run.state, run.epoch), (RunState::Completed, 2));
}
