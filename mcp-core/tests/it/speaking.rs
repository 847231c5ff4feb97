//! What a call says before it ends: progress, lines of log, and signs of life.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use mcp_core::endpoint::answer::Answer;
use mcp_core::{LogLevel, Progress};
use serde_json::{Value, json};

use crate::support::{Events, House, Reply, Request, begin, events, look, puppet};

const KEEP_ALIVE: &str = ":\r\n\r\n";

/// Whole numbers are written without a fraction.
fn progress(done: impl Into<Value>) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": done.into()}})
}

fn line(level: &str, data: impl Into<Value>) -> Value {
    let params = json!({"level": level, "data": data.into()});
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
}

async fn ready(answer: std::pin::Pin<&mut impl Future<Output = Answer>>) -> Answer {
    match look(answer).await {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the call has spoken, and there is no answer"),
    }
}

#[tokio::test]
async fn a_silent_call_is_answered_by_one_object() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let request = Request::listening_call("puppet");
    let mut answer = pin!(begin(&house.endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    strings.finish("done");
    let reply = Reply::of(ready(answer).await).await;
    assert_eq!(reply.result()["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_call_that_speaks_is_answered_by_a_stream() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let request = Request::listening_call("puppet");
    let mut answer = pin!(begin(&house.endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    let answer = ready(answer).await;
    assert_eq!(
        answer.headers,
        [("cache-control", "no-cache".to_owned()), ("x-accel-buffering", "no".to_owned())],
        "nothing in between may hold events back"
    );
    let mut stream = Events::of(answer);
    // What began the stream is there at once: it goes with the head.
    assert_eq!(
        stream.next().await.as_deref(),
        Some(
            "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"p\",\"progress\":1}}\n\n"
        )
    );
    assert_eq!(stream.next().await, None);
    strings.pull(|cx| cx.log(LogLevel::Warning, json!({"left": 2})));
    assert_eq!(events(&stream.next().await.unwrap()), [line("warning", json!({"left": 2}))]);
    strings.pull(|cx| cx.progress(Progress::new(2.5).of(4.0).saying("half \"way\"\n")));
    assert_eq!(
        events(&stream.next().await.unwrap())[0]["params"],
        json!({"progressToken": "p", "progress": 2.5, "total": 4, "message": "half \"way\"\n"})
    );
    // What is said last comes before the result, though both are there when the client reads on.
    assert_eq!(stream.next().await, None);
    strings.pull(|cx| cx.log(LogLevel::Info, "last words"));
    strings.finish("done");
    let last = events(&stream.next().await.unwrap());
    assert_eq!(last[0], line("info", "last words"));
    assert_eq!((&last[1]["id"], &last[1]["result"]["content"][0]["text"]), (&json!(1), &json!("done")));
    assert!(stream.ended().await);
}

#[tokio::test]
async fn a_call_that_speaks_and_ends_at_once_is_a_whole_stream() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    strings.pull(|cx| {
        cx.log(LogLevel::Debug, "one");
        cx.progress(Progress::new(1.0));
        cx.log(LogLevel::Emergency, "two");
    });
    strings.finish("done");
    let said = house.send(&Request::listening_call("puppet")).await.events();
    assert_eq!(said[..3], [line("debug", "one"), line("emergency", "two"), progress(1)]);
    assert_eq!(said[3]["result"]["content"][0]["text"], "done");
    assert_eq!(said.len(), 4);
}

#[tokio::test]
async fn progress_only_grows_and_the_latest_wins_where_nobody_reads() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let request = Request::listening_call("puppet");
    let mut answer = pin!(begin(&house.endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    let mut stream = Events::of(ready(answer).await);
    strings.pull(|cx| (2..=500).for_each(|done| cx.progress(Progress::new(f64::from(done)))));
    assert_eq!(events(&stream.next().await.unwrap()), [progress(1)]);
    assert_eq!(events(&stream.next().await.unwrap()), [progress(500)]);
    strings.pull(|cx| {
        for back in [500.0, 499.0, -1.0, f64::NAN, f64::INFINITY] {
            cx.progress(Progress::new(back));
        }
        cx.progress(Progress::new(501.0).of(f64::NAN));
    });
    assert_eq!(stream.next().await, None, "what does not grow, or is no number, is not sent");
    strings.pull(|cx| cx.progress(Progress::new(500.5)));
    assert_eq!(events(&stream.next().await.unwrap()), [progress(500.5)]);
}

#[tokio::test]
async fn the_lines_that_wait_for_a_slow_reader_are_bounded() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    strings.pull(|cx| (0..1000).for_each(|n| cx.log(LogLevel::Info, n)));
    strings.finish("done");
    let said = house.send(&Request::listening_call("puppet")).await.events();
    let lines: Vec<_> = said[..said.len() - 1].iter().map(|line| line["params"]["data"].as_u64().unwrap()).collect();
    assert_eq!(lines, (744..1000).collect::<Vec<_>>(), "the newest 256");
}

#[tokio::test]
async fn a_line_that_is_too_long_or_no_json_says_so() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    strings.pull(|cx| {
        cx.log(LogLevel::Info, "x".repeat(16 * 1024 - 2));
        cx.log(LogLevel::Info, "x".repeat(16 * 1024 - 1));
        cx.log(LogLevel::Info, std::collections::HashMap::from([((1, 2), 3)]));
    });
    strings.finish("done");
    let said = house.send(&Request::listening_call("puppet")).await.events();
    let lines: Vec<_> = said[..3].iter().map(|line| line["params"]["data"].as_str().unwrap()).collect();
    assert_eq!(
        lines,
        [&*"x".repeat(16 * 1024 - 2), "(this line was too long, or no JSON)", "(this line was too long, or no JSON)"]
    );
}

#[tokio::test]
async fn a_client_hears_what_it_asked_for_and_no_more() {
    let levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    let all = [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Notice,
        LogLevel::Warning,
        LogLevel::Error,
        LogLevel::Critical,
        LogLevel::Alert,
        LogLevel::Emergency,
    ];
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let speak = || {
        strings.pull(move |cx| {
            all.into_iter().for_each(|level| cx.log(level, "a line"));
            cx.progress(Progress::new(1.0));
        });
        strings.finish("done");
    };
    let request = |meta: Value| Request::modern("tools/call", json!({"name": "puppet", "_meta": meta}));
    for (n, level) in levels.iter().enumerate() {
        speak();
        let said = house.send(&request(json!({"io.modelcontextprotocol/logLevel": level}))).await.events();
        let heard: Vec<_> =
            said[..said.len() - 1].iter().map(|line| line["params"]["level"].as_str().unwrap()).collect();
        assert_eq!(heard, levels[n..]);
    }
    for token in [json!(7), json!("a\"b")] {
        speak();
        let said = house.send(&request(json!({"progressToken": token}))).await.events();
        assert_eq!((said.len(), &said[0]["params"]["progressToken"]), (2, &token));
    }
    speak();
    assert_eq!(house.send(&request(json!({}))).await.result()["content"][0]["text"], "done");
    // The older era sets its level by a method that is not offered; progress it asks for in the same way.
    speak();
    let meta = json!({"progressToken": "p", "io.modelcontextprotocol/logLevel": "debug"});
    let legacy = house.send(&Request::legacy("tools/call", json!({"name": "puppet", "_meta": meta}))).await.events();
    assert_eq!((legacy.len(), &legacy[0]), (2, &progress(1)));
    assert_eq!(
        legacy[1],
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "done"}]}})
    );
}

