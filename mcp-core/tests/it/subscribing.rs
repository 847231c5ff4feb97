//! `subscriptions/listen`: who is told of what, by whom, and how it ends.

use std::time::Duration;

use mcp_core::endpoint::answer::{Answer, Body};
use mcp_core::{Caller, Change, Context, NoInput, ServerBuilder, ToolError, prompt_fn, resource_fn, tool_fn};
use serde_json::{Value, json};

use crate::support::{Events, House, Reply, Request, begin, events};

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    let touch = async |_: NoInput, cx: Context| {
        cx.announce(&Change::Resource("docs://a".to_owned())).await?;
        Ok::<_, ToolError>("touched")
    };
    builder
        .tool(tool_fn("touch", "Touches.", touch))
        .prompt(prompt_fn("p", "P.", async || Ok::<_, ToolError>("p")))
        .resource(resource_fn("docs://a", "A", async || Ok::<_, ToolError>("a")))
}

fn listen(filter: Value) -> Request {
    Request::modern("subscriptions/listen", json!({"notifications": filter}))
}

/// A stream whose first message is looked at: what is honoured.
async fn open(house: &House, filter: Value) -> (Events, Value) {
    let mut stream = Events::of(begin(&house.endpoint, &listen(filter)).await);
    let first = stream.next().await.expect("it is acknowledged at once");
    let [message] = &events(&first)[..] else { panic!("{first:?}") };
    assert_eq!(message["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(message["params"]["_meta"], json!({"io.modelcontextprotocol/subscriptionId": 1}));
    (stream, message["params"]["notifications"].clone())
}

/// The methods, and URIs, of what waits in the stream.
async fn told(stream: &mut Events) -> Vec<(String, Option<String>)> {
    let mut told = Vec::new();
    while let Some(piece) = stream.next().await {
        for message in events(&piece) {
            assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1, "{message}");
            let method = message["method"].as_str().unwrap().trim_start_matches("notifications/").to_owned();
            told.push((method, message["params"]["uri"].as_str().map(str::to_owned)));
        }
    }
    told
}

#[tokio::test]
async fn who_listens_is_told_what_was_asked_for_and_nothing_else() {
    let house = House::new(furnish);
    let everything = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["docs://a"],
    });
    let (mut all, honoured) = open(&house, everything.clone()).await;
    assert_eq!(honoured, everything);
    let (mut tools, honoured) = open(&house, json!({"toolsListChanged": true, "promptsListChanged": false})).await;
    assert_eq!(honoured, json!({"toolsListChanged": true}));
    let (mut nothing, honoured) = open(&house, json!({})).await;
    assert_eq!(honoured, json!({}));
    for change in [Change::Tools, Change::Prompts, Change::Resources, Change::Resource("docs://b".to_owned())] {
        house.server.announce(&change).await.unwrap();
    }
    house.call("touch", json!({})).await;
    let list = |what: &str| (format!("{what}/list_changed"), None);
    let updated = ("resources/updated".to_owned(), Some("docs://a".to_owned()));
    let mut heard = told(&mut all).await;
    heard.sort();
    let mut expected = vec![list("tools"), list("prompts"), list("resources"), updated];
    expected.sort();
    assert_eq!(heard, expected);
    assert_eq!(told(&mut tools).await, [list("tools")]);
    assert_eq!(told(&mut nothing).await, []);
}

/// There may be tens of thousands.
#[tokio::test]
async fn a_stream_that_is_listened_to_is_small() {
    let house = House::new(furnish);
    let request = listen(json!({"toolsListChanged": true}));
    let caller = house.endpoint.admit(&request).await.expect("it comes in");
    let answer = house.endpoint.answer(&request, caller, request.body.clone().into()).await;
    let Body::Stream(pieces) = answer.body else { panic!("it is no stream") };
    let bytes = size_of_val(&*pieces);
    assert!(bytes <= 1024, "{bytes} bytes");
}

#[tokio::test]
async fn what_the_server_does_not_have_is_not_honoured() {
    let house = House::new(|builder| builder);
    let asked = json!({"toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["a:b"]});
    let (_, honoured) = open(&house, asked).await;
    assert_eq!(honoured, json!({"toolsListChanged": true}));
    for filter in [Value::Null, json!([]), json!({"toolsListChanged": 1}), json!({"resourceSubscriptions": "a:b"})] {
        let reply = house.send(&listen(filter.clone())).await;
        assert_eq!(reply.json()["error"]["code"], -32602, "{filter}");
    }
    let many: Vec<_> = (0..257).map(|n| format!("a:{n}")).collect();
    let reply = house.send(&listen(json!({"resourceSubscriptions": many}))).await;
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("more than 256 URIs"));
}

#[tokio::test]
async fn a_tool_tells_the_callers_of_its_tenant_alone() {
    let house = House::new(furnish);
    let request = listen(json!({"resourceSubscriptions": ["docs://a"]}));
    let other = Caller::new("another tenant", "local");
    let answer: Answer = house.endpoint.answer(&request, other, request.body.clone().into()).await;
    let mut other = Events::of(answer);
    other.next().await.expect("it is acknowledged");
    let (mut own, _) = open(&house, json!({"resourceSubscriptions": ["docs://a"]})).await;
    house.call("touch", json!({})).await;
    assert_eq!(told(&mut own).await.len(), 1);
    assert_eq!(told(&mut other).await.len(), 0);
    house.server.announce(&Change::Resource("docs://a".to_owned())).await.unwrap();
    assert_eq!(told(&mut other).await.len(), 1, "the server tells all of them");
}

#[tokio::test]
async fn who_may_have_missed_something_is_told_of_everything() {
    let house = House::new(furnish);
    let (mut slow, _) = open(&house, json!({"toolsListChanged": true, "resourceSubscriptions": ["docs://a"]})).await;
    for _ in 0..300 {
        house.server.announce(&Change::Prompts).await.unwrap();
    }
    let heard = told(&mut slow).await;
    assert_eq!(
        heard,
        [("tools/list_changed".to_owned(), None), ("resources/updated".to_owned(), Some("docs://a".to_owned())),]
    );
}

#[tokio::test]
async fn a_stream_shows_that_it_is_alive_and_ends_with_a_result() {
    let house = House::new(furnish);
    let (mut stream, _) = open(&house, json!({"toolsListChanged": true})).await;
    assert_eq!(stream.next().await, None);
    house.clock.advance(Duration::from_secs(15));
    assert_eq!(stream.next().await.as_deref(), Some(":\r\n\r\n"));
    house.server.close();
    let last = events(&stream.next().await.unwrap());
    let meta = &last[0]["result"]["_meta"];
    assert_eq!((&last[0]["id"], &meta["io.modelcontextprotocol/subscriptionId"]), (&json!(1), &json!(1)));
    assert_eq!(last[0]["result"]["resultType"], "complete");
    assert!(stream.ended().await);
}

#[tokio::test]
async fn as_many_listen_as_may_and_who_leaves_makes_room() {
    let house = House::new(|builder| furnish(builder).listeners(2));
    let (_one, _) = open(&house, json!({})).await;
    let (two, _) = open(&house, json!({})).await;
    let refused: Reply = house.send(&listen(json!({}))).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    drop(two);
    open(&house, json!({})).await;
}
