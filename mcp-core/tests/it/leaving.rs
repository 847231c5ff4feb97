//! A client that leaves: it drops the answer's future, or the stream.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::poll;
use mcp_core::endpoint::answer::Answer;
use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, Context, Progress, Tool, ToolError, tool_with};
use serde_json::{Value, json};

use crate::support::{Diary, Events, House, Request, begin, local, look, puppet, settle, until};

/// Waits for the sign, and then does not heed it.
async fn stubborn(diary: Diary, _: NoInput, cx: Context) -> Result<(), ToolError> {
    let _dropped = diary.on_drop("dropped");
    diary.write("called");
    cx.progress(Progress::new(1.0));
    cx.cancelled().await;
    diary.write("told");
    std::future::pending().await
}

/// Heeds the sign.
async fn obedient(diary: Diary, _: NoInput, cx: Context) -> Result<(), ToolError> {
    let _dropped = diary.on_drop("dropped");
    cx.cancelled().await;
    assert!(cx.is_cancelled());
    Err(ToolError::Cancelled)
}

/// Uses the grace to end well.
async fn finisher(diary: Diary, _: NoInput, cx: Context) -> Result<String, ToolError> {
    let _dropped = diary.on_drop("dropped");
    cx.cancelled().await;
    Ok("just in time".to_owned())
}

/// A way of leaving: before the answer has begun, or in the middle of its stream.
#[derive(Clone, Copy, PartialEq)]
enum Leave {
    Future,
    Stream,
}

const WAYS: [Leave; 2] = [Leave::Future, Leave::Stream];

/// Begins a call of the only tool, and leaves when it is under way.
async fn leave(house: &House, request: &Request, way: Leave) {
    let mut answer: Pin<Box<dyn Future<Output = Answer> + '_>> = Box::pin(begin(&house.endpoint, request));
    assert!(look(answer.as_mut()).await.is_pending());
    if way == Leave::Stream {
        house.clock.advance(Duration::from_secs(10));
        let mut stream = Events::of(answer.await);
        assert!(stream.next().await.is_some());
        assert!(stream.next().await.is_none());
    }
}

fn modern() -> Request {
    Request::call("tool", json!({}))
}

fn legacy() -> Request {
    Request::legacy("tools/call", json!({"name": "tool"}))
}

async fn outcome(house: &House) -> Vec<&'static str> {
    house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn a_call_is_told_and_dropped_after_a_grace() {
    for way in WAYS {
        let diary = Diary::default();
        let house = House::new(|builder| builder.tool(tool_with("tool", "Stays.", diary.clone(), stubborn)));
        leave(&house, &modern(), way).await;
        settle().await;
        assert_eq!(diary.read(), ["called", "told"]);
        house.clock.advance(Duration::from_millis(999));
        settle().await;
        assert_eq!(diary.read(), ["called", "told"]);
        assert!(house.records().await.is_empty());
        house.clock.advance(Duration::from_millis(1));
        settle().await;
        assert_eq!(diary.read(), ["called", "told", "dropped"]);
        assert_eq!(outcome(&house).await, ["cancelled"]);
    }
}

#[tokio::test]
async fn a_call_that_heeds_the_sign_needs_no_grace() {
    for way in WAYS {
        let diary = Diary::default();
        let house = House::new(|builder| builder.tool(tool_with("tool", "Heeds.", diary.clone(), obedient)));
        leave(&house, &modern(), way).await;
        settle().await;
        assert_eq!((diary.read(), outcome(&house).await), (vec!["dropped"], vec!["cancelled"]));
    }
}

