//! What is kept of a call, and when it is answered.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::caller::Caller;
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{Entry, Ledger};
use mcp_core::{Arguments, CallError, Endpoint, Progress, Server, Stores, ToolError, tool_fn, tool_with};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Events, FullLedger, House, Reply, Request, begin, events, local, look, puppet, settle};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Echo {
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

/// Takes entries at once, and answers when the test lets it.
struct Held {
    inner: Arc<dyn Ledger>,
    taken: Mutex<Vec<Entry>>,
    let_go: Arc<Semaphore>,
}

impl Held {
    fn before(mut stores: Stores) -> (Arc<Self>, Stores) {
        let held = Self { inner: stores.ledger.clone(), taken: Mutex::default(), let_go: Arc::new(Semaphore::new(0)) };
        let held = Arc::new(held);
        stores.ledger = held.clone();
        (held, stores)
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

impl Ledger for Held {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.taken.lock().unwrap().extend(entries.clone());
        let (committed, let_go) = (self.inner.commit(entries), self.let_go.clone());
        async move {
            let_go.acquire().await.expect("it is never closed").forget();
            committed.await
        }
        .boxed()
    }
}

/// Takes nothing.
struct Gone;

impl Ledger for Gone {
    fn commit(&self, _: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::Unavailable { store: "ledger", source: None })).boxed()
    }
}

fn without_ledger(stores: Stores) -> Stores {
    with_ledger(Gone, stores)
}

fn with_ledger(ledger: impl Ledger, mut stores: Stores) -> Stores {
    stores.ledger = Arc::new(ledger);
    stores
}

#[tokio::test]
async fn a_record_says_who_called_what_with_what_and_how_it_ended() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool_fn("echo", "Echoes.", echo)).tool(tool));
    let mut request = Request::call("echo", json!({"message": "hi"}));
    let body = String::from_utf8(request.body).unwrap();
    request.body = body.replace(r#"{"message":"hi"}"#, "{ \"message\" :\n\"h\\u0069\" , \"more\": 1.50 }").into_bytes();
    house.send(&request).await.result();
    house.clock.advance(Duration::from_micros(1_500));

    let caller = Caller::new("default", "ann");
    let mut call = pin!(house.server.call_tool(caller.clone(), "puppet", Arguments::none()));
    assert!(look(call.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_micros(2_000_001));
    strings.finish("done");
    assert!(look(call).await.is_ready());

    let records = house.records().await;
    let [first, second] = &records[..] else { panic!("two calls, and not {records:?}") };
    assert_eq!(first.arguments, "{ \"message\" :\n\"h\\u0069\" , \"more\": 1.50 }", "as they came");
    assert_eq!(first.result, r#"{"content":[{"type":"text","text":"hi"}]}"#);
    assert_eq!((first.tenant.as_str(), first.principal.as_str(), first.tool.as_str()), ("default", "local", "echo"));
    assert_eq!((first.outcome.as_str(), first.parent), ("ok", None));
    assert_eq!((first.at.to_string().as_str(), first.duration), ("2026-01-01T00:00:00.000000Z", Duration::ZERO));
    assert_eq!((second.principal.as_str(), second.duration), ("ann", Duration::from_micros(2_000_001)));
    assert_eq!(second.at.to_string(), "2026-01-01T00:00:00.001500Z");
    assert!(first.id < second.id);

    // An administrator sees all of the tenant's calls, others their own.
    let seen = async |caller: &Caller| house.server.calls(caller, CallQuery::default()).await.unwrap().len();
    assert_eq!((seen(&local()).await, seen(&caller).await), (2, 1));
    assert_eq!(seen(&Caller::new("other", "ann").with_role(Caller::ADMIN)).await, 0);
}

#[tokio::test]
async fn what_is_refused_before_the_tool_runs_is_recorded_and_what_names_no_tool_is_not() {
    let house = House::new(|builder| builder.tool(tool_fn("echo", "Echoes.", echo)));
    let refused = house.call("echo", json!({"message": 5})).await;
    assert_eq!(refused["isError"], true);
    assert_eq!(house.send(&Request::call("ecko", json!({}))).await.json()["error"]["code"], -32602);
    let records = house.records().await;
    assert_eq!((records.len(), records[0].outcome.as_str()), (1, "invalid"));
    let shown = json!({"content": refused["content"], "isError": true});
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&records[0].result).unwrap(), shown, "as the client saw it");
}

