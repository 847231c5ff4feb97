//! Clients of the older era over HTTP: their sessions, and what is said within them.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::{
    Caller, Change, Context, Endpoint, NoInput, Question, Sampling, Server, ServerBuilder, ToolError, resource_fn,
    tool_fn,
};
use serde_json::{Value, json};

use crate::support::{Events, House, Reply, Request, begin, events, puppet, send, settle};

async fn ask(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let said = cx.ask("said", Question::sample(Sampling::new("Say.", 9))).await?;
    Ok(said.text())
}

async fn log(_: NoInput, cx: Context) -> Result<String, ToolError> {
    cx.log(mcp_core::LogLevel::Info, "a line");
    Ok("logged".to_owned())
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    builder.tool(tool_fn("ask", "Asks.", ask)).tool(tool_fn("log", "Logs.", log)).resource(resource_fn(
        "docs://a",
        "A",
        async || Ok::<_, ToolError>("a"),
    ))
}

/// Begins a session, and gives its handle.
pub(crate) async fn open(endpoint: &Endpoint) -> String {
    open_at(endpoint, "2025-11-25").await
}

pub(crate) async fn open_at(endpoint: &Endpoint, version: &str) -> String {
    open_with(endpoint, version, json!({"sampling": {}})).await
}

pub(crate) async fn open_with(endpoint: &Endpoint, version: &str, capabilities: Value) -> String {
    let params = json!({"protocolVersion": version, "capabilities": capabilities});
    let reply = send(endpoint, &Request::legacy("initialize", params)).await;
    reply.header("mcp-session-id").expect("a session is begun").to_owned()
}

pub(crate) fn within(session: &str, method: &str, params: Value) -> Request {
    Request::legacy(method, params).with("mcp-session-id", session)
}

pub(crate) fn post(session: &str, message: &Value) -> Request {
    let request = Request::post(message.to_string()).with("mcp-protocol-version", "2025-11-25");
    request.with("mcp-session-id", session)
}

pub(crate) fn verb(session: &str, verb: &'static str) -> Request {
    Request { verb, ..post(session, &Value::Null) }
}

#[tokio::test]
async fn a_session_is_its_callers_until_it_ends() {
    let house = House::new(furnish);
    let session = open(&house.endpoint).await;
    assert!(session.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(house.send(&within(&session, "ping", json!({}))).await.result(), json!({}));
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(house.send(&post(&session, &notification)).await.status, 202);

    let ping = within(&session, "ping", json!({}));
    let other = house.endpoint.answer(&ping, Caller::new("default", "other"), ping.body.clone().into()).await;
    assert_eq!(Reply::of(other).await.status, 404, "another's is not found, and never 401 or 403");
    for unknown in ["", "no such session", &"x".repeat(10_000)] {
        for request in [within(unknown, "tools/list", json!({})), post(unknown, &notification), verb(unknown, "DELETE")]
        {
            assert_eq!(house.send(&request).await.status, 404, "{unknown:?}");
        }
        assert_eq!(begin(&house.endpoint, &verb(unknown, "GET")).await.status, 404);
    }
    assert_eq!(house.send(&verb(&session, "DELETE")).await.status, 204);
    assert_eq!(house.send(&verb(&session, "DELETE")).await.status, 404);
    assert_eq!(house.send(&ping).await.status, 404);
}

#[tokio::test]
async fn a_session_that_is_idle_for_too_long_is_gone() {
    let house = House::new(furnish);
    let (idle, used) = (open(&house.endpoint).await, open(&house.endpoint).await);
    for _ in 0..2 {
        house.clock.advance(Duration::from_secs(40 * 60));
        assert_eq!(house.send(&within(&used, "ping", json!({}))).await.status, 200);
    }
    assert_eq!(house.send(&within(&idle, "ping", json!({}))).await.status, 404);
}

#[tokio::test]
async fn who_has_no_session_is_served_what_needs_none() {
    let house = House::new(furnish);
    let listed = house.send(&Request::legacy("tools/list", json!({}))).await.result();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 2);
    for method in ["logging/setLevel", "resources/subscribe"] {
        let reply = house.send(&Request::legacy(method, json!({"level": "info", "uri": "docs://a"}))).await;
        assert_eq!(reply.json()["error"]["code"], -32601, "{method}");
    }
    let told = house.send(&Request::legacy("tools/call", json!({"name": "ask"}))).await.result();
    assert_eq!(told["isError"], true, "nobody can be asked");
}

