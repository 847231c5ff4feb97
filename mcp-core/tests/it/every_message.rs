//! Each message that a server may send, in each revision: it is sent, and as the official schema wants it.

use std::collections::BTreeSet;
use std::time::Duration;

use mcp_core::{
    Change, ClientCapability, Context, LogLevel, NoInput, Progress, Question, Sampling, ServerBuilder, ToolError,
    prompt_fn, resource_fn, resource_template_fn, tool_fn,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connecting::Client;
use crate::legacy_sessions::open_with;
use crate::schema;
use crate::support::{Events, House, MODERN, Request, begin};

/// What the older revisions have, and this server never sends them.
const EXEMPT: [(&str, &str); 4] = [
    ("CancelledNotification", "it never takes back a question: a call that has asked waits, or ends"),
    ("PingRequest", "whether a client is there is told by its connection"),
    ("ElicitationCompleteNotification", "a client asks again, or its call goes on"),
    ("Task", "in a name: the tasks of 2025-11-25 are not served; those of the extension are no part of the schema"),
];

#[derive(Deserialize, JsonSchema)]
struct Name {
    #[allow(dead_code)]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Word {
    word: String,
}

#[derive(Deserialize)]
struct Part {
    id: String,
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    let speak = async |_: NoInput, cx: Context| {
        cx.progress(Progress::new(1.0).of(2.0));
        cx.log(LogLevel::Info, "a line");
        cx.clock().sleep(Duration::from_secs(1)).await;
        Ok::<_, ToolError>("spoken")
    };
    let elicit = async |_: NoInput, cx: Context| {
        cx.ask("name", Question::<Name>::form("Who?")).await?;
        Ok::<_, ToolError>(())
    };
    let sample = async |_: NoInput, cx: Context| {
        cx.ask("said", Question::sample(Sampling::new("Say.", 9))).await?;
        Ok::<_, ToolError>(())
    };
    let roots = async |_: NoInput, cx: Context| {
        cx.ask("roots", Question::roots()).await?;
        Ok::<_, ToolError>(())
    };
    let away = async || Err::<(), _>(ToolError::Unavailable("the house is away".into()));
    let prompt = prompt_fn("p", "P.", async |word: Word| Ok::<_, ToolError>(word.word));
    builder
        .tool(tool_fn("speak", "Speaks.", speak))
        .tool(tool_fn("elicit", "Elicits.", elicit))
        .tool(tool_fn("sample", "Samples.", sample))
        .tool(tool_fn("roots", "Asks for roots.", roots))
        .tool(tool_fn("tools", "Wants tools.", async || Ok::<_, ToolError>(())).asks(ClientCapability::SamplingTools))
        .tool(tool_fn("away", "Is away.", away))
        .resource(resource_fn("docs://a", "A", async || Ok::<_, ToolError>("a")))
        .resource(resource_template_fn("docs://{id}/b", "B", async |part: Part| Ok::<_, ToolError>(part.id)))
        .prompt(prompt.choices("word", ["one", "two"]))
}

/// Announces all that may change.
async fn change(house: &House) {
    for change in [Change::Tools, Change::Prompts, Change::Resources, Change::Resource("docs://a".to_owned())] {
        house.server.announce(&change).await.unwrap();
    }
}

async fn read(stream: &mut Events) {
    while stream.next().await.is_some() {}
}

/// What needs nothing but a server: method and parameters.
fn plain() -> [(&'static str, Value); 9] {
    [
        ("tools/list", json!({})),
        ("tools/call", json!({"name": "none"})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "docs://a"})),
        ("prompts/list", json!({})),
        ("prompts/get", json!({"name": "p", "arguments": {"word": "one"}})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "word", "value": "o"}}),
        ),
        ("no/method", json!({})),
    ]
}