#[tokio::test]
async fn what_a_call_did_in_its_grace_is_recorded() {
    for way in WAYS {
        let house = House::new(|builder| builder.tool(tool_with("tool", "Ends.", Diary::default(), finisher)));
        leave(&house, &modern(), way).await;
        settle().await;
        let records = house.records().await;
        assert_eq!(records[0].outcome.as_str(), "ok");
        assert_eq!(records[0].result, r#"{"content":[{"type":"text","text":"just in time"}]}"#);
    }
}

#[tokio::test]
async fn a_read_only_call_is_dropped_at_once() {
    for way in WAYS {
        let (tool, strings) = puppet("tool");
        let house = House::new(|builder| builder.tool(tool.read_only()));
        leave(&house, &modern(), way).await;
        if way == Leave::Stream {
            settle().await;
        }
        assert_eq!(strings.diary.read(), ["called", "dropped"]);
        assert_eq!(outcome(&house).await, ["cancelled"]);
    }
}

#[tokio::test]
async fn a_call_of_the_older_era_runs_to_its_end() {
    for way in WAYS {
        for read_only in [false, true] {
            let (tool, strings) = puppet("tool");
            let house = House::new(|builder| builder.tool(if read_only { tool.read_only() } else { tool }));
            leave(&house, &legacy(), way).await;
            house.clock.advance(Duration::from_secs(30));
            settle().await;
            assert_eq!((strings.diary.read(), outcome(&house).await), (vec!["called"], vec![]), "{read_only}");
            strings.order(|cx| {
                assert!(!cx.is_cancelled());
                Some(Ok(mcp_core::ToolOutput::text("done")))
            });
            settle().await;
            assert_eq!(outcome(&house).await, ["ok"]);
        }
    }
}

#[tokio::test]
async fn a_call_of_the_older_era_still_has_its_time() {
    let (tool, strings) = puppet("tool");
    let house = House::new(|builder| builder.timeout(Duration::from_secs(5)).tool(tool.read_only()));
    leave(&house, &legacy(), Leave::Future).await;
    settle().await;
    house.clock.advance(Duration::from_secs(5));
    until("it is dropped", || strings.diary.has("dropped")).await;
    assert_eq!(outcome(&house).await, ["timed_out"]);
}

#[tokio::test]
async fn a_call_through_the_server_is_left_in_the_same_way() {
    let diary = Diary::default();
    let house = House::new(|builder| builder.tool(tool_with("tool", "Stays.", diary.clone(), stubborn)));
    {
        let mut call = pin!(house.server.call_tool(local(), "tool", Arguments::none()));
        assert!(poll!(&mut call).is_pending());
    }
    settle().await;
    house.clock.advance(Duration::from_secs(1));
    until("it is dropped", || diary.has("dropped")).await;
    assert_eq!(diary.read(), ["called", "told", "dropped"]);
}

#[tokio::test]
async fn the_grace_is_as_long_as_was_set() {
    let diary = Diary::default();
    let tool = tool_with("tool", "Stays.", diary.clone(), stubborn);
    let house = House::new(|builder| builder.grace(Duration::from_secs(7)).tool(tool));
    leave(&house, &modern(), Leave::Future).await;
    settle().await;
    house.clock.advance(Duration::from_millis(6_999));
    settle().await;
    assert!(!diary.has("dropped"));
    house.clock.advance(Duration::from_millis(1));
    settle().await;
    assert!(diary.has("dropped"));
}

#[tokio::test]
async fn a_server_that_stops_waits_for_its_calls() {
    let (tool, strings) = puppet("tool");
    let house = House::new(|builder| builder.tool(tool));
    leave(&house, &legacy(), Leave::Future).await;
    let mut drained = pin!(house.server.drain(Duration::from_secs(20)));
    assert!(look(drained.as_mut()).await.is_pending());
    strings.finish("done");
    assert_eq!(look(drained).await, std::task::Poll::Ready(0));
    assert_eq!(outcome(&house).await, ["ok"]);

    leave(&house, &legacy(), Leave::Future).await;
    let mut drained = pin!(house.server.drain(Duration::from_secs(20)));
    assert!(look(drained.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(20));
    assert_eq!(look(drained).await, std::task::Poll::Ready(1), "one still runs");
}

/// A runtime that goes away takes the calls with it; they are recorded, and nothing panics in a destructor.
#[test]
fn what_is_dropped_behind_its_runtime_is_recorded_all_the_same() {
    let request = |era: &str| if era == "legacy" { legacy() } else { modern() };
    for (era, read_only) in [("legacy", true), ("legacy", false), ("modern", true), ("modern", false)] {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (tool, strings) = puppet("tool");
        let tool: std::sync::Arc<dyn Tool> =
            if read_only { std::sync::Arc::new(tool.read_only()) } else { std::sync::Arc::new(tool) };
        let house = House::new(|builder| builder.tools([tool]));
        let (first, request) = (runtime(), request(era));
        let mut answer = Box::pin(begin(&house.endpoint, &request));
        first.block_on(async { assert!(look(answer.as_mut()).await.is_pending()) });
        drop(first);
        drop(answer);
        assert_eq!(strings.diary.read(), ["called", "dropped"]);
        let recorded = runtime().block_on(outcome(&house));
        assert_eq!(recorded, ["cancelled"], "{era} {read_only}");
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_ends_by_the_same_rules_when_its_stream_is_never_read() {
    let (tool, strings) = puppet("tool");
    let house = House::new(|builder| builder.tool(tool));
    let mut params: Value = json!({"name": "tool"});
    params["_meta"]["progressToken"] = json!(1);
    let request = Request::modern("tools/call", params);
    let mut answer = Box::pin(begin(&house.endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    let std::task::Poll::Ready(unread) = look(answer.as_mut()).await else { panic!("it has spoken") };
    drop(unread);
    settle().await;
    house.clock.advance(Duration::from_secs(1));
    until("it is dropped", || strings.diary.has("dropped")).await;
    assert_eq!(outcome(&house).await, ["cancelled"]);
}
