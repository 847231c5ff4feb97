//! What there is to do, and what is refused because of that.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, poll};
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::spawn::Spawner;
use mcp_core::tokio_runtime::TokioSpawner;
use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, CallError, Server, ToolError, tool_fn, tool_with};
use serde_json::json;

use crate::support::{House, Reply, Request, begin, local, look, puppet};

/// One thread, whatever machine this is.
struct OneThread;

impl Spawner for OneThread {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioSpawner::current().spawn(task);
    }
}

/// The clock of the house, which is there once that is.
type Hours = Arc<OnceLock<Arc<SimulatedClock>>>;

/// Holds its thread for 2 ms.
async fn burn(hours: Hours, _: NoInput) -> Result<String, ToolError> {
    hours.get().unwrap().advance(Duration::from_millis(2));
    Ok("burnt".to_owned())
}

async fn idle() -> Result<String, ToolError> {
    Ok("done".to_owned())
}

/// A house whose tool `burn` is known for what it costs.
async fn experienced() -> House {
    let hours = Hours::default();
    let burning = tool_with("burn", "Burns.", hours.clone(), burn);
    let idle = tool_fn("idle", "Does nothing.", idle);
    let house = House::new(|builder| builder.tool(burning).tool(idle).measured().spawner(Arc::new(OneThread)));
    hours.set(house.clock.clone()).ok().unwrap();
    for _ in 0..50 {
        house.call("burn", json!({})).await;
    }
    house
}

#[tokio::test]
async fn a_tool_that_holds_its_thread_is_not_run_where_requests_are_read() {
    let house = experienced().await;
    let (burning, idle) = (Request::call("burn", json!({})), Request::call("idle", json!({})));
    let mut call = Box::pin(begin(&house.endpoint, &burning));
    let before = house.clock.monotonic();
    assert!(poll!(call.as_mut()).is_pending());
    assert_eq!(house.clock.monotonic(), before, "nothing was burnt here");
    let mut other = Box::pin(begin(&house.endpoint, &idle));
    assert!(poll!(other.as_mut()).is_ready());
    assert!(call.await.status == 200);
}

#[tokio::test]
async fn what_would_wait_for_too_long_is_refused_at_once_and_what_was_taken_is_done() {
    let house = experienced().await;
    let (burning, idle) = (Request::call("burn", json!({})), Request::call("idle", json!({})));
    let mut taken = Vec::new();
    let refused = loop {
        assert!(taken.len() < 100, "all are taken");
        let mut call: Pin<Box<dyn Future<Output = _>>> = Box::pin(begin(&house.endpoint, &burning));
        match poll!(call.as_mut()) {
            Poll::Pending => taken.push(call),
            Poll::Ready(answer) => break Reply::of(answer).await,
        }
    };
    // As many as take 50 ms.
    assert!((20..=30).contains(&taken.len()), "{}", taken.len());
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text.contains("wait for a processor"), "{}", refused.text);
    let again = house.server.call_tool(local(), "burn", Arguments::none()).await;
    assert!(matches!(again, Err(CallError::Busy(_))));
    assert_eq!(house.send(&idle).await.status, 200, "others are not kept from anything");
    for call in taken {
        assert_eq!(call.await.status, 200);
    }
    assert_eq!(house.send(&burning).await.status, 200);
    let outcomes = house.outcomes().await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == "ok"), "what is refused is no call");
}

#[tokio::test]
async fn a_call_that_waits_and_whose_client_leaves_does_not_begin() {
    let house = experienced().await;
    let burning = Request::call("burn", json!({}));
    let calls = house.records().await.len();
    let mut call = Box::pin(begin(&house.endpoint, &burning));
    assert!(poll!(call.as_mut()).is_pending());
    let before = house.clock.monotonic();
    drop(call);
    crate::support::settle().await;
    assert_eq!((house.clock.monotonic(), house.records().await.len()), (before, calls));
    assert_eq!(house.send(&burning).await.status, 200);
}

#[tokio::test]
async fn as_many_calls_are_under_way_as_may_be() {
    for read_only in [false, true] {
        let (tool, strings) = puppet("puppet");
        let tool = if read_only { tool.read_only() } else { tool };
        let house = House::new(|builder| builder.tool(tool).max_in_flight(2));
        let request = Request::call("puppet", json!({}));
        let mut calls: Vec<_> = (0..2).map(|_| Box::pin(begin(&house.endpoint, &request))).collect();
        for call in &mut calls {
            assert!(house.endpoint.admit(&request).await.is_ok());
            assert!(look(call.as_mut()).await.is_pending());
        }
        let refused = house.endpoint.admit(&request).await.unwrap_err();
        assert_eq!(refused.status, 503);
        let refused = Reply::of(refused.into_answer()).await;
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(house.endpoint.identify(&request).await.is_ok(), "who asks how it is, is answered");
        strings.finish("done");
        strings.finish("done");
        for call in calls {
            assert_eq!(call.await.status, 200);
        }
        assert!(house.endpoint.admit(&request).await.is_ok());
    }
}

#[tokio::test]
async fn as_many_bytes_are_held_as_may_be() {
    let server = Server::builder("house", "1.0.0").max_bytes_in_flight(1_000).build().unwrap();
    let load = server.load();
    let mut one = load.hold(600).unwrap();
    assert_eq!(load.hold(600).map(drop).unwrap_err().status, 503);
    assert!(one.grow(401).is_err() && one.bytes() == 600);
    let other = load.hold(399).unwrap();
    let endpoint = mcp_core::Endpoint::new(server.clone());
    assert!(endpoint.check_load().is_ok());
    one.grow(1).unwrap();
    assert!(endpoint.check_load().is_err());
    drop((one, other));
    let mut answer = load.hold(0).unwrap();
    answer.set(2_000);
    assert!(endpoint.check_load().is_err(), "what is there counts, room or not");
    answer.set(1);
    assert!(endpoint.check_load().is_ok());
}

#[tokio::test]
async fn a_caller_has_as_many_streams_as_may_be_and_whoever_leaves_makes_room() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool).streams_per_caller(1));
    let listening = Request::listening_call("puppet");
    let listen = Request::modern("subscriptions/listen", json!({"notifications": {}}));
    let mut call = Box::pin(begin(&house.endpoint, &listening));
    assert!(look(call.as_mut()).await.is_pending());
    for more in [&listening, &listen] {
        let mut refused = Box::pin(house.send(more));
        // Whoever is let in by mistake listens without end.
        let Poll::Ready(refused) = look(refused.as_mut()).await else { panic!("it is not refused") };
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(refused.text.contains("1 streams open"), "{}", refused.text);
    }
    strings.finish("done");
    assert_eq!(call.await.status, 200);
    let open = begin(&house.endpoint, &listen).await;
    assert_eq!(open.status, 200);
    assert_eq!(house.send(&listening).await.status, 429);
    drop(open);
    let mut call = Box::pin(begin(&house.endpoint, &listening));
    assert!(look(call.as_mut()).await.is_pending());
    strings.finish("done");
    assert_eq!(call.now_or_never().map(|answer| answer.status).unwrap_or(200), 200);
}
