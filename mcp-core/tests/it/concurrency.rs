//! How many calls of a tool run at a time, and how many wait.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use mcp_core::tool::limited::LimitedBy;
use mcp_core::{Arguments, CallError, ToolError, ToolOutput};
use serde_json::json;

use crate::support::{House, Request, local, look, puppet, settle};

type Called = Result<ToolOutput, CallError>;

fn text(called: Poll<Called>) -> String {
    let Poll::Ready(called) = called else { panic!("it has ended") };
    called.expect("it goes well").first_text().expect("it gives a text").to_owned()
}

fn is_refused(called: &Poll<Called>) -> bool {
    let Poll::Ready(Err(CallError::Tool { error: ToolError::Limited(limited), .. })) = called else { return false };
    limited.by == LimitedBy::Concurrency
}

/// What was counted of the one tool: under way, waiting, refused.
fn counted(house: &House) -> [u64; 3] {
    let measures = house.server.measures().remove(0);
    [measures.in_flight, measures.waiting, measures.limited[LimitedBy::Concurrency as usize].1]
}

#[tokio::test]
async fn so_many_run_others_wait_in_their_order_and_what_finds_no_room_is_refused_at_once() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.concurrency(2, 2)).measured());
    let call = || Box::pin(house.server.call_tool(local(), "puppet", Arguments::none()));
    let mut calls = [call(), call(), call(), call()];
    for call in &mut calls {
        assert!(look(call.as_mut()).await.is_pending());
    }
    assert_eq!((strings.diary.read(), counted(&house)), (vec!["called"; 2], [4, 2, 0]));
    assert!(is_refused(&look(call().as_mut()).await));
    assert_eq!(counted(&house), [4, 2, 1]);

    let [mut first, mut second, mut third, mut fourth] = calls;
    strings.finish("first");
    assert_eq!(text(look(first.as_mut()).await), "first");
    assert_eq!((strings.diary.read().len(), counted(&house)), (4, [3, 1, 1]), "called, called, dropped, called");
    let mut fifth = call();
    assert!(look(fifth.as_mut()).await.is_pending(), "there is room to wait again, behind the fourth");
    strings.finish("second");
    assert_eq!(text(look(second.as_mut()).await), "second");
    strings.finish("third");
    assert_eq!(text(look(third.as_mut()).await), "third");
    strings.finish("fourth");
    assert_eq!(text(look(fourth.as_mut()).await), "fourth");
    strings.finish("fifth");
    assert_eq!((text(look(fifth.as_mut()).await), counted(&house)), ("fifth".to_owned(), [0, 0, 1]));
    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "limited").count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "ok").count(), 5);
}

#[tokio::test]
async fn who_leaves_frees_their_place_in_the_queue_and_at_the_tool() {
    for read_only in [false, true] {
        let (tool, strings) = puppet("puppet");
        let tool = if read_only { tool.read_only() } else { tool };
        let house = House::new(|builder| builder.tool(tool.concurrency(1, 1)).measured());
        let call = || Box::pin(house.server.call_tool(local(), "puppet", Arguments::none()));
        let (mut runs, mut waits) = (call(), call());
        assert!(look(runs.as_mut()).await.is_pending() && look(waits.as_mut()).await.is_pending());
        assert!(is_refused(&look(call().as_mut()).await));

        drop(waits);
        let mut waits = call();
        assert!(look(waits.as_mut()).await.is_pending(), "there is room in the queue");
        assert_eq!(strings.diary.read(), ["called"], "who has left before is never called");
        drop(runs);
        settle().await;
        if !read_only {
            // Until its grace is over it may go on.
            assert_eq!(strings.diary.read(), ["called"]);
            house.clock.advance(Duration::from_secs(1));
        }
        assert!(look(waits.as_mut()).await.is_pending());
        assert_eq!(strings.diary.read(), ["called", "dropped", "called"]);
        strings.finish("done");
        assert_eq!(text(look(waits.as_mut()).await), "done");
        assert_eq!(counted(&house), [0, 0, 1]);
    }
}

