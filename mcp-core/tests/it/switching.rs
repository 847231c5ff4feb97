//! What is offered may change while the server serves, and clients that listen are told.

use std::sync::Arc;

use mcp_core::caller::Caller;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::prompt::OfferedPrompt;
use mcp_core::resource::OfferedResource;
use mcp_core::server::switches::SwitchError;
use mcp_core::store::StoreError;
use mcp_core::store::settings::Key;
use mcp_core::tool::registry::OfferedTool;
use mcp_core::{CallError, Endpoint, Server, Stores, Tool, ToolError, prompt_fn, resource_fn, tool_fn};
use serde_json::{Value, json};

use crate::support::{Events, House, Request, begin, events, local, until};

fn tool(name: &str) -> impl Tool + use<> {
    tool_fn(name, "Says.", async || Ok::<_, ToolError>("said"))
}

fn operator() -> Caller {
    local().with_role(Caller::OPERATOR)
}

async fn listed(house: &House) -> Vec<String> {
    let result = house.send(&Request::modern("tools/list", json!({}))).await.result();
    let names = result["tools"].as_array().unwrap().iter();
    names.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

async fn listen(house: &House) -> Events {
    let everything = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    let request = Request::modern("subscriptions/listen", json!({"notifications": everything}));
    let mut stream = Events::of(begin(&house.endpoint, &request).await);
    stream.next().await.expect("it is acknowledged");
    stream
}

async fn told(stream: &mut Events) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(piece) = stream.next().await {
        told.extend(events(&piece).iter().map(|message| message["method"].as_str().unwrap().to_owned()));
    }
    told
}

#[tokio::test]
async fn what_is_added_and_removed_while_serving_is_told_to_who_listens() {
    let prompt = |name: &str| prompt_fn(name, "P.", async || Ok::<_, ToolError>("p"));
    let resource = |uri: &str| resource_fn(uri, "R", async || Ok::<_, ToolError>("r"));
    let house = House::new(|builder| builder.tool(tool("a")).prompt(prompt("p")).resource(resource("docs://a")));
    let mut stream = listen(&house).await;
    let server = &house.server;
    let offered = |name: &str| OfferedTool::new(Arc::new(tool(name))).unwrap();

    assert!(server.tools().add(offered("b")).await.is_ok());
    assert_eq!(listed(&house).await, ["a", "b"]);
    assert_eq!(house.call("b", json!({})).await["content"][0]["text"], "said");
    assert_eq!(told(&mut stream).await, ["notifications/tools/list_changed"]);

    assert!(server.tools().add(offered("b")).await.is_err(), "there is one of this name");
    assert_eq!(told(&mut stream).await.len(), 0, "nothing has changed");

    assert!(server.tools().remove("a").await.is_some());
    assert!(server.tools().remove("a").await.is_none());
    assert_eq!(listed(&house).await, ["b"]);
    assert_eq!(house.send(&Request::call("a", json!({}))).await.json()["error"]["code"], -32602);
    assert_eq!(told(&mut stream).await, ["notifications/tools/list_changed"]);

    let more = OfferedPrompt::new(Arc::new(prompt("q"))).unwrap();
    assert!(server.prompts().add(more).await.is_ok());
    let more = OfferedResource::new(Arc::new(resource("docs://b"))).unwrap();
    assert!(server.resources().add(more).await.is_ok());
    assert!(server.resources().remove("docs://a").await.is_some());
    let heard = told(&mut stream).await;
    let of = |what: &str| heard.iter().filter(|method| method.contains(what)).count();
    assert_eq!((of("prompts/list_changed"), of("resources/list_changed"), heard.len()), (1, 2, 3));
}

#[tokio::test]
async fn a_tool_that_is_switched_off_is_neither_listed_nor_found_until_it_is_switched_on_again() {
    let house = House::new(|builder| builder.tool(tool("a")).tool(tool("b")));
    let mut stream = listen(&house).await;
    let server = &house.server;
    server.switch_tool(&operator(), "a", false).await.unwrap();
    server.switch_tool(&operator(), "a", false).await.unwrap();
    assert_eq!(listed(&house).await, ["b"]);
    assert_eq!(server.tools().list_off().len(), 1);
    let refused = house.send(&Request::call("a", json!({}))).await.json();
    let unknown = house.send(&Request::call("c", json!({}))).await.json();
    let without_name = |answer: &Value, name: &str| answer.to_string().replace(name, "it");
    assert_eq!(
        without_name(&refused, "\\\"a\\\""),
        without_name(&unknown, "\\\"c\\\""),
        "it looks as one that never was"
    );
    assert_eq!(told(&mut stream).await, ["notifications/tools/list_changed"], "once, however often it is said");

    server.switch_tool(&operator(), "a", true).await.unwrap();
    assert_eq!(listed(&house).await, ["a", "b"], "in its old place");
    assert_eq!(told(&mut stream).await, ["notifications/tools/list_changed"]);
}

#[tokio::test]
async fn only_an_operator_switches_and_only_what_there_is() {
    let house = House::new(|builder| builder.tool(tool("a")));
    let server = &house.server;
    let admin = Caller::new("default", "admin").with_role(Caller::ADMIN);
    assert!(matches!(server.switch_tool(&admin, "a", false).await, Err(SwitchError::Forbidden)));
    let unknown = server.switch_tool(&operator(), "b", false).await;
    assert!(matches!(unknown, Err(SwitchError::Unknown(CallError::UnknownTool { .. }))), "{unknown:?}");
    assert_eq!(listed(&house).await, ["a"]);
}

#[tokio::test]
async fn another_replica_follows_and_so_does_one_that_is_started_later() {
    let clock = Arc::new(SimulatedClock::new());
    let stores = Stores::in_memory(clock.clone());
    let replica = || {
        let builder = Server::builder("house", "1.0.0").clock(clock.clone()).stores(stores.clone());
        let server = builder.tool(tool("a")).tool(tool("b")).build().unwrap();
        House { clock: clock.clone(), stores: stores.clone(), endpoint: Endpoint::new(server.clone()), server }
    };
    let (one, two) = (replica(), replica());
    one.server.follow_switches().await.unwrap();
    two.server.follow_switches().await.unwrap();
    let mut stream = listen(&two).await;
    one.server.switch_tool(&operator(), "a", false).await.unwrap();
    until("the other has heard of it", || two.server.tools().find("a").is_none()).await;
    assert_eq!(listed(&two).await, ["b"]);
    assert!(told(&mut stream).await.contains(&"notifications/tools/list_changed".to_owned()));

    let three = replica();
    three.server.follow_switches().await.unwrap();
    assert_eq!(listed(&three).await, ["b"]);
    three.server.switch_tool(&operator(), "a", true).await.unwrap();
    until("the first has heard of it", || one.server.tools().find("a").is_some()).await;
}

#[tokio::test]
async fn what_a_later_version_has_written_is_left_alone() {
    let house = House::new(|builder| builder.tool(tool("a")));
    let key = Key::of_the_house("switches");
    let written = br#"{"tools": [], "prompts": ["p"]}"#;
    house.stores.settings.store(&key, written.as_slice().into(), None).await.unwrap();
    let refused = house.server.switch_tool(&operator(), "a", false).await;
    assert!(matches!(refused, Err(SwitchError::Store(StoreError::Refused { .. }))), "{refused:?}");
    assert_eq!(&house.stores.settings.load(&key).await.unwrap().unwrap().value[..], written);
}