#[tokio::test]
async fn a_call_is_answered_after_its_record_is_committed() {
    for read_only in [false, true] {
        let tool = tool_fn("echo", "Echoes.", echo);
        let tool = if read_only { tool.read_only() } else { tool };
        let mut ledger = None;
        let house = House::with_stores(
            |stores| {
                let (held, stores) = Held::before(stores);
                ledger = Some(held);
                stores
            },
            |builder| builder.tool(tool),
        );
        let ledger = ledger.unwrap();
        let request = Request::call("echo", json!({"message": "hi"}));
        let mut reply = pin!(house.send(&request));
        assert!(look(reply.as_mut()).await.is_pending());
        assert_eq!(ledger.taken(), 1, "it is in the queue");
        assert!(look(reply.as_mut()).await.is_pending());
        ledger.let_go.add_permits(1);
        let Poll::Ready(reply) = look(reply).await else { panic!("it is committed") };
        assert_eq!(reply.result()["content"][0]["text"], "hi");
        assert_eq!(ledger.taken(), 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_record_is_written_leaves_one_record() {
    for read_only in [false, true] {
        let tool = tool_fn("echo", "Echoes.", echo);
        let tool = if read_only { tool.read_only() } else { tool };
        let mut ledger = None;
        let house = House::with_stores(
            |stores| {
                let (held, stores) = Held::before(stores);
                ledger = Some(held);
                stores
            },
            |builder| builder.tool(tool),
        );
        let ledger = ledger.unwrap();
        {
            let request = Request::call("echo", json!({"message": "hi"}));
            let mut reply = pin!(house.send(&request));
            assert!(look(reply.as_mut()).await.is_pending());
        }
        settle().await;
        ledger.let_go.add_permits(1);
        settle().await;
        assert_eq!(ledger.taken(), 1);
        assert_eq!(house.outcomes().await, [("echo".to_owned(), "ok")]);
    }
}

#[tokio::test]
async fn a_call_that_is_not_admitted_does_not_run() {
    let ran = Arc::new(AtomicUsize::new(0));
    let touch = async |ran: Arc<AtomicUsize>| {
        ran.fetch_add(1, Ordering::Relaxed);
        Ok::<_, ToolError>(())
    };
    let tool = tool_with("touch", "Counts.", ran.clone(), touch);
    let house = House::with_stores(|stores| with_ledger(FullLedger, stores), |builder| builder.tool(tool));
    for request in [Request::call("touch", json!({})), Request::legacy("tools/call", json!({"name": "touch"}))] {
        let reply = house.send(&request).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text);
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_call_whose_record_cannot_be_kept_has_no_result() {
    let (tool, strings) = puppet("puppet");
    let house = House::with_stores(without_ledger, |builder| builder.tool(tool_fn("echo", "Echoes.", echo)).tool(tool));
    let expected = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"a service that this call needs is unavailable; try again later"}}"#;
    for request in [
        Request::call("echo", json!({"message": "hi"})),
        Request::call("echo", json!({"message": 5})),
        Request::legacy("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}})),
    ] {
        let reply = house.send(&request).await;
        assert_eq!((reply.status, reply.header("retry-after"), &*reply.text), (503, Some("1"), expected));
    }
    let call = house.server.call_tool(local(), "echo", Arguments::from_json(r#"{"message":"hi"}"#).unwrap()).await;
    assert!(matches!(call, Err(CallError::Tool { error: ToolError::Unavailable(_), .. })), "{call:?}");

    // In a stream, whose status has been sent, it is the last event.
    let request = Request::listening_call("puppet");
    let mut answer = pin!(begin(&house.endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    let Poll::Ready(answer) = look(answer).await else { panic!("it has spoken") };
    let mut stream = Events::of(answer);
    assert_eq!(events(&stream.next().await.unwrap()).len(), 1);
    strings.finish("done");
    assert_eq!(stream.next().await.unwrap(), format!("event: message\ndata: {expected}\n\n"));
    assert!(stream.ended().await);
    // Also where it speaks and ends before the stream has begun.
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    strings.finish("done");
    let whole = house.send(&Request::listening_call("puppet")).await;
    assert_eq!((whole.status, whole.events()[1]["error"]["code"].as_i64()), (200, Some(-32603)));
}

#[tokio::test]
async fn a_server_that_stops_waits_for_its_records_and_not_for_ever() {
    let mut ledger = None;
    let house = House::with_stores(
        |stores| {
            let (held, stores) = Held::before(stores);
            ledger = Some(held);
            stores
        },
        |builder| builder,
    );
    let mut drained = pin!(house.server.drain(Duration::from_secs(3)));
    assert!(look(drained.as_mut()).await.is_pending());
    ledger.unwrap().let_go.add_permits(1);
    assert_eq!(look(drained).await, Poll::Ready(0));

    let mut drained = pin!(house.server.drain(Duration::from_secs(3)));
    assert!(look(drained.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(3));
    assert_eq!(look(drained).await, Poll::Ready(0));
}

#[tokio::test]
async fn without_stores_nothing_is_recorded() {
    let server = Server::builder("house", "1.0.0").tool(tool_fn("echo", "Echoes.", echo)).build().unwrap();
    let endpoint = Endpoint::new(server.clone());
    let answer = begin(&endpoint, &Request::call("echo", json!({"message": "hi"}))).await;
    assert_eq!(Reply::of(answer).await.result()["content"][0]["text"], "hi");
    let calls = server.calls(&local(), CallQuery::default()).await;
    assert!(matches!(calls, Err(StoreError::Unavailable { .. })), "{calls:?}");
    assert_eq!(server.drain(Duration::from_secs(1)).await, 0);
}