#[tokio::test]
async fn waiting_takes_part_in_the_time_of_a_call() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.concurrency(1, 5).timeout(Duration::from_secs(5))));
    let call = || Box::pin(house.server.call_tool(local(), "puppet", Arguments::none()));
    let mut runs = call();
    assert!(look(runs.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(1));
    let mut waits = call();
    assert!(look(waits.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(3));
    strings.finish("done");
    assert_eq!(text(look(runs.as_mut()).await), "done");
    assert!(look(waits.as_mut()).await.is_pending());
    assert_eq!(strings.diary.read(), ["called", "dropped", "called"]);
    // It has waited for three of its five seconds.
    house.clock.advance(Duration::from_secs(2));
    let mut late = call();
    assert!(look(late.as_mut()).await.is_pending() && look(waits.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(1));
    let Poll::Ready(Err(error)) = look(waits.as_mut()).await else { panic!("its grace is over") };
    assert_eq!(error.to_string(), "the tool took longer than 5s and was stopped");
    assert!(look(late.as_mut()).await.is_pending());
    assert_eq!(strings.diary.read(), ["called", "dropped", "called", "dropped", "called"], "the next has the place");
    let mut times: Vec<_> = house
        .records()
        .await
        .iter()
        .map(|call| (call.outcome.as_str(), call.duration.as_secs(), call.waited.as_secs()))
        .collect();
    times.sort_unstable();
    assert_eq!(times, [("ok", 4, 0), ("timed_out", 6, 3)], "the record says how much of it was waiting");
}

#[tokio::test]
async fn who_waits_for_too_long_is_never_called() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.concurrency(1, 5).timeout(Duration::from_secs(5))));
    let call = || Box::pin(house.server.call_tool(local(), "puppet", Arguments::none()));
    let mut runs = call();
    assert!(look(runs.as_mut()).await.is_pending());
    let mut waits = call();
    assert!(look(waits.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(5));
    let Poll::Ready(Err(error)) = look(waits.as_mut()).await else { panic!("it has no grace to wait in") };
    assert_eq!(error.to_string(), "the tool took longer than 5s and was stopped");
    house.clock.advance(Duration::from_secs(1));
    assert!(look(runs.as_mut()).await.is_ready());
    settle().await;
    assert_eq!(strings.diary.read(), ["called", "dropped"]);
}

#[tokio::test]
async fn who_finds_no_room_is_told_by_a_result_and_when_to_come_again() {
    let (tool, _strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.concurrency(1, 0)));
    let mut runs = pin!(house.call("puppet", json!({})));
    assert!(look(runs.as_mut()).await.is_pending());
    for request in [Request::call("puppet", json!({})), Request::legacy("tools/call", json!({"name": "puppet"}))] {
        let refused = house.send(&request).await;
        assert_eq!((refused.status, refused.header("retry-after")), (200, Some("1")));
        let told = "as many calls of this tool run and wait as may; try again in 1 s";
        assert_eq!(refused.result()["content"][0]["text"], told);
    }
    // It was not made, and so it is made when it is sent again under its key.
    let key = "k".parse().unwrap();
    let once = || house.server.call_tool_once(local(), &key, "puppet", Arguments::none());
    assert!(is_refused(&look(pin!(once())).await) && is_refused(&look(pin!(once())).await));
}

#[test]
fn a_tool_of_which_none_may_run_is_refused_when_the_server_is_built() {
    let (tool, _strings) = puppet("puppet");
    let refused = mcp_core::tool::registry::OfferedTool::new(std::sync::Arc::new(tool.concurrency(0, 1)));
    let Err(bad) = refused else { panic!("it is offered") };
    assert_eq!(bad.to_string(), "the tool \"puppet\" cannot be offered: none of its calls may run; let one at least");
}