#[tokio::test]
async fn of_the_modern_era() {
    let house = House::new(furnish);
    let client = json!({"elicitation": {}, "sampling": {}, "roots": {}});
    let with = |method: &str, params: Value| {
        let request = Request::modern(method, params.clone());
        let mut body: Value = serde_json::from_slice(&request.body).unwrap();
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = client.clone();
        let request = Request { body: body.to_string().into(), ..request };
        match params["uri"].as_str() {
            Some(uri) => request.with("mcp-name", uri),
            None => request,
        }
    };
    for (method, params) in plain().into_iter().chain([("server/discover", json!({}))]) {
        house.send(&with(method, params)).await;
    }
    for tool in ["elicit", "sample", "roots", "tools", "away"] {
        house.send(&with("tools/call", json!({"name": tool}))).await;
    }
    let meta = json!({"progressToken": "p", "io.modelcontextprotocol/logLevel": "debug"});
    let mut stream =
        Events::of(begin(&house.endpoint, &with("tools/call", json!({"name": "speak", "_meta": meta}))).await);
    read(&mut stream).await;
    house.clock.advance(Duration::from_secs(1));
    stream.next().await.unwrap();

    let all = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": ["docs://a"]});
    let mut stream =
        Events::of(begin(&house.endpoint, &with("subscriptions/listen", json!({"notifications": all}))).await);
    read(&mut stream).await;
    let mut stdio = Client::of(&house);
    stdio.modern(1, "subscriptions/listen", json!({"notifications": all})).await;
    while stdio.next().await.is_some() {}
    change(&house).await;
    read(&mut stream).await;
    house.server.close();
    stream.next().await.unwrap();
    while stdio.next().await.is_some() {}

    let listed = with("tools/list", json!({}));
    house.send(&Request { body: b"{".to_vec(), ..listed.clone() }).await;
    house.send(&Request { body: b"[]".to_vec(), ..listed.clone() }).await;
    house.send(&listed.clone().without("mcp-method")).await;
    let unknown = json!({"io.modelcontextprotocol/protocolVersion": "2027-01-01", "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": unknown}});
    let request = Request { body: body.to_string().into(), ..listed.without("mcp-protocol-version") };
    house.send(&request.with("mcp-protocol-version", "2027-01-01")).await;
    assert_unseen(MODERN);
}

#[tokio::test]
async fn of_the_older_era() {
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let house = House::new(furnish);
        let knows_forms = revision > "2025-03-26";
        let mut client = json!({"sampling": {}, "roots": {}});
        if knows_forms {
            client["elicitation"] = json!({});
        }
        let session = open_with(&house.endpoint, revision, client).await;
        let with = |method: &str, params: Value| {
            let request = Request::legacy(method, params).without("mcp-protocol-version");
            request.with("mcp-protocol-version", revision).with("mcp-session-id", &session)
        };
        let uri = json!({"uri": "docs://a"});
        let own = [("ping", json!({})), ("logging/setLevel", json!({"level": "debug"})), ("resources/subscribe", uri)];
        for (method, params) in plain().into_iter().chain(own) {
            house.send(&with(method, params)).await;
        }
        house.send(&with("tools/call", json!({"name": "away"}))).await;
        let asking = ["sample", "roots", "elicit"].into_iter().filter(|tool| *tool != "elicit" || knows_forms);
        for tool in asking.chain(["speak"]) {
            let params = json!({"name": tool, "_meta": {"progressToken": "p"}});
            let mut stream = Events::of(begin(&house.endpoint, &with("tools/call", params)).await);
            read(&mut stream).await;
            if tool == "speak" {
                house.clock.advance(Duration::from_secs(1));
                stream.next().await.unwrap();
            }
        }
        let get = Request { verb: "GET", ..with("ping", json!({})) };
        let mut stream = Events::of(begin(&house.endpoint, &get).await);
        read(&mut stream).await;
        change(&house).await;
        read(&mut stream).await;
        let request = with("ping", json!({}));
        house.send(&Request { body: b"{".to_vec(), ..request.clone() }).await;
        house.send(&Request { body: br#"{"jsonrpc": "2.0", "id": null}"#.to_vec(), ..request }).await;
        assert_unseen(revision);
    }
}

/// Fails where a message that this revision has was never sent.
fn assert_unseen(revision: &'static str) {
    let is_exempt = |name: &str| revision < MODERN && EXEMPT.iter().any(|(exempt, _)| name.contains(exempt));
    let missing: BTreeSet<_> = schema::unseen(revision).into_iter().filter(|name| !is_exempt(name)).collect();
    assert!(missing.is_empty(), "{revision}: never sent: {missing:?}");
}
