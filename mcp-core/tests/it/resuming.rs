//! Streams of the older era that are taken up again, by `Last-Event-ID`.

use std::time::Duration;

use mcp_core::{
    Caller, Change, Context, Endpoint, NoInput, Progress, Question, Sampling, Server, ServerBuilder, ToolError, tool_fn,
};
use serde_json::{Value, json};

use crate::legacy_sessions::{open, open_at, post, verb, within};
use crate::support::{Events, House, Strings, begin, events, events_with_ids, puppet, send};

/// Two replicas on the same stores, of which the first has a puppet.
fn two_replicas() -> (House, Endpoint, Strings) {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| furnish(builder).timeout(Duration::from_secs(3600)).tool(tool));
    let other = Server::builder("house", "1.0.0").clock(house.clock.clone()).stores(house.stores.clone());
    let other = Endpoint::new(furnish(other).build().unwrap());
    (house, other, strings)
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    let ask = async |_: NoInput, cx: Context| {
        let said = cx.ask("said", Question::sample(Sampling::new("Say.", 9))).await?;
        Ok::<_, ToolError>(said.text())
    };
    let polled = async |_: NoInput, cx: Context| {
        cx.release_connection();
        cx.clock().sleep(Duration::from_secs(1)).await;
        Ok::<_, ToolError>("done")
    };
    builder.tool(tool_fn("ask", "Asks.", ask)).tool(tool_fn("polled", "Takes its time.", polled))
}

fn call(session: &str, tool: &str) -> crate::support::Request {
    within(session, "tools/call", json!({"name": tool, "_meta": {"progressToken": "p"}}))
}

/// Goes on behind this event.
async fn take_up(endpoint: &Endpoint, session: &str, id: &str) -> Events {
    Events::of(begin(endpoint, &verb(session, "GET").with("last-event-id", id)).await)
}

/// The events of the next piece, whose ids go on from `n` and which are no keep-alives.
async fn next(stream: &mut Events) -> Vec<(String, Value)> {
    loop {
        let piece = stream.next().await.expect("something comes");
        let events = events_with_ids(&piece);
        if !events.is_empty() {
            return events.into_iter().map(|(id, message)| (id.expect("each has an id"), message)).collect();
        }
    }
}

fn step(strings: &Strings, done: f64) {
    strings.pull(move |cx| cx.progress(Progress::new(done)));
}

#[tokio::test]
async fn who_left_is_told_the_rest_by_another_replica_in_order_and_once() {
    let (house, other, strings) = two_replicas();
    let session = open(&house.endpoint).await;
    step(&strings, 1.0);
    let mut stream = Events::of(begin(&house.endpoint, &call(&session, "puppet")).await);
    let first = next(&mut stream).await;
    let [(primer, Value::Null), (seen, one)] = &first[..] else { panic!("{first:?}") };
    assert_eq!(one["params"]["progress"], 1);
    let (call_id, number) = seen.rsplit_once('.').unwrap();
    assert_eq!((primer.as_str(), number), (format!("{call_id}.0").as_str(), "1"));
    drop(stream);

    for done in [2.0, 3.0] {
        step(&strings, done);
        crate::support::settle().await;
    }
    // It comes back while the call goes on,
    let mut stream = take_up(&other, &session, seen).await;
    for expected in [2, 3] {
        let [(id, message)] = &next(&mut stream).await[..] else { panic!() };
        assert_eq!(
            (id.as_str(), &message["params"]["progress"]),
            (format!("{call_id}.{expected}").as_str(), &json!(expected))
        );
    }
    step(&strings, 4.0);
    assert_eq!(next(&mut stream).await[0].1["params"]["progress"], 4);
    drop(stream);
    strings.finish("done");
    crate::support::settle().await;
    assert_eq!(house.outcomes().await, [("puppet".to_owned(), "ok")]);

    // and again when it has ended, from the beginning or from anywhere,
    for endpoint in [&other, &house.endpoint] {
        for after in 0..=4 {
            let mut stream = take_up(endpoint, &session, &format!("{call_id}.{after}")).await;
            for progress in after + 1..=4 {
                assert_eq!(next(&mut stream).await[0].1["params"]["progress"], progress);
            }
            let last = &next(&mut stream).await[0].1;
            assert_eq!((&last["id"], &last["result"]["content"][0]["text"]), (&json!(1), &json!("done")));
            assert!(stream.ended().await);
        }
    }
    // until it is forgotten.
    house.clock.advance(Duration::from_secs(5 * 60));
    let gone = send(&other, &verb(&session, "GET").with("last-event-id", seen)).await;
    assert!((gone.status, gone.text.contains("Last-Event-ID")) == (400, true), "{gone:?}");
}

