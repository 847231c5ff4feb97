//! Calls that are sent twice under a key: on one server after the other, and on two at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::presence::Presence;
use mcp_core::store::history::CallQuery;
use mcp_core::store::idempotency::{CallKey, Claim, Claimed};
use mcp_core::store::ledger::{Answer, CallId, CallRecord, Entry, Outcome};
use mcp_core::store::replicas::{Replica, ReplicaId};
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::tool::error::KeyError;
use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, CallError, Caller, IdempotencyKey, Server, Stores, ToolError, ToolOutput, tool_with};
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::url;

/// What a tool waits for, and how often it was begun.
#[derive(Clone)]
struct Gate {
    name: &'static str,
    begun: Arc<AtomicUsize>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new(name: &'static str) -> Self {
        Self { name, begun: Arc::default(), open: Arc::new(Semaphore::new(0)) }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits until the tool was begun so often.
    async fn until_begun(&self, times: usize) {
        until("it is begun", async || self.begun() == times).await;
    }
}

/// Asks until it is so.
async fn until(what: &str, ask: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if ask().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within a minute");
}

async fn pass(gate: Gate, _: NoInput) -> Result<String, ToolError> {
    gate.begun.fetch_add(1, Ordering::Relaxed);
    gate.open.acquire().await?.forget();
    Ok(format!("by {}", gate.name))
}

/// A server on stores of its own.
async fn server(url: &str, gate: &Gate, repeatable: bool) -> (Server, Stores) {
    let clock = Arc::new(TokioClock::new());
    let mut stores = mcp_store::open(&StoreConfig::new(url, clock.clone()).unwrap()).await.unwrap();
    // As it is with Redis, and so slow to be heard that a test decides when it is taken for dead.
    let replica = Replica::new(gate.name, "1.0.0", Timestamp::default());
    stores.presence = Presence::new(replica, Duration::from_secs(60 * 60), stores.replicas.clone(), clock.clone());
    let tool = tool_with("pass", "Waits for a gate.", gate.clone(), pass);
    let tool = if repeatable { tool.repeatable() } else { tool };
    let server = Server::builder("t", "1").clock(clock).stores(stores.clone()).tool(tool).build().unwrap();
    (server, stores)
}

type Answered = Result<ToolOutput, CallError>;

fn call(server: &Server) -> tokio::task::JoinHandle<Answered> {
    let server = server.clone();
    let key: IdempotencyKey = "k".parse().unwrap();
    tokio::spawn(async move { server.call_tool_once(Caller::new("a", "ada"), &key, "pass", Arguments::none()).await })
}

fn text(answered: Answered) -> (String, bool) {
    let output = answered.unwrap();
    (output.first_text().unwrap().to_owned(), output.is_replayed())
}

fn is_unknown(answered: &Answered) -> bool {
    matches!(answered, Err(CallError::Tool { error: ToolError::Key(KeyError::OutcomeUnknown), .. }))
}

async fn outcomes(stores: &Stores) -> Vec<&'static str> {
    let calls = stores.history.calls(&Tenant::from("a"), &CallQuery::default()).await.unwrap();
    calls.into_iter().map(|call| call.outcome.as_str()).collect()
}

#[tokio::test]
async fn an_answer_outlives_its_server() {
    let folder = TempDir::new().unwrap();
    let gate = Gate::new("one");
    gate.open.add_permits(1);
    for replayed in [false, true] {
        let (server, _) = server(&url(&folder), &gate, false).await;
        assert_eq!(text(call(&server).await.unwrap()), ("by one".to_owned(), replayed));
        server.drain(Duration::from_secs(10)).await;
    }
    assert_eq!(gate.begun(), 1);
}

/// A file belongs to one process after the other; the one before may have been killed.
#[tokio::test]
async fn what_a_killed_process_had_begun_is_taken_over_on_sqlite() {
    for repeatable in [true, false] {
        let (folder, one, next) = (TempDir::new().unwrap(), Gate::new("one"), Gate::new("next"));
        let (first, stores) = server(&url(&folder), &one, repeatable).await;
        let lost = call(&first);
        one.until_begun(1).await;
        lost.abort();
        stores.replicas.leave(stores.presence.replica().id).await.unwrap();
        next.open.add_permits(1);
        let (second, stores) = server(&url(&folder), &next, repeatable).await;
        let answered = call(&second).await.unwrap();
        if repeatable {
            assert_eq!(text(answered), ("by next".to_owned(), false));
        } else {
            assert!(is_unknown(&answered), "{answered:?}");
            assert_eq!((next.begun(), outcomes(&stores).await), (0, vec!["outcome_unknown"]));
        }
    }
}

