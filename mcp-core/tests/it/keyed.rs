//! Calls that are sent twice under a key.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::caller::{Caller, Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::presence::Presence;
use mcp_core::store::StoreError;
use mcp_core::store::idempotency::{CallKey, Claim, Claimed, Idempotency};
use mcp_core::store::ledger::{CallId, Entry, Ledger};
use mcp_core::store::replicas::{Living, Replica, ReplicaId, Replicas};
use mcp_core::tool::error::KeyError;
use mcp_core::tool::function::NoInput;
use mcp_core::{
    Arguments, CallError, Context, Endpoint, IdempotencyKey, Server, Stores, Tool, ToolError, ToolOutput, tool_fn,
    tool_with,
};
use serde_json::{Value, json};

use crate::support::{Diary, House, Reply, Request, Strings, local, look, puppet, send, settle, until};

const META: &str = "io.github.mcp-embed/idempotencyKey";
const REPLAYED: &str = "io.github.mcp-embed/replayed";

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Add {
    n: usize,
}

/// Adds to a counter that everyone shares, and gives the sum.
async fn add(sum: Arc<AtomicUsize>, add: Add) -> Result<usize, ToolError> {
    Ok(sum.fetch_add(add.n, Ordering::Relaxed) + add.n)
}

fn counter() -> (Arc<AtomicUsize>, impl Tool) {
    let sum = Arc::new(AtomicUsize::new(0));
    (sum.clone(), tool_with("add", "Adds.", sum, add))
}

fn params(tool: &str, arguments: &Value, key: &str) -> Value {
    json!({"name": tool, "arguments": arguments, "_meta": {META: key}})
}

fn modern(tool: &str, arguments: &Value, key: &str) -> Request {
    Request::modern("tools/call", params(tool, arguments, key))
}

