//! A server at the end of one channel of messages: both eras, side by side.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::poll;
use mcp_core::connection::Outgoing;
use mcp_core::{
    Change, Connection, Context, NoInput, Question, Sampling, ServerBuilder, ToolError, prompt_fn, resource_fn, tool_fn,
};
use serde_json::{Value, json};

use crate::schema;
use crate::support::{House, MODERN, local, puppet, settle};

/// A client that looks at each message.
pub(crate) struct Client {
    connection: Connection,
    outgoing: Outgoing,
}

impl Client {
    pub(crate) fn of(house: &House) -> Self {
        let (connection, outgoing) = Connection::new(house.server.clone(), local());
        Self { connection, outgoing }
    }

    async fn send(&self, message: Value) {
        self.connection.receive(message.to_string().into()).await;
    }

    async fn legacy(&self, id: impl Into<Value>, method: &str, params: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})).await;
    }

    pub(crate) async fn modern(&self, id: impl Into<Value>, method: &str, mut params: Value) {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
        self.legacy(id, method, params).await;
    }

    /// The next message, once every task has gone as far as it can; `None` where there is none.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        settle().await;
        match poll!(self.outgoing.next()) {
            std::task::Poll::Ready(message) => {
                let message = message.expect("the connection is there");
                assert!(!message.contains(&b'\n'), "{message:?}");
                let message = serde_json::from_slice(&message).expect("a message is JSON");
                schema::check(revision(&message), None, &message);
                Some(message)
            }
            std::task::Poll::Pending => None,
        }
    }
}

/// The revision that a message surely is of: only the modern era says what it answers, and to whom.
fn revision(message: &Value) -> &'static str {
    let is_modern = message["result"].get("resultType").is_some() || message["params"]["_meta"].is_object();
    if is_modern { MODERN } else { "2025-11-25" }
}

async fn ask(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let said = cx.ask("said", Question::sample(Sampling::new("Say.", 9))).await?;
    Ok(said.text())
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    builder
        .tool(tool_fn("ask", "Asks.", ask))
        .prompt(prompt_fn("p", "P.", async || Ok::<_, ToolError>("p")))
        .resource(resource_fn("docs://a", "A", async || Ok::<_, ToolError>("a")))
}

#[tokio::test]
async fn both_eras_are_answered_on_one_channel() {
    let house = House::new(furnish);
    let mut client = Client::of(&house);
    client.modern("a", "server/discover", json!({})).await;
    assert_eq!(client.next().await.unwrap()["result"]["supportedVersions"], json!([MODERN]));
    client.legacy(1, "initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}})).await;
    assert_eq!(client.next().await.unwrap()["result"]["protocolVersion"], "2025-06-18");
    client.legacy(2, "ping", json!({})).await;
    assert_eq!(client.next().await.unwrap(), json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
    client.legacy(3, "resources/read", json!({"uri": "docs://b"})).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], -32002);
    client.modern(4, "resources/read", json!({"uri": "docs://b"})).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], -32602);
    client.modern(5, "ping", json!({})).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], -32601);
    let version = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "v9", "io.modelcontextprotocol/clientCapabilities": {}}});
    client.legacy(6, "tools/list", version).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], -32022);
    client.connection.receive("{]".into()).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], -32700);
    client.send(json!({"jsonrpc": "2.0", "method": "notifications/unknown"})).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn requests_are_answered_beside_each_other_and_cancelled_by_their_ids() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| furnish(builder).tool(tool));
    let mut client = Client::of(&house);
    let call = json!({"name": "puppet", "_meta": {"progressToken": "t"}});
    client.modern(1, "tools/call", call.clone()).await;
    client.modern("1", "tools/call", call.clone()).await;
    assert_eq!(client.next().await, None);
    client.modern(1, "tools/list", json!({})).await;
    let refused = client.next().await.unwrap();
    assert_eq!(refused["error"]["message"], "a request with this id is under way");
    strings.pull(|cx| cx.progress(mcp_core::Progress::new(1.0)));
    assert_eq!(client.next().await.unwrap()["method"], "notifications/progress");
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    client.send(cancelled.clone()).await;
    assert_eq!(client.next().await, None);
    house.clock.advance(Duration::from_secs(1));
    settle().await;
    assert!(strings.diary.has("dropped"), "its grace is over");
    strings.finish("done");
    let done = client.next().await.unwrap();
    assert_eq!((&done["id"], &done["result"]["content"][0]["text"]), (&json!("1"), &json!("done")));
    client.send(cancelled).await;
    assert_eq!(client.next().await, None, "what is over cannot be cancelled");
}

#[tokio::test]
async fn an_older_client_cancels_a_call_by_its_id_and_lets_it_go_on_when_it_leaves() {
    for cancels in [true, false] {
        let (tool, strings) = puppet("puppet");
        let house = House::new(|builder| furnish(builder).tool(tool));
        let mut client = Client::of(&house);
        client.legacy(1, "tools/call", json!({"name": "puppet", "_meta": {"progressToken": "t"}})).await;
        assert_eq!(client.next().await, None);
        if cancels {
            let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
            client.send(cancelled).await;
            assert_eq!(client.next().await, None, "it has a grace, and what it comes to is not told");
        } else {
            drop(client);
            settle().await;
        }
        house.clock.advance(Duration::from_secs(1));
        settle().await;
        assert_eq!(strings.diary.has("dropped"), cancels);
    }
}