#[tokio::test]
async fn what_a_client_has_said_holds_on_every_replica() {
    let one = House::new(furnish);
    let other = Server::builder("house", "1.0.0").clock(one.clock.clone()).stores(one.stores.clone());
    let other = Endpoint::new(furnish(other).build().unwrap());
    let session = open(&one.endpoint).await;
    let quiet = within(&session, "tools/call", json!({"name": "log"}));
    assert_eq!(send(&other, &quiet).await.content_type, Some("application/json"));
    let level = within(&session, "logging/setLevel", json!({"level": "info"}));
    assert_eq!(one.send(&level).await.result(), json!({}));
    let heard = send(&other, &quiet).await.events();
    assert_eq!((&heard[0]["params"]["data"], &heard[1]["id"]), (&json!("a line"), &json!(1)));
    let bad = within(&session, "logging/setLevel", json!({"level": "loud"}));
    assert_eq!(one.send(&bad).await.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn a_question_goes_with_the_call_and_its_answer_may_arrive_elsewhere() {
    let one = House::new(furnish);
    let other = Server::builder("house", "1.0.0").clock(one.clock.clone()).stores(one.stores.clone());
    let other = Endpoint::new(furnish(other).build().unwrap());
    let (session, stranger) = (open(&one.endpoint).await, open(&other).await);
    for endpoint in [&one.endpoint, &other] {
        for long in [1, 20_000] {
            let call = within(&session, "tools/call", json!({"name": "ask"}));
            let mut stream = Events::of(begin(&one.endpoint, &call).await);
            let question = events(&stream.next().await.unwrap()).remove(0);
            assert_eq!(question["method"], "sampling/createMessage");
            let text = "Hi".repeat(long);
            let said = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": text}});
            let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": said});
            let nobody = Request::post(answer.to_string()).with("mcp-protocol-version", "2025-11-25");
            assert_eq!(send(endpoint, &nobody).await.status, 400, "answers come within a session");
            assert_eq!(send(endpoint, &post(&session, &answer)).await.status, 202);
            let result = events(&stream.next().await.unwrap()).remove(0);
            assert_eq!(result["result"]["content"][0]["text"], *text);
        }
    }
    let nonsense = json!({"jsonrpc": "2.0", "id": 5, "result": {}});
    assert_eq!(send(&other, &post(&stranger, &nonsense)).await.status, 400);
}

#[tokio::test]
async fn a_replica_that_has_begun_no_session_hears_the_answers_to_its_questions() {
    let one = House::new(furnish);
    let other = Server::builder("house", "1.0.0").clock(one.clock.clone()).stores(one.stores.clone());
    let other = Endpoint::new(furnish(other).build().unwrap());
    let session = open(&one.endpoint).await;
    let call = within(&session, "tools/call", json!({"name": "ask"}));
    let mut stream = Events::of(begin(&other, &call).await);
    let question = events(&stream.next().await.unwrap()).remove(0);
    let said = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Hi"}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": said});
    assert_eq!(one.send(&post(&session, &answer)).await.status, 202);
    assert_eq!(events(&stream.next().await.unwrap())[0]["result"]["content"][0]["text"], "Hi");
}

#[tokio::test]
async fn a_call_is_ended_by_its_id_on_every_replica() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| furnish(builder).tool(tool));
    let other = Server::builder("house", "1.0.0").clock(house.clock.clone()).stores(house.stores.clone());
    let other = Endpoint::new(furnish(other).build().unwrap());
    let session = open(&house.endpoint).await;
    let call = within(&session, "tools/call", json!({"name": "puppet"}));
    let mut calling = Box::pin(send(&house.endpoint, &call));
    assert!(crate::support::look(calling.as_mut()).await.is_pending());
    let cancel = |id: u32| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    assert_eq!(send(&other, &post(&session, &cancel(7))).await.status, 202);
    assert_eq!(send(&other, &post(&session, &cancel(1))).await.status, 202);
    assert!(crate::support::look(calling.as_mut()).await.is_pending(), "it has a grace");
    house.clock.advance(Duration::from_secs(1));
    let told = calling.await.result();
    assert_eq!(told["content"][0]["text"], "the call was cancelled");
    assert!(strings.diary.has("dropped"));
}