#[tokio::test]
async fn duplicates_wait_across_replicas() {
    let url = PostgresServer::shared().database();
    let gates = [Gate::new("one"), Gate::new("other")];
    let (one, stores) = server(&url, &gates[0], false).await;
    let (other, _) = server(&url, &gates[1], false).await;
    let first = call(&one);
    gates[0].until_begun(1).await;
    let waiting: Vec<_> = (0..4).flat_map(|_| [call(&one), call(&other)]).collect();
    // Whoever does not wait has all the time to be wrong.
    gates[1].open.add_permits(8);
    tokio::time::sleep(Duration::from_millis(100)).await;
    gates[0].open.add_permits(1);
    assert_eq!(text(first.await.unwrap()), ("by one".to_owned(), false));
    for answered in join_all(waiting).await {
        assert_eq!(text(answered.unwrap()), ("by one".to_owned(), true));
    }
    assert_eq!((gates[0].begun(), gates[1].begun()), (1, 0));
    assert_eq!(outcomes(&stores).await, ["ok"]);
}

/// Takes a replica for dead that does not know it.
fn declare_dead(url: &str, stores: &Stores) {
    let id = stores.presence.replica().id.as_u64().cast_signed();
    let database = url.rsplit('/').next().unwrap();
    PostgresServer::shared().query(database, &format!("UPDATE mcp_replicas SET until = 0 WHERE id = {id}"));
}

#[tokio::test]
async fn what_a_dead_replica_had_begun_is_taken_over_and_its_late_answer_is_refused() {
    for repeatable in [true, false] {
        let url = PostgresServer::shared().database();
        let gates = [Gate::new("one"), Gate::new("other")];
        let (one, stores) = server(&url, &gates[0], repeatable).await;
        let (other, _) = server(&url, &gates[1], repeatable).await;
        let paused = call(&one);
        gates[0].until_begun(1).await;
        let waiting = call(&other);
        declare_dead(&url, &stores);
        if repeatable {
            gates[1].until_begun(1).await;
            gates[0].open.add_permits(1);
            gates[1].open.add_permits(1);
            assert_eq!(text(waiting.await.unwrap()), ("by other".to_owned(), false));
            assert_eq!(text(paused.await.unwrap()), ("by other".to_owned(), true));
            assert_eq!(outcomes(&stores).await, ["ok"], "what was refused is not recorded");
        } else {
            let unknown = waiting.await.unwrap();
            assert!(is_unknown(&unknown), "{unknown:?}");
            gates[0].open.add_permits(1);
            let late = paused.await.unwrap();
            assert!(is_unknown(&late), "{late:?}");
            assert_eq!((gates[1].begun(), outcomes(&stores).await), (0, vec!["outcome_unknown"]));
        }
        assert_eq!((gates[0].begun(), gates[1].begun()), (1, usize::from(repeatable)));
    }
}

fn key(n: u128) -> CallKey {
    let (tenant, principal) = (Tenant::from("a"), Principal::from("p"));
    CallKey { tenant, principal, tool: "t".to_owned(), key: n.to_string() }
}

async fn claim(stores: &Stores, key: &CallKey, owner: u128) -> Claimed {
    let (owner, replica) = (CallId::from_u128(owner), ReplicaId::from_u64(1));
    stores.idempotency.claim(key, &Claim { owner, replica, digest: [0; 32] }).await.unwrap()
}

fn answer(key: &CallKey, call: u128) -> Vec<Entry> {
    let record = CallRecord {
        id: CallId::from_u128(call),
        parent: None,
        tenant: key.tenant.clone(),
        principal: key.principal.clone(),
        address: None,
        tool: key.tool.clone(),
        arguments: "{}".into(),
        outcome: Outcome::Ok,
        result: "{}".into(),
        at: Timestamp::default(),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
    };
    let answer = Answer { key: key.clone(), arguments: [0; 32], call: record.id };
    vec![Entry::Call(record), Entry::Answer(answer)]
}

#[tokio::test]
async fn a_caller_has_so_many_keys_and_the_first_that_were_answered_are_forgotten() {
    let folder = TempDir::new().unwrap();
    for url in [url(&folder), PostgresServer::shared().database()] {
        let clock = SimulatedClock::new();
        let mut config = StoreConfig::new(&url, Arc::new(clock.clone())).unwrap();
        config.keys_per_caller = 10;
        let stores = mcp_store::open(&config).await.unwrap();
        let anothers = CallKey { principal: Principal::from("another"), ..key(0) };
        for (owner, key) in [(100, &anothers), (0, &key(0))] {
            claim(&stores, key, owner).await;
            stores.ledger.commit(answer(key, owner)).await.unwrap();
        }
        for n in 1..=20 {
            clock.advance(Duration::from_secs(1));
            assert_eq!(claim(&stores, &key(n), n).await, Claimed::First);
            // One is never answered, and stays.
            if n != 2 {
                stores.ledger.commit(answer(&key(n), n)).await.unwrap();
            }
        }
        let answered = |n: u128| Claimed::Answered(CallId::from_u128(n));
        for n in 11..=20 {
            assert_eq!(claim(&stores, &key(n), 99).await, answered(n));
        }
        assert_eq!(claim(&stores, &key(2), 2).await, Claimed::First, "it asks twice");
        assert_eq!(claim(&stores, &anothers, 99).await, answered(100), "others are not concerned");
        assert_eq!(claim(&stores, &key(1), 99).await, Claimed::First, "the first is forgotten");
    }
}