fn legacy(tool: &str, arguments: &Value, key: &str) -> Request {
    Request::legacy("tools/call", params(tool, arguments, key))
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

/// The answer without the mark, which only a replay has.
fn unmarked(reply: &Reply) -> String {
    let mark = format!("\"{REPLAYED}\":true");
    reply.text.replace(&format!(",{mark}"), "").replace(&format!(",\"_meta\":{{{mark}}}"), "")
}

fn is_replayed(reply: &Reply) -> bool {
    reply.result()["_meta"][REPLAYED] == true
}

#[tokio::test]
async fn a_call_that_is_sent_again_is_answered_as_the_first() {
    let (sum, add) = counter();
    let house = House::new(|builder| builder.tool(add));
    let arguments = json!({"n": 5});
    for (n, send) in [modern, legacy].into_iter().enumerate() {
        let request = send("add", &arguments, &format!("key-{n}"));
        let first = house.send(&request).await;
        assert!(!is_replayed(&first), "{first:?}");
        for _ in 0..3 {
            let again = house.send(&request).await;
            assert!(is_replayed(&again), "{again:?}");
            assert_eq!(unmarked(&again), first.text);
        }
    }
    // Whichever way the key comes, it is the same.
    let by_header = Request::call("add", arguments.clone()).with("idempotency-key", "key-0");
    assert!(is_replayed(&house.send(&by_header).await));
    let both = modern("add", &arguments, "key-0").with("idempotency-key", "key-0");
    assert!(is_replayed(&house.send(&both).await));
    let arguments = Arguments::from_value(&arguments).unwrap();
    let output = house.server.call_tool_once(local(), &key("key-1"), "add", arguments).await.unwrap();
    assert!(output.is_replayed());
    assert_eq!(output.structured_json(), Some("10"));
    assert_eq!(sum.load(Ordering::Relaxed), 10);
    assert_eq!(house.outcomes().await, [("add".to_owned(), "ok"), ("add".to_owned(), "ok")], "no replay is a call");
}

#[tokio::test]
async fn failures_are_answered_again_as_well() {
    let (puppet, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(puppet.max_output(64).timeout(Duration::from_secs(5))));
    type Fails = fn() -> Result<ToolOutput, ToolError>;
    let failures: [(&str, Fails, &str); 4] = [
        ("failed", || Err(ToolError::failed("no luck")), "error"),
        ("said", || Ok(ToolOutput::text("no luck").as_error()), "error"),
        ("large", || Ok(ToolOutput::text("x".repeat(65))), "error"),
        ("broken", || panic!("it broke"), "internal"),
    ];
    for (name, fail, outcome) in failures {
        strings.order(move |_| Some(fail()));
        let request = modern("puppet", &json!({}), name);
        let first = house.send(&request).await;
        let again = house.send(&request).await;
        assert_eq!(first.result()["isError"], true);
        assert!(is_replayed(&again) && unmarked(&again) == first.text, "{first:?} {again:?}");
        assert_eq!(house.outcomes().await.pop().unwrap().1, outcome);
    }
    let request = modern("puppet", &json!({}), "slow");
    let mut first = pin!(house.send(&request));
    assert!(look(first.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(5));
    settle().await;
    // Its grace.
    house.clock.advance(Duration::from_secs(1));
    let first = first.await;
    assert!(first.text.contains("longer than 5s"), "{first:?}");
    let again = house.send(&request).await;
    assert!(is_replayed(&again) && unmarked(&again) == first.text, "{again:?}");
    let error = house.server.call_tool_once(local(), &key("slow"), "puppet", Arguments::none()).await.unwrap_err();
    let CallError::Tool { error: ToolError::TimedOut(_), replayed: true, .. } = error else { panic!("{error:?}") };
    let error = house.server.call_tool_once(local(), &key("broken"), "puppet", Arguments::none()).await.unwrap_err();
    let id = house.records().await[3].id;
    let CallError::Tool { error: ToolError::Internal(_), replayed: true, id: of } = error else { panic!("{error:?}") };
    assert_eq!(of, id, "the log has the cause under the first");
    assert_eq!(house.records().await.len(), 5);
}

#[tokio::test]
async fn a_key_is_one_callers_and_one_tools() {
    let (sum, tool) = counter();
    let house = House::new(|builder| builder.tool(tool).tool(tool_with("other", "Adds.", sum.clone(), add)));
    let one = Arguments::from_value(&json!({"n": 1})).unwrap();
    let callers = [Caller::new("a", "ada"), Caller::new("a", "bob"), Caller::new("b", "ada")];
    for _ in 0..2 {
        for caller in &callers {
            for tool in ["add", "other"] {
                house.server.call_tool_once(caller.clone(), &key("k"), tool, one.clone()).await.unwrap();
            }
        }
    }
    assert_eq!(sum.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn other_arguments_are_refused() {
    let (sum, add) = counter();
    let house = House::new(|builder| builder.tool(add));
    house.send(&modern("add", &json!({"n": 1}), "k")).await;
    let refused = house.send(&modern("add", &json!({"n": 2}), "k")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (200, &json!(-32602)));
    assert!(refused.text.contains("other arguments"), "{refused:?}");
    let two = Arguments::from_value(&json!({"n": 2})).unwrap();
    let error = house.server.call_tool_once(local(), &key("k"), "add", two).await.unwrap_err();
    assert!(matches!(error, CallError::Tool { error: ToolError::Key(KeyError::Reused), .. }), "{error:?}");
    assert_eq!(sum.load(Ordering::Relaxed), 1);
    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["ok", "invalid", "invalid"]);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let (sum, add) = counter();
    let house = House::new(|builder| builder.tool(add));
    let arguments = json!({"n": 1});
    let long = "k".repeat(256);
    for bad in [json!(""), json!("a key"), json!(long), json!("é"), json!(7), json!(null)] {
        for method in [Request::modern, Request::legacy] {
            let request = method("tools/call", json!({"name": "add", "arguments": arguments, "_meta": {META: bad}}));
            let refused = house.send(&request).await.json();
            assert_eq!(refused["error"]["code"], -32602, "{refused}");
            assert!(refused["error"]["message"].as_str().unwrap().contains(META), "{refused}");
        }
    }
    let call = || Request::call("add", arguments.clone());
    for request in [
        call().with("idempotency-key", ""),
        call().with("idempotency-key", &long),
        call().with("idempotency-key", "k").with("idempotency-key", "k"),
        modern("add", &arguments, "one").with("idempotency-key", "other"),
    ] {
        let refused = house.send(&request).await.json();
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains("Idempotency-Key"), "{refused}");
    }
    assert_eq!(sum.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn duplicates_wait_for_the_first() {
    let (puppet, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(puppet));
    let request = modern("puppet", &json!({}), "k");
    let mut calls: Vec<_> = (0..4).map(|_| Box::pin(house.send(&request))).collect();
    for call in &mut calls {
        assert!(look(call.as_mut()).await.is_pending());
    }
    assert_eq!(strings.diary.read(), ["called"]);
    strings.finish("done");
    let mut replies = Vec::new();
    // No time passes: they are told.
    for call in &mut calls {
        let Poll::Ready(reply) = look(call.as_mut()).await else { panic!("it still waits") };
        replies.push(reply);
    }
    assert_eq!(replies.iter().filter(|reply| is_replayed(reply)).count(), 3);
    assert!(replies.iter().all(|reply| unmarked(reply) == unmarked(&replies[0])));
    assert_eq!(house.records().await.len(), 1);
}

#[tokio::test]
async fn duplicates_wait_as_long_as_they_might_have_taken() {
    let (puppet, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(puppet.timeout(Duration::from_secs(60))));
    let request = modern("puppet", &json!({}), "k");
    let mut first = Box::pin(house.send(&request));
    assert!(look(first.as_mut()).await.is_pending());
    let key = key("k");
    let mut second = Box::pin(house.server.call_tool_once(local(), &key, "puppet", Arguments::none()));
    assert!(look(second.as_mut()).await.is_pending());
    for _ in 0..59 {
        house.clock.advance(Duration::from_secs(1));
        settle().await;
    }
    assert!(look(second.as_mut()).await.is_pending());
    strings.finish("at last");
    let output = second.await.unwrap();
    assert_eq!((output.first_text(), output.is_replayed()), (Some("at last"), true));
    drop(first);
}

/// Another replica on the same stores; nothing is shared but these.
fn beside(stores: &Stores, clock: &Arc<SimulatedClock>, line: Option<Arc<Line>>, tool: impl Tool) -> Server {
    let mut stores = stores.clone();
    if let Some(line) = line {
        stores.replicas = line;
    }
    let replica = Replica::new("another machine", "1.0.0", clock.now());
    stores.presence = Presence::new(replica, LEASE, stores.replicas.clone(), clock.clone());
    Server::builder("replica", "1.0.0").clock(clock.clone()).stores(stores).tool(tool).build().unwrap()
}

const LEASE: Duration = Duration::from_secs(10);

/// The line to the stores, which may be cut.
struct Line {
    inner: Arc<dyn Replicas>,
    cut: AtomicBool,
}

#[async_trait]
impl Replicas for Line {
    async fn join(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError> {
        if self.cut.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        self.inner.join(replica, time).await
    }

    async fn leave(&self, id: ReplicaId) -> Result<(), StoreError> {
        self.inner.leave(id).await
    }

    async fn list(&self) -> Result<Vec<Living>, StoreError> {
        self.inner.list().await
    }
}

/// Two replicas; the first is in the middle of a call, and then not heard any more.
struct TwoReplicas {
    clock: Arc<SimulatedClock>,
    stores: Stores,
    line: Arc<Line>,
    first: Server,
    strings: Strings,
    second: Server,
    other_strings: Strings,
}

impl TwoReplicas {
    fn new(change: fn(crate::support::Puppet) -> crate::support::Puppet) -> Self {
        let clock = Arc::new(SimulatedClock::new());
        let stores = Stores::in_memory(clock.clone());
        let line = Arc::new(Line { inner: stores.replicas.clone(), cut: AtomicBool::new(false) });
        let ((one, strings), (other, other_strings)) = (puppet("puppet"), puppet("puppet"));
        let first = beside(&stores, &clock, Some(line.clone()), change(one));
        let second = beside(&stores, &clock, None, change(other));
        Self { clock, stores, line, first, strings, second, other_strings }
    }

    fn call(server: &Server) -> BoxFuture<'static, Result<ToolOutput, CallError>> {
        let server = server.clone();
        async move { server.call_tool_once(local(), &key("k"), "puppet", Arguments::none()).await }.boxed()
    }

    async fn pass(&self, seconds: usize) {
        for _ in 0..seconds {
            settle().await;
            self.clock.advance(Duration::from_secs(1));
        }
        settle().await;
    }

    async fn outcomes(&self) -> Vec<&'static str> {
        let query = mcp_core::store::history::CallQuery::default();
        let calls = self.stores.history.calls(local().tenant(), &query).await.unwrap();
        calls.into_iter().map(|call| call.outcome.as_str()).collect()
    }
}

#[tokio::test]
async fn a_duplicate_waits_across_replicas() {
    let replicas = TwoReplicas::new(|tool| tool);
    let (mut one, mut other) = (TwoReplicas::call(&replicas.first), TwoReplicas::call(&replicas.second));
    assert!(look(one.as_mut()).await.is_pending());
    assert!(look(other.as_mut()).await.is_pending());
    replicas.pass(20).await;
    replicas.strings.finish("done");
    assert_eq!(one.await.unwrap().first_text(), Some("done"));
    replicas.pass(1).await;
    let Poll::Ready(replay) = look(other.as_mut()).await else { panic!("it waits for nothing") };
    let replay = replay.unwrap();
    assert_eq!((replay.first_text(), replay.is_replayed()), (Some("done"), true));
    assert_eq!(replicas.other_strings.diary.read(), [""; 0]);

    let (mut one, mut other) = (TwoReplicas::call(&replicas.first), TwoReplicas::call(&replicas.second));
    assert!(look(one.as_mut()).await.is_ready() && look(other.as_mut()).await.is_ready());
}

#[tokio::test]
async fn a_duplicate_that_has_waited_for_too_long_may_be_sent_again() {
    let replicas = TwoReplicas::new(|tool| tool.timeout(Duration::from_secs(30)));
    let mut one = TwoReplicas::call(&replicas.first);
    assert!(look(one.as_mut()).await.is_pending());
    let short = tool_with("puppet", "Is not called.", Diary::default(), never).timeout(Duration::from_secs(5));
    let hasty = beside(&replicas.stores, &replicas.clock, None, short);
    let mut other = TwoReplicas::call(&hasty);
    assert!(look(other.as_mut()).await.is_pending());
    replicas.pass(6).await;
    let Poll::Ready(Err(error)) = look(other.as_mut()).await else { panic!("it waits on") };
    assert!(matches!(error, CallError::Tool { error: ToolError::Key(KeyError::StillRunning), .. }), "{error:?}");
    replicas.strings.finish("done");
    one.await.unwrap();
    assert_eq!(TwoReplicas::call(&hasty).await.unwrap().first_text(), Some("done"));
    assert_eq!(replicas.outcomes().await, ["ok"]);
}

async fn never(diary: Diary, _: NoInput) -> Result<String, ToolError> {
    diary.write("called");
    Ok("never".to_owned())
}

#[tokio::test]
async fn what_died_is_run_again_if_it_may_be() {
    let replicas = TwoReplicas::new(|tool| tool.repeatable());
    let mut one = TwoReplicas::call(&replicas.first);
    assert!(look(one.as_mut()).await.is_pending());
    replicas.line.cut.store(true, Ordering::Relaxed);
    let mut other = TwoReplicas::call(&replicas.second);
    replicas.pass(4).await;
    assert!(look(other.as_mut()).await.is_pending());
    assert_eq!(replicas.other_strings.diary.read(), [""; 0], "the first may still live");
    replicas.pass(12).await;
    assert!(look(other.as_mut()).await.is_pending());
    assert_eq!(replicas.other_strings.diary.read(), ["called"]);
    // Late, the first comes to its end, and is not believed: its client is told what the second says.
    replicas.strings.finish("from the first");
    assert!(look(one.as_mut()).await.is_pending());
    replicas.other_strings.finish("from the second");
    assert_eq!(other.await.unwrap().first_text(), Some("from the second"));
    replicas.line.cut.store(false, Ordering::Relaxed);
    replicas.pass(12).await;
    let Poll::Ready(one) = look(one.as_mut()).await else { panic!("it waits for nothing") };
    assert_eq!(one.unwrap().first_text(), Some("from the second"));
    assert_eq!(replicas.outcomes().await, ["ok"]);
}

#[tokio::test]
async fn what_died_and_may_not_be_run_again_has_an_unknown_outcome_for_good() {
    let replicas = TwoReplicas::new(|tool| tool);
    let mut one = TwoReplicas::call(&replicas.first);
    assert!(look(one.as_mut()).await.is_pending());
    replicas.line.cut.store(true, Ordering::Relaxed);
    replicas.pass(12).await;
    let unknown = |result: Result<ToolOutput, CallError>, was_replayed: bool| {
        let error = result.unwrap_err();
        let CallError::Tool { error: ToolError::Key(KeyError::OutcomeUnknown), replayed, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(replayed, was_replayed);
    };
    unknown(TwoReplicas::call(&replicas.second).await, false);
    unknown(TwoReplicas::call(&replicas.second).await, true);
    assert_eq!(replicas.other_strings.diary.read(), [""; 0], "it was not called twice");
    replicas.strings.finish("from the first");
    replicas.line.cut.store(false, Ordering::Relaxed);
    replicas.pass(12).await;
    let Poll::Ready(late) = look(one.as_mut()).await else { panic!("it waits for nothing") };
    unknown(late, true);
    assert_eq!(replicas.outcomes().await, ["outcome_unknown"]);
    let endpoint = Endpoint::new(replicas.second.clone());
    let shown = send(&endpoint, &modern("puppet", &json!({}), "k")).await.result();
    assert_eq!(shown["isError"], true);
    assert!(shown["content"][0]["text"].as_str().unwrap().starts_with("the outcome is unknown"), "{shown}");
}

#[tokio::test]
async fn a_replica_that_is_not_heard_begins_no_call_with_a_key() {
    let replicas = TwoReplicas::new(|tool| tool);
    let endpoint = Endpoint::new(replicas.first.clone());
    replicas.first.join().await.unwrap();
    replicas.line.cut.store(true, Ordering::Relaxed);
    replicas.pass(12).await;
    let refused = send(&endpoint, &modern("puppet", &json!({}), "k")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!(-32603)));
    assert_eq!(replicas.strings.diary.read(), [""; 0]);
    replicas.line.cut.store(false, Ordering::Relaxed);
    // What it asked last is still without an answer, and given up first.
    replicas.pass(12).await;
    replicas.strings.finish("done");
    assert_eq!(send(&endpoint, &modern("puppet", &json!({}), "k")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_finds_its_answer_when_it_comes_back() {
    for send in [modern, legacy] {
        let (puppet, strings) = puppet("puppet");
        let house = House::new(|builder| builder.tool(puppet));
        let request = send("puppet", &json!({}), "k");
        for client in 0..3 {
            let mut leaving = Box::pin(house.send(&request));
            assert!(look(leaving.as_mut()).await.is_pending());
            drop(leaving);
            settle().await;
            assert_eq!(strings.diary.read(), ["called"], "client {client}");
        }
        strings.pull(|cx| assert!(!cx.is_cancelled(), "nobody told it to end"));
        strings.finish("done");
        until("it ends", || strings.diary.has("dropped")).await;
        settle().await;
        let again = house.send(&request).await;
        assert!(is_replayed(&again), "{again:?}");
        assert_eq!(again.result()["content"][0]["text"], "done");
        assert_eq!(house.outcomes().await, [("puppet".to_owned(), "ok")]);
    }
}

#[tokio::test]
async fn what_was_refused_before_it_began_may_be_sent_again() {
    let (sum, add) = counter();
    let house = House::new(|builder| builder.tool(add));
    let wrong = house.send(&modern("add", &json!({"n": "one"}), "k")).await.result();
    assert_eq!(wrong["isError"], true, "{wrong}");
    let right = house.send(&modern("add", &json!({"n": 1}), "k")).await;
    assert!(!is_replayed(&right));
    assert_eq!(sum.load(Ordering::Relaxed), 1);
    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["invalid", "ok"]);
}

#[tokio::test]
async fn what_was_unavailable_is_no_answer() {
    for (repeatable, next) in [(true, "done"), (false, "the outcome is unknown")] {
        let (puppet, strings) = puppet("puppet");
        let house = House::new(|builder| builder.tool(if repeatable { puppet.repeatable() } else { puppet }));
        let request = modern("puppet", &json!({}), "k");
        strings.order(|_| Some(Err(ToolError::Unavailable("the printer is gone".into()))));
        assert_eq!(house.send(&request).await.status, 503);
        if repeatable {
            strings.finish("done");
        }
        for _ in 0..2 {
            let answer = house.send(&request).await.result();
            assert!(answer["content"][0]["text"].as_str().unwrap().starts_with(next), "{answer}");
        }
    }
}

/// Stores that are away when the test wants.
struct Away {
    idempotency: Arc<dyn Idempotency>,
    ledger: Arc<dyn Ledger>,
    claims: AtomicBool,
    commits: AtomicBool,
}

impl Away {
    fn before(mut stores: Stores) -> (Arc<Self>, Stores) {
        let (idempotency, ledger) = (stores.idempotency.clone(), stores.ledger.clone());
        let (claims, commits) = (AtomicBool::new(false), AtomicBool::new(false));
        let away = Arc::new(Self { idempotency, ledger, claims, commits });
        (stores.idempotency, stores.ledger) = (away.clone(), away.clone());
        (away, stores)
    }

    fn look(away: &AtomicBool) -> Result<(), StoreError> {
        if away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { store: "store", source: None });
        }
        Ok(())
    }
}

#[async_trait]
impl Idempotency for Away {
    async fn claim(&self, key: &CallKey, claim: &Claim) -> Result<Claimed, StoreError> {
        let claimed = self.idempotency.claim(key, claim).await;
        // What was asked may have been done all the same.
        Self::look(&self.claims)?;
        claimed
    }

    async fn release(&self, key: &CallKey, owner: CallId, begun: bool) -> Result<(), StoreError> {
        Self::look(&self.claims)?;
        self.idempotency.release(key, owner, begun).await
    }

    async fn prune(&self, age: Duration, limit: u16) -> Result<u64, StoreError> {
        self.idempotency.prune(age, limit).await
    }

    async fn prune_surplus(&self, most: u64, limit: u16) -> Result<u64, StoreError> {
        self.idempotency.prune_surplus(most, limit).await
    }

    async fn erase(&self, tenant: &Tenant, principal: &Principal, limit: u16) -> Result<u64, StoreError> {
        self.idempotency.erase(tenant, principal, limit).await
    }
}

impl Ledger for Away {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        match Self::look(&self.commits) {
            Ok(()) => self.ledger.commit(entries),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }
}

#[tokio::test]
async fn where_keys_cannot_be_claimed_nothing_is_begun_and_the_key_is_free_afterwards() {
    let ((sum, add), mut away) = (counter(), None);
    let house = House::with_stores(
        |stores| {
            let (made, stores) = Away::before(stores);
            away = Some(made);
            stores
        },
        |builder| builder.tool(add),
    );
    let away = away.unwrap();
    let request = modern("add", &json!({"n": 1}), "k");
    away.claims.store(true, Ordering::Relaxed);
    let refused = house.send(&request).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!(-32603)));
    assert_eq!(sum.load(Ordering::Relaxed), 0);
    away.claims.store(false, Ordering::Relaxed);
    settle().await;
    house.clock.advance(Duration::from_secs(10));
    settle().await;
    assert!(!is_replayed(&house.send(&request).await));
    assert_eq!(sum.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_that_could_not_be_kept_was_not_given() {
    for (repeatable, sum) in [(true, "2"), (false, "the outcome is unknown")] {
        let ((_, mut away), (_, tool)) =
            ((0, None), (0, tool_with("add", "Adds.", Arc::new(AtomicUsize::new(0)), add)));
        let house = House::with_stores(
            |stores| {
                let (made, stores) = Away::before(stores);
                away = Some(made);
                stores
            },
            |builder| builder.tool(if repeatable { tool.repeatable() } else { tool }),
        );
        let away = away.unwrap();
        let request = modern("add", &json!({"n": 1}), "k");
        away.commits.store(true, Ordering::Relaxed);
        assert_eq!(house.send(&request).await.status, 503);
        away.commits.store(false, Ordering::Relaxed);
        for _ in 0..2 {
            let answer = house.send(&request).await.result();
            assert!(answer["content"][0]["text"].as_str().unwrap().starts_with(sum), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_call_names_its_effect() {
    async fn name(_: NoInput, cx: Context) -> Result<String, ToolError> {
        Ok(cx.key())
    }
    let house =
        House::new(|builder| builder.tool(tool_fn("name", "Names.", name)).tool(tool_fn("other", "Names.", name)));
    let call = async |caller: Caller, text: Option<&str>, tool: &str| {
        let output = match text {
            Some(text) => house.server.call_tool_once(caller, &key(text), tool, Arguments::none()).await,
            None => house.server.call_tool(caller, tool, Arguments::none()).await,
        };
        output.unwrap().first_text().unwrap().to_owned()
    };
    let ada = || Caller::new("a", "ada");
    let mut names = vec![
        call(ada(), Some("k"), "name").await,
        call(ada(), Some("l"), "name").await,
        call(ada(), Some("k"), "other").await,
        call(Caller::new("a", "bob"), Some("k"), "name").await,
        call(Caller::new("b", "ada"), Some("k"), "name").await,
        call(ada(), None, "name").await,
        call(ada(), None, "name").await,
    ];
    assert!(names.iter().all(|name| name.len() <= 43 && name.bytes().all(|byte| byte.is_ascii_graphic())), "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 7);
}

/// Prints a page, and gives the name of what it did.
async fn print(pages: Arc<AtomicUsize>, page: Add, cx: Context) -> Result<String, ToolError> {
    pages.fetch_add(page.n, Ordering::Relaxed);
    Ok(cx.key())
}

/// Prints several pages, and ends by breaking the first time.
async fn book(attempts: Arc<AtomicUsize>, _: NoInput, cx: Context) -> Result<Vec<String>, ToolError> {
    let mut names = Vec::new();
    for (tool, n) in [("print", 1), ("print", 2), ("print", 2), ("sketch", 4)] {
        let output = cx.call(tool, Arguments::from_value(&json!({"n": n}))?).await?;
        names.push(output.first_text().unwrap_or_default().to_owned());
    }
    if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
        return Err(ToolError::Unavailable("out of glue".into()));
    }
    Ok(names)
}

#[tokio::test]
async fn a_call_that_is_run_again_finds_what_it_has_called_before() {
    let (pages, sketches) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let house = House::new(|builder| {
        builder
            .tool(tool_with("print", "Prints.", pages.clone(), print).deduplicated())
            .tool(tool_with("sketch", "Prints, whatever happens.", sketches.clone(), print))
            .tool(tool_with("book", "Makes a book.", Arc::new(AtomicUsize::new(0)), book).repeatable())
    });
    let request = modern("book", &json!({}), "k");
    assert_eq!(house.send(&request).await.status, 503);
    assert_eq!((pages.load(Ordering::Relaxed), sketches.load(Ordering::Relaxed)), (5, 4));
    let names = house.send(&request).await.result()["structuredContent"].clone();
    assert_eq!((pages.load(Ordering::Relaxed), sketches.load(Ordering::Relaxed)), (5, 8), "pages are printed once");
    let mut names: Vec<_> = names.as_array().unwrap().iter().map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "each has a name of its own");
    // Without a key, each call is another one.
    house.call("book", json!({})).await;
    assert_eq!((pages.load(Ordering::Relaxed), sketches.load(Ordering::Relaxed)), (10, 12));
}

#[tokio::test]
async fn replays_are_counted_apart() {
    let (_, add) = counter();
    let house = House::new(|builder| builder.tool(add).measured());
    for _ in 0..3 {
        house.send(&modern("add", &json!({"n": 1}), "k")).await;
    }
    let measures = house.server.measures();
    let ended: u64 = measures[0].calls.iter().map(|(_, count)| count).sum();
    assert_eq!((ended, measures[0].durations.count(), measures[0].keys.replayed, measures[0].in_flight), (1, 1, 2, 0));
}

#[tokio::test]
async fn a_server_without_stores_keeps_keys_as_well() {
    let (sum, add) = counter();
    let server = Server::builder("bare", "1.0.0").tool(add).build().unwrap();
    let one = Arguments::from_value(&json!({"n": 1})).unwrap();
    for replayed in [false, true] {
        let output = server.call_tool_once(local(), &key("k"), "add", one.clone()).await.unwrap();
        assert_eq!((output.structured_json(), output.is_replayed()), (Some("1"), replayed));
    }
    assert_eq!(sum.load(Ordering::Relaxed), 1);
}