#[tokio::test]
async fn a_stream_tells_what_the_session_is_subscribed_to() {
    let house = House::new(furnish);
    let session = open(&house.endpoint).await;
    let mut stream = Events::of(begin(&house.endpoint, &verb(&session, "GET")).await);
    assert!(events(&stream.next().await.unwrap()).is_empty());
    house.server.announce(&Change::Tools).await.unwrap();
    let list = events(&stream.next().await.unwrap());
    assert_eq!(list, [json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})]);
    let changed = Change::Resource("docs://a".to_owned());
    house.server.announce(&changed).await.unwrap();
    assert_eq!(stream.next().await, None);
    let uri = json!({"uri": "docs://a"});
    assert_eq!(house.send(&within(&session, "resources/subscribe", uri.clone())).await.result(), json!({}));
    house.server.announce(&changed).await.unwrap();
    assert_eq!(events(&stream.next().await.unwrap())[0]["params"], uri);
    assert_eq!(house.send(&within(&session, "resources/unsubscribe", uri)).await.result(), json!({}));
    house.server.announce(&changed).await.unwrap();
    assert_eq!(stream.next().await, None);
    house.clock.advance(Duration::from_secs(15));
    assert_eq!(stream.next().await.as_deref(), Some(":\r\n\r\n"));
    house.server.close();
    assert!(stream.ended().await);
}

#[tokio::test]
async fn several_messages_at_once_are_answered_at_once_in_the_revision_that_has_them() {
    let house = House::new(furnish);
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "no/such"},
        {"jsonrpc": "2.0", "id": 3, "method": "initialize"},
        {"jsonrpc": "2.0", "id": null, "method": "ping"},
        [],
    ]);
    let request = Request::post(batch.to_string()).with("mcp-protocol-version", "2025-03-26");
    let reply = house.send(&request).await;
    let answers: Vec<Value> = serde_json::from_str(&reply.text).unwrap();
    let shown: Vec<_> = answers.iter().map(|answer| (answer["id"].clone(), answer["error"]["code"].clone())).collect();
    assert_eq!(
        shown,
        [
            (json!(1), Value::Null),
            (json!(2), json!(-32601)),
            (json!(3), json!(-32600)),
            (Value::Null, json!(-32600)),
            (Value::Null, json!(-32600)),
        ]
    );
    let silent = json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]);
    assert_eq!(house.send(&Request::post(silent.to_string())).await.status, 202);
    let many: Vec<_> = (0..101).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"})).collect();
    for (body, version) in
        [(json!([]), "2025-03-26"), (json!(many), "2025-03-26"), (batch.clone(), "2025-06-18"), (batch, "2025-11-25")]
    {
        let reply = house.send(&Request::post(body.to_string()).with("mcp-protocol-version", version)).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32600)), "{version}");
    }
    let broken = house.send(&Request::post("[{]")).await;
    assert_eq!((broken.status, &broken.json()["error"]["code"]), (400, &json!(-32700)));
}

/// A store of sessions that is away.
struct Away;

#[async_trait::async_trait]
impl mcp_core::store::sessions::Sessions for Away {
    async fn create(
        &self,
        _: &mcp_core::caller::Tenant,
        _: &mcp_core::caller::Principal,
        _: bytes::Bytes,
        _: Duration,
    ) -> Result<mcp_core::store::sessions::StoredSession, mcp_core::store::StoreError> {
        Err(away())
    }

    async fn load(
        &self,
        _: &mcp_core::caller::Tenant,
        _: &mcp_core::caller::Principal,
        _: &str,
    ) -> Result<Option<mcp_core::store::sessions::StoredSession>, mcp_core::store::StoreError> {
        Err(away())
    }

    async fn save(
        &self,
        _: &mcp_core::caller::Tenant,
        _: &mcp_core::caller::Principal,
        _: &str,
        _: u64,
        _: bytes::Bytes,
    ) -> Result<mcp_core::store::sessions::Saved, mcp_core::store::StoreError> {
        Err(away())
    }

    async fn remove(
        &self,
        _: &mcp_core::caller::Tenant,
        _: &mcp_core::caller::Principal,
        _: &str,
    ) -> Result<bool, mcp_core::store::StoreError> {
        Err(away())
    }

    async fn list(
        &self,
        _: &mcp_core::caller::Tenant,
        _: &mcp_core::caller::Principal,
    ) -> Result<Vec<mcp_core::store::sessions::SessionInfo>, mcp_core::store::StoreError> {
        Err(away())
    }

    async fn count(&self) -> Result<u64, mcp_core::store::StoreError> {
        Err(away())
    }
}

fn away() -> mcp_core::store::StoreError {
    mcp_core::store::StoreError::Unavailable { store: "sessions", source: None }
}

#[tokio::test]
async fn while_the_store_is_away_no_session_is_said_to_be_gone() {
    let change = |mut stores: mcp_core::Stores| {
        stores.protocol_sessions = Arc::new(Away);
        stores
    };
    let house = House::with_stores(change, furnish);
    let hello = Request::legacy("initialize", json!({"protocolVersion": "2025-11-25"}));
    for request in [hello, within("a", "ping", json!({})), verb("a", "DELETE"), verb("a", "GET")] {
        let reply = house.send(&request).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    }
    settle().await;
}
