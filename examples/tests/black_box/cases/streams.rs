//! Answers that come while the call goes on, and clients that do not wait for them.

use super::cases;
use crate::host::Served;
use crate::request::{call, call_with_token, legacy};

cases! {
    progress_is_told_while_the_call_goes_on,
    who_does_not_ask_is_not_told,
    a_client_of_the_older_era_is_told_as_well,
    a_client_that_leaves_cancels_its_call,
    a_client_that_leaves_a_stream_cancels_its_call,
}

const FIRST: &str = concat!(
    "event: message\n",
    r#"data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t-1","progress":1,"total":2,"message":"halfway"}}"#,
    "\n\n"
);

const SECOND: &str = concat!(
    "event: message\n",
    r#"data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t-1","progress":2,"total":2}}"#,
    "\n\n"
);

const LAST: &str = concat!(
    "event: message\n",
    r#"data: {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"done"}],"#,
    r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"black-box","version":"1.0.0"}}}}"#,
    "\n\n"
);

async fn progress_is_told_while_the_call_goes_on(server: &Served) {
    let mut exchange = server.open(call_with_token("steps", r#""t-1""#)).await;
    let head = exchange.head().await;
    let shown = |name| head.header(name).unwrap_or_default();
    assert_eq!(
        (head.status, shown("content-type"), shown("cache-control"), shown("x-accel-buffering")),
        (200, "text/event-stream", "no-cache", "no")
    );
    exchange.expect(FIRST).await;
    assert_eq!(server.probe.finished.count(), 0, "the call goes on");
    server.probe.go_on.happens();
    exchange.expect(&[SECOND, LAST].concat()).await;
    exchange.expect_end().await;
}

async fn who_does_not_ask_is_not_told(server: &Served) {
    server.probe.go_on.happens();
    let response = server.send(call("steps", "{}")).await;
    assert_eq!(response.json()["result"]["content"][0]["text"], "done");
}

async fn a_client_of_the_older_era_is_told_as_well(server: &Served) {
    let body =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"steps","_meta":{"progressToken":"t-1"}}}"#;
    let mut exchange = server.open(legacy(body)).await;
    assert_eq!(exchange.head().await.header("content-type"), Some("text/event-stream"));
    exchange.expect(FIRST).await;
    server.probe.go_on.happens();
    exchange.expect(SECOND).await;
    exchange.expect("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[").await;
}

async fn a_client_that_leaves_cancels_its_call(server: &Served) {
    let exchange = server.open(call("waits", "{}")).await;
    server.probe.started.happened().await;
    assert_eq!(server.probe.cancelled.count(), 0);
    drop(exchange);
    server.probe.cancelled.happened().await;
}

async fn a_client_that_leaves_a_stream_cancels_its_call(server: &Served) {
    let mut exchange = server.open(call_with_token("waits", "7")).await;
    assert_eq!(exchange.head().await.header("content-type"), Some("text/event-stream"));
    server.probe.started.happened().await;
    assert_eq!(server.probe.cancelled.count(), 0);
    drop(exchange);
    server.probe.cancelled.happened().await;
}
