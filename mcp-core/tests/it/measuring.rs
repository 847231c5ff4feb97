//! What is counted, and when.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use mcp_core::measure::{Histogram, ToolMeasures};
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{Entry, Ledger, Outcome};
use mcp_core::{Arguments, Context, Stores, ToolError, ToolOutput};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::support::{House, Request, local, logging, look, puppet, settle};

fn measures(house: &House) -> ToolMeasures {
    let [measures] = house.server.measures().try_into().expect("one tool is offered");
    measures
}

/// The outcomes that were counted.
fn counted(house: &House) -> Vec<(&'static str, u64)> {
    let calls = measures(house).calls.into_iter().map(|(outcome, count)| (outcome.as_str(), count));
    calls.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn each_call_is_counted_by_how_it_ended_before_its_answer_is_there() {
    type End = fn(&Context) -> Option<Result<ToolOutput, ToolError>>;
    let ends: [(End, &str); 5] = [
        (|_| Some(Ok(ToolOutput::text("done"))), "ok"),
        (|_| Some(Ok(ToolOutput::text("half done").as_error())), "error"),
        (|_| Some(Err(ToolError::failed("closed"))), "error"),
        (|_| Some(Err(ToolError::arguments("no"))), "invalid"),
        (|_| Some(Err(ToolError::Internal("broken".into()))), "internal"),
    ];
    for (end, outcome) in ends {
        let (tool, strings) = puppet("puppet");
        let house = House::new(|builder| builder.tool(tool).measured());
        strings.order(end);
        house.send(&Request::call("puppet", json!({}))).await;
        assert_eq!(counted(&house), [(outcome, 1)]);
        assert_eq!(house.outcomes().await, [("puppet".to_owned(), outcome)], "as the record has it");
        assert_eq!((measures(&house).in_flight, measures(&house).durations.count()), (0, 1));
    }
}

#[tokio::test]
async fn a_call_under_way_is_counted_as_such_and_for_as_long_as_it_took() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool).measured());
    let mut call = std::pin::pin!(house.call("puppet", json!({})));
    assert!(look(call.as_mut()).await.is_pending());
    assert_eq!((measures(&house).in_flight, counted(&house)), (1, vec![]));
    house.clock.advance(Duration::from_millis(30));
    strings.finish("done");
    call.await;
    let ToolMeasures { tool, durations, in_flight, cache, .. } = measures(&house);
    assert_eq!((tool.as_str(), in_flight, cache), ("puppet", 0, None));
    assert_eq!(durations.sum(), Duration::from_millis(30));
    let first = durations.at_most().find(|(_, count)| *count == 1);
    assert_eq!(first, Some((Histogram::BOUNDS[8], 1)), "thirty milliseconds are at most fifty");
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let (tool, _strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only()).measured());
    {
        let mut call = std::pin::pin!(house.call("puppet", json!({})));
        assert!(look(call.as_mut()).await.is_pending());
    }
    assert_eq!((counted(&house), measures(&house).in_flight), (vec![("cancelled", 1)], 0));
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_counted_as_the_failure_that_its_client_sees() {
    struct Gone;
    impl Ledger for Gone {
        fn commit(&self, _: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
            std::future::ready(Err(StoreError::Unavailable { store: "ledger", source: None })).boxed()
        }
    }
    let (tool, strings) = puppet("puppet");
    let gone = |mut stores: Stores| {
        stores.ledger = Arc::new(Gone);
        stores
    };
    let house = House::with_stores(gone, |builder| builder.tool(tool).measured());
    strings.finish("done");
    house.send(&Request::call("puppet", json!({}))).await;
    assert_eq!(counted(&house), [(Outcome::Internal.as_str(), 1)]);
}

#[tokio::test]
async fn a_cached_tool_tells_where_its_results_came_from() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.cached(Duration::from_secs(60), "t")).measured());
    let call = || house.server.call_tool(local(), "puppet", Arguments::none());
    let mut three = std::pin::pin!(join_all([call(), call(), call()]));
    assert!(look(three.as_mut()).await.is_pending());
    strings.finish("done");
    three.await;
    call().await.expect("it is cached");
    let cache = measures(&house).cache.expect("it is a cached tool");
    assert_eq!((cache.hits, cache.misses, cache.shared), (1, 1, 2));
    assert_eq!(counted(&house), [("ok", 4)]);
}