#[tokio::test]
async fn a_call_that_is_silent_for_long_shows_signs_of_life() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let request = Request::call("puppet", json!({}));
    let mut answer = pin!(begin(&house.endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_millis(9_999));
    assert!(look(answer.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_millis(1));
    let mut stream = Events::of(ready(answer).await);
    assert_eq!(stream.next().await.as_deref(), Some(KEEP_ALIVE));
    for _ in 0..2 {
        assert_eq!(stream.next().await, None);
        house.clock.advance(Duration::from_millis(14_999));
        assert_eq!(stream.next().await, None);
        house.clock.advance(Duration::from_millis(1));
        assert_eq!(stream.next().await.as_deref(), Some(KEEP_ALIVE));
    }
    strings.finish("done");
    assert_eq!(events(&stream.next().await.unwrap())[0]["result"]["content"][0]["text"], "done");
    assert!(stream.ended().await);
}

#[tokio::test]
async fn signs_of_life_come_as_often_as_was_set() {
    let (tool, _strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let endpoint = house.endpoint.clone().silence(Duration::from_secs(1)).keep_alive(Duration::from_secs(2));
    let request = Request::call("puppet", json!({}));
    let mut answer = pin!(begin(&endpoint, &request));
    assert!(look(answer.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(1));
    let mut stream = Events::of(ready(answer).await);
    assert_eq!(stream.next().await.as_deref(), Some(KEEP_ALIVE));
    assert_eq!(stream.next().await, None);
    house.clock.advance(Duration::from_secs(2));
    assert_eq!(stream.next().await.as_deref(), Some(KEEP_ALIVE));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_neither_the_call_nor_its_timeout() {
    for read_only in [false, true] {
        let (tool, strings) = puppet("puppet");
        let tool = tool.timeout(Duration::from_secs(5));
        let house = House::new(|builder| builder.tool(if read_only { tool.read_only() } else { tool }));
        let request = Request::listening_call("puppet");
        let mut answer = pin!(begin(&house.endpoint, &request));
        assert!(look(answer.as_mut()).await.is_pending());
        strings.pull(|cx| cx.progress(Progress::new(1.0)));
        let unread = ready(answer).await;
        house.clock.advance(Duration::from_secs(5));
        crate::support::settle().await;
        house.clock.advance(Duration::from_secs(1));
        crate::support::until("it is dropped", || strings.diary.has("dropped")).await;
        assert_eq!(house.outcomes().await, [("puppet".to_owned(), "timed_out")]);
        let said = Reply::of(unread).await.events();
        assert_eq!(said[0], progress(1));
        assert_eq!(said[1]["result"]["isError"], true);
    }
}

#[tokio::test]
async fn nothing_comes_behind_the_result() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let (keep, kept) = std::sync::mpsc::channel();
    strings.pull(move |cx| keep.send(cx.clone()).unwrap());
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    strings.finish("done");
    let said = house.send(&Request::listening_call("puppet")).await.events();
    let outlived = kept.recv().unwrap();
    outlived.progress(Progress::new(2.0));
    outlived.log(LogLevel::Error, "too late");
    assert_eq!(said.len(), 2);
    assert!(!outlived.is_cancelled());
}

#[tokio::test]
async fn an_event_is_one_line_whatever_a_tool_writes() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let pretty = || serde_json::value::RawValue::from_string("{\n  \"a\":\r\n[1,\"x\\ny\"]\n}".to_owned()).unwrap();
    strings.pull(move |cx| cx.log(LogLevel::Info, pretty()));
    strings.order(move |_| Some(Ok(mcp_core::ToolOutput::structured(&pretty()).unwrap())));
    let said = house.send(&Request::listening_call("puppet")).await.events();
    let expected = json!({"a": [1, "x\ny"]});
    assert_eq!((&said[0]["params"]["data"], &said[1]["result"]["structuredContent"]), (&expected, &expected));
}