#[tokio::test]
async fn a_stream_is_its_sessions_alone() {
    let (house, _, strings) = two_replicas();
    let (session, another) = (open(&house.endpoint).await, open(&house.endpoint).await);
    step(&strings, 1.0);
    let mut stream = Events::of(begin(&house.endpoint, &call(&session, "puppet")).await);
    let seen = next(&mut stream).await.pop().unwrap().0;
    let get = |session: &str, id: &str| verb(session, "GET").with("last-event-id", id);
    assert_eq!(house.send(&get(&another, &seen)).await.status, 400);
    let stranger = get(&session, &seen);
    let answer = house.endpoint.answer(&stranger, Caller::new("default", "other"), Vec::new().into()).await;
    assert_eq!(answer.status, 404, "it has no such session");
    for nonsense in ["", ".", "x", "x.", ".5", "x.-1", "x.99999999999999999999", &"x".repeat(10_000)] {
        assert_eq!(house.send(&get(&session, nonsense)).await.status, 400, "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_call_may_let_its_connection_go_and_the_client_comes_back_for_the_result() {
    let (house, other, _) = two_replicas();
    let session = open(&house.endpoint).await;
    let mut stream = Events::of(begin(&house.endpoint, &call(&session, "polled")).await);
    let [(seen, Value::Null)] = &next(&mut stream).await[..] else { panic!("nothing but how to come back") };
    assert!(stream.ended().await);
    let mut stream = take_up(&other, &session, seen).await;
    assert!(events(&stream.next().await.unwrap()).is_empty());
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(next(&mut stream).await[0].1["result"]["content"][0]["text"], "done");
    assert!(stream.ended().await);

    // An older one would not come back, and is not sent away; nor does it know of events without data.
    let session = open_at(&house.endpoint, "2025-06-18").await;
    let mut stream = Events::of(begin(&house.endpoint, &call(&session, "polled")).await);
    assert_eq!(stream.next().await.as_deref(), Some(":\r\n\r\n"));
    house.clock.advance(Duration::from_secs(1));
    let last = next(&mut stream).await;
    assert_eq!(last[0].1["result"]["content"][0]["text"], "done");
    assert!(last[0].0.ends_with(".1"));
}

#[tokio::test]
async fn a_question_that_was_asked_meanwhile_waits_for_who_comes_back() {
    let (house, other, _) = two_replicas();
    let session = open(&house.endpoint).await;
    let mut stream = Events::of(begin(&house.endpoint, &call(&session, "ask")).await);
    let first = next(&mut stream).await;
    drop(stream);
    let mut stream = take_up(&other, &session, &first[0].0).await;
    let question = next(&mut stream).await.remove(0).1;
    assert_eq!(question["method"], "sampling/createMessage");
    let said = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Hi"}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": said});
    assert_eq!(send(&other, &post(&session, &answer)).await.status, 202);
    assert_eq!(next(&mut stream).await[0].1["result"]["content"][0]["text"], "Hi");
    assert!(stream.ended().await);
}

#[tokio::test]
async fn a_call_that_streams_is_ended_by_its_id_also_when_its_client_has_left() {
    let (house, other, strings) = two_replicas();
    for leaves in [false, true] {
        let session = open(&house.endpoint).await;
        step(&strings, 1.0);
        let mut stream = Events::of(begin(&house.endpoint, &call(&session, "puppet")).await);
        let seen = next(&mut stream).await.pop().unwrap().0;
        if leaves {
            drop(stream);
            stream = take_up(&other, &session, &seen).await;
        }
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
        assert_eq!(send(&other, &post(&session, &cancel)).await.status, 202);
        crate::support::settle().await;
        house.clock.advance(Duration::from_secs(1));
        let last = next(&mut stream).await;
        assert_eq!(last[0].1["result"]["content"][0]["text"], "the call was cancelled");
        assert!(stream.ended().await);
    }
}

#[tokio::test]
async fn a_call_whose_server_died_is_not_waited_for_without_end() {
    let (house, other, strings) = two_replicas();
    let session = open(&house.endpoint).await;
    step(&strings, 1.0);
    let mut stream = Events::of(begin(&house.endpoint, &call(&session, "puppet")).await);
    let seen = next(&mut stream).await.pop().unwrap().0;
    let call_id = seen.rsplit_once('.').unwrap().0;
    // A stream of which the first two events are there, and that nobody goes on with.
    let tenant = mcp_core::caller::Tenant::from("default");
    for n in 0..=1 {
        let key = |id: &str| format!("stream {session} {id} {n}");
        let event = house.stores.cache.load(&tenant, &key(call_id)).await.unwrap().unwrap();
        let lifetime = Duration::from_secs(300);
        house.stores.cache.store(&tenant, &key("dead"), event, lifetime).await.unwrap();
    }
    let mut dead = take_up(&other, &session, "dead.0").await;
    assert_eq!(next(&mut dead).await[0].1["params"]["progress"], 1);
    for _ in 0..3 {
        assert_eq!(dead.next().await, None);
        house.clock.advance(Duration::from_secs(15));
        assert!(events(&dead.next().await.unwrap()).is_empty(), "it may yet live");
    }
    let last = next(&mut dead).await;
    assert_eq!(
        (last[0].0.as_str(), &last[0].1["id"], &last[0].1["error"]["code"]),
        ("dead.2", &json!(1), &json!(-32603))
    );
    assert!(dead.ended().await);

    // One that says nothing, and lives, is waited for.
    let mut alive = take_up(&other, &session, &seen).await;
    for _ in 0..20 {
        while let Some(piece) = alive.next().await {
            assert!(events(&piece).is_empty());
        }
        crate::support::settle().await;
        house.clock.advance(Duration::from_secs(15));
    }
}

#[tokio::test]
async fn who_comes_back_to_listen_is_told_of_everything_that_may_have_changed() {
    let (house, other, _) = two_replicas();
    let session = open(&house.endpoint).await;
    let mut stream = Events::of(begin(&house.endpoint, &verb(&session, "GET")).await);
    let [(primer, Value::Null)] = &next(&mut stream).await[..] else { panic!("an event without data") };
    house.server.announce(&Change::Tools).await.unwrap();
    let told = next(&mut stream).await;
    assert_eq!(told[0].1["method"], "notifications/tools/list_changed");
    drop(stream);
    for id in [primer, &told[0].0] {
        let mut stream = take_up(&other, &session, id).await;
        next(&mut stream).await;
        let methods: Vec<_> =
            next(&mut stream).await.into_iter().map(|(_, message)| message["method"].clone()).collect();
        assert_eq!(methods.len(), 3, "{methods:?}");
        assert!(methods.contains(&json!("notifications/prompts/list_changed")));
    }
}