#[tokio::test]
async fn a_server_that_was_not_asked_to_counts_nothing() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    strings.finish("done");
    house.call("puppet", json!({})).await;
    strings.finish("done");
    house.send(&Request::call("puppet", json!({}))).await;
    assert!(house.server.measures().is_empty() && operations(&house).is_empty());
}

/// The requests that were counted: method, tool, by what it failed, how many.
fn operations(house: &House) -> Vec<(&'static str, String, &'static str, u64)> {
    let operations = house.server.operations().into_iter();
    operations
        .map(|of| (of.method, of.tool.unwrap_or_default(), of.fault.unwrap_or_default(), of.durations.count()))
        .collect()
}

#[tokio::test]
async fn each_request_of_the_protocol_is_counted_with_what_it_called_and_by_what_it_failed() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool).measured());
    let told = |method, tool: &str, fault, count| (method, tool.to_owned(), fault, count);
    for _ in 0..2 {
        strings.finish("done");
        house.send(&Request::call("puppet", json!({}))).await;
    }
    assert_eq!(operations(&house), [told("tools/call", "puppet", "", 2)]);
    strings.order(|_| Some(Err(ToolError::failed("closed"))));
    house.send(&Request::legacy("tools/call", json!({"name": "puppet"}))).await;
    house.send(&Request::call("nobody", json!({}))).await;
    house.send(&Request::modern("tools/list", json!({}))).await;
    house.send(&Request::modern("tools/list", json!({})).without("mcp-method")).await;
    house.send(&Request::modern("hunter2", json!({}))).await;
    house.send(&Request::legacy("ping", json!({}))).await;
    house.send(&Request::legacy("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}}))).await;
    let expected = [
        told("tools/call", "", "-32602", 1),
        told("tools/list", "", "", 1),
        told("tools/list", "", "-32020", 1),
        told("initialize", "", "", 1),
        told("ping", "", "", 1),
        told("_OTHER", "", "-32601", 1),
        told("tools/call", "puppet", "", 2),
        told("tools/call", "puppet", "tool_error", 1),
    ];
    assert_eq!(operations(&house), expected);
    strings.finish("done");
    house.server.call_tool(local(), "puppet", Arguments::none()).await.expect("it is done");
    assert_eq!(operations(&house), expected, "that was no request of the protocol");
}

#[tokio::test]
async fn a_request_takes_until_its_answer_is_there_or_its_client_has_left() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only()).measured());
    {
        let request = Request::call("puppet", json!({}));
        let mut left = std::pin::pin!(house.send(&request));
        assert!(look(left.as_mut()).await.is_pending());
        house.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(operations(&house), [("tools/call", "puppet".to_owned(), "cancelled", 1)]);
    assert_eq!(house.server.operations()[0].durations.sum(), Duration::from_secs(2));
    settle().await;
    strings.finish("done");
    house.send(&Request::call("puppet", json!({}))).await;
    assert_eq!(operations(&house).len(), 2, "it is counted once");
}

/// Also where the call goes on at the spawner, and after its client has left.
#[test]
fn what_a_call_logs_is_in_the_span_of_its_request_which_knows_the_call() {
    let text = logging(async |log| {
        let (tool, strings) = puppet("puppet");
        let house = House::new(|builder| builder.tool(tool));
        let empty = tracing::field::Empty;
        let span = tracing::error_span!("request", request_id = "r1", tool = empty, call = empty);
        {
            let call = house.call("puppet", json!({})).instrument(span);
            assert!(look(std::pin::pin!(call)).await.is_pending());
        }
        strings.pull(|_| tracing::info!("from inside of the tool"));
        strings.order(|_| Some(Err(ToolError::Internal("broken".into()))));
        settle().await;
        log.take()
    });
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = lines.iter().map(|line| line["fields"]["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["from inside of the tool", "a call failed"]);
    let call = &lines[1]["fields"]["call"];
    for line in &lines {
        // The others are for traces.
        assert_eq!(line["spans"][0], json!({"name": "request", "request_id": "r1", "tool": "puppet", "call": call}));
    }
}