#[tokio::test]
async fn an_older_client_is_asked_while_the_call_waits() {
    let house = House::new(|builder| furnish(builder).timeout(Duration::from_secs(10)));
    let mut client = Client::of(&house);
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}}});
    client.legacy(0, "initialize", hello).await;
    client.next().await.unwrap();
    client.legacy(1, "tools/call", json!({"name": "ask"})).await;
    let question = client.next().await.unwrap();
    assert_eq!((&question["method"], &question["params"]["maxTokens"]), (&json!("sampling/createMessage"), &json!(9)));
    // The user may take their time.
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(client.next().await, None);
    let said = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Hi"}});
    client.send(json!({"jsonrpc": "2.0", "id": "no question", "result": said})).await;
    assert_eq!(client.next().await, None);
    client.send(json!({"jsonrpc": "2.0", "id": question["id"], "result": said})).await;
    assert_eq!(client.next().await.unwrap()["result"]["content"][0]["text"], "Hi");

    client.legacy(2, "tools/call", json!({"name": "ask"})).await;
    let question = client.next().await.unwrap();
    client.send(json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no"}})).await;
    let told = client.next().await.unwrap()["result"].take();
    assert_eq!(
        (&told["isError"], &told["content"][0]["text"]),
        (&json!(true), &json!("the client did not answer: no"))
    );

    client.legacy(3, "tools/call", json!({"name": "ask"})).await;
    client.next().await.unwrap();
    house.clock.advance(Duration::from_secs(60 * 60));
    let told = client.next().await.unwrap()["result"].take();
    assert_eq!(told["content"][0]["text"], "the client did not answer in an hour");
}

#[tokio::test]
async fn an_older_client_that_cannot_be_asked_is_told_so_in_the_result() {
    let house = House::new(furnish);
    let mut client = Client::of(&house);
    client.legacy(0, "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}})).await;
    client.next().await.unwrap();
    client.legacy(1, "tools/call", json!({"name": "ask"})).await;
    let told = client.next().await.unwrap()["result"].take();
    assert_eq!(told["isError"], true);
    assert!(told["content"][0]["text"].as_str().unwrap().contains("does not declare the capability sampling"));
}

#[tokio::test]
async fn an_older_client_reads_the_lines_that_it_asked_for() {
    let log = async |_: NoInput, cx: Context| {
        cx.log(mcp_core::LogLevel::Debug, "quiet");
        cx.log(mcp_core::LogLevel::Error, "loud");
        Ok::<_, ToolError>(())
    };
    let house = House::new(|builder| builder.tool(tool_fn("log", "Logs.", log)));
    let mut client = Client::of(&house);
    client.legacy(1, "tools/call", json!({"name": "log"})).await;
    assert_eq!(client.next().await.unwrap()["id"], 1, "nothing was asked for");
    client.legacy(2, "logging/setLevel", json!({"level": "loud"})).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], -32602);
    client.legacy(3, "logging/setLevel", json!({"level": "warning"})).await;
    assert_eq!(client.next().await.unwrap()["result"], json!({}));
    client.legacy(4, "tools/call", json!({"name": "log"})).await;
    assert_eq!(client.next().await.unwrap()["params"]["data"], "loud");
    assert_eq!(client.next().await.unwrap()["id"], 4);
}

#[tokio::test]
async fn changes_are_told_in_the_words_of_the_era() {
    let house = House::new(furnish);
    let mut client = Client::of(&house);
    client.legacy(0, "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}})).await;
    client.next().await.unwrap();
    for _ in 0..2 {
        client.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    }
    client.legacy(1, "resources/subscribe", json!({"uri": "docs://a"})).await;
    assert_eq!(client.next().await.unwrap()["result"], json!({}));
    client.modern("s", "subscriptions/listen", json!({"notifications": {"promptsListChanged": true}})).await;
    assert_eq!(client.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
    for change in [Change::Tools, Change::Resource("docs://a".to_owned()), Change::Resource("docs://b".to_owned())] {
        house.server.announce(&change).await.unwrap();
    }
    assert_eq!(client.next().await.unwrap(), json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    assert_eq!(client.next().await.unwrap()["params"], json!({"uri": "docs://a"}));
    client.legacy(2, "resources/unsubscribe", json!({"uri": "docs://a"})).await;
    assert_eq!(client.next().await.unwrap()["id"], 2);
    house.server.announce(&Change::Resource("docs://a".to_owned())).await.unwrap();
    assert_eq!(client.next().await, None);

    let finish = client.connection.clone();
    finish.finish(Duration::from_secs(1)).await;
    let cancelled = client.next().await.unwrap();
    assert_eq!(
        (&cancelled["method"], &cancelled["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!("s"))
    );
    assert_eq!(client.next().await.unwrap()["id"], "s");
}

#[tokio::test]
async fn what_is_under_way_is_told_to_end_when_the_client_leaves() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool));
    let client = Client::of(&house);
    client.modern(1, "tools/call", json!({"name": "puppet"})).await;
    settle().await;
    assert!(strings.diary.has("called"));
    drop(client);
    settle().await;
    house.clock.advance(Duration::from_secs(1));
    settle().await;
    assert!(strings.diary.has("dropped"));
}
