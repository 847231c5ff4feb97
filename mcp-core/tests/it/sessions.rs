//! State that tools come back to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::StoreError;
use mcp_core::store::sessions::{Saved, SessionInfo, Sessions, StoredSession};
use mcp_core::{
    Arguments, CallError, Caller, Context, Server, ServerBuilder, Session, Stores, ToolError, ToolOutput, tool_fn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{House, local};

#[derive(Default, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Put {
    item: String,
    cart: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Which {
    cart: Option<String>,
}

async fn put(put: Put, cx: Context) -> Result<Value, ToolError> {
    let mut cart: Session<Cart> = cx.session(put.cart.as_deref()).await?;
    assert_eq!(cart.handle(), put.cart.as_deref());
    cart.items.push(put.item);
    let handle = cart.save().await?;
    assert_eq!(cart.handle(), Some(&*handle));
    // What has been saved is saved again without a conflict.
    assert_eq!(cart.save().await?, handle);
    Ok(json!({"cart": handle, "items": cart.items}))
}

async fn look(which: Which, cx: Context) -> Result<Value, ToolError> {
    let cart: Session<Cart> = cx.session(which.cart.as_deref()).await?;
    Ok(json!(cart.items))
}

async fn count(which: Which, cx: Context) -> Result<Value, ToolError> {
    let number: Session<u64> = cx.session(which.cart.as_deref()).await?;
    Ok(json!(*number))
}

/// Changes a cart while a call that it makes changes it, too.
async fn put_twice(which: Which, cx: Context) -> Result<(), ToolError> {
    let mut cart: Session<Cart> = cx.session(which.cart.as_deref()).await?;
    let inner = json!({"item": "from inside", "cart": which.cart});
    cx.call("put", Arguments::from_value(&inner)?).await?;
    cart.items.push("from outside".to_owned());
    cart.save().await.map(drop)
}

async fn leave(which: Which, cx: Context) -> Result<(), ToolError> {
    let cart: Session<Cart> = cx.session(which.cart.as_deref()).await?;
    cart.end().await
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    builder
        .tool(tool_fn("put", "Puts something into a cart.", put))
        .tool(tool_fn("look", "Looks into a cart.", look))
        .tool(tool_fn("count", "Counts.", count))
        .tool(tool_fn("put_twice", "Puts two things into a cart at once.", put_twice))
        .tool(tool_fn("leave", "Leaves a cart.", leave))
        .session_idle(MINUTE)
}

const MINUTE: Duration = Duration::from_secs(60);

async fn call(server: &Server, caller: &Caller, tool: &str, arguments: Value) -> Result<Value, CallError> {
    let arguments = Arguments::from_value(&arguments).unwrap();
    let output: ToolOutput = server.call_tool(caller.clone(), tool, arguments).await?;
    Ok(serde_json::from_str(output.structured_json().unwrap_or("null")).unwrap())
}

/// What the model is told.
fn told(result: Result<Value, CallError>) -> String {
    match result {
        Err(CallError::Tool { error: ToolError::Failed(message), .. }) => message,
        other => panic!("it did not fail: {other:?}"),
    }
}

async fn new_cart(server: &Server) -> String {
    let cart = call(server, &local(), "put", json!({"item": "lamp"})).await.unwrap();
    assert_eq!(cart["items"], json!(["lamp"]));
    cart["cart"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tool_comes_back_to_what_it_saved() {
    let House { server, .. } = House::new(furnish);
    let cart = new_cart(&server).await;
    let again = call(&server, &local(), "put", json!({"item": "desk", "cart": cart})).await.unwrap();
    assert_eq!(again, json!({"cart": cart, "items": ["lamp", "desk"]}));
    let another = new_cart(&server).await;
    assert_ne!(another, cart);
    assert_eq!(call(&server, &local(), "look", json!({"cart": cart})).await.unwrap(), json!(["lamp", "desk"]));

    let listed = server.sessions(&local()).await.unwrap();
    assert_eq!(listed.iter().map(|info| &info.handle).collect::<Vec<_>>(), [&cart, &another]);
    assert_eq!(listed[0].bytes, r#"{"items":["lamp","desk"]}"#.len());
    assert!(server.end_session(&local(), &another).await.unwrap());
    assert!(!server.end_session(&local(), &another).await.unwrap());
    call(&server, &local(), "leave", json!({"cart": cart})).await.unwrap();
    assert_eq!(server.sessions(&local()).await.unwrap(), []);
    told(call(&server, &local(), "look", json!({"cart": cart})).await);
}

#[tokio::test]
async fn what_is_not_saved_is_not_kept() {
    let House { server, .. } = House::new(furnish);
    for tool in ["look", "leave"] {
        call(&server, &local(), tool, json!({})).await.unwrap();
    }
    assert_eq!(server.sessions(&local()).await.unwrap(), []);
}

#[tokio::test]
async fn a_session_that_is_not_there_is_told_to_the_model_with_the_mend() {
    let House { server, clock, .. } = House::new(furnish);
    let cart = new_cart(&server).await;
    let others = [Caller::new("default", "bob").with_role(Caller::ADMIN), Caller::new("other", "local")];
    for other in &others {
        let message = told(call(&server, other, "look", json!({"cart": cart})).await);
        assert!(message.contains(&cart) && message.contains("call again without it"), "{message}");
        assert_eq!(server.sessions(other).await.unwrap(), []);
        assert!(!server.end_session(other, &cart).await.unwrap());
    }
    let long = told(call(&server, &local(), "look", json!({"cart": "x".repeat(10_000)})).await);
    assert!(long.len() < 300, "{long}");
    let foreign = told(call(&server, &local(), "count", json!({"cart": cart})).await);
    assert!(foreign.contains("none of this tool's") && foreign.contains("call again without it"), "{foreign}");

    clock.advance(MINUTE / 2);
    call(&server, &local(), "look", json!({"cart": cart})).await.unwrap();
    clock.advance(MINUTE / 2);
    call(&server, &local(), "look", json!({"cart": cart})).await.unwrap();
    clock.advance(MINUTE);
    assert!(told(call(&server, &local(), "look", json!({"cart": cart})).await).contains("ended"));
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_told_to_try_again() {
    let House { server, .. } = House::new(furnish);
    let cart = new_cart(&server).await;
    let message = told(call(&server, &local(), "put_twice", json!({"cart": cart})).await);
    assert!(message.contains("call again with the same session"), "{message}");
    let items = call(&server, &local(), "look", json!({"cart": cart})).await.unwrap();
    assert_eq!(items, json!(["lamp", "from inside"]));
}

#[tokio::test]
async fn a_session_that_becomes_too_large_stays_as_it_is() {
    let House { server, .. } = House::new(furnish);
    let cart = new_cart(&server).await;
    for arguments in [json!({"item": "x".repeat(65_536)}), json!({"item": "x".repeat(65_536), "cart": cart})] {
        let message = told(call(&server, &local(), "put", arguments).await);
        assert!(message.contains("more than the 65536 allowed"), "{message}");
    }
    assert_eq!(call(&server, &local(), "look", json!({"cart": cart})).await.unwrap(), json!(["lamp"]));
    assert_eq!(server.sessions(&local()).await.unwrap().len(), 1);
}

/// A store that cannot be reached.
struct Away;

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { store: "store of sessions", source: None })
}

#[async_trait]
impl Sessions for Away {
    async fn create(&self, _: &Tenant, _: &Principal, _: Bytes, _: Duration) -> Result<StoredSession, StoreError> {
        away()
    }

    async fn load(&self, _: &Tenant, _: &Principal, _: &str) -> Result<Option<StoredSession>, StoreError> {
        away()
    }

    async fn save(&self, _: &Tenant, _: &Principal, _: &str, _: u64, _: Bytes) -> Result<Saved, StoreError> {
        away()
    }

    async fn remove(&self, _: &Tenant, _: &Principal, _: &str) -> Result<bool, StoreError> {
        away()
    }

    async fn list(&self, _: &Tenant, _: &Principal) -> Result<Vec<SessionInfo>, StoreError> {
        away()
    }

    async fn count(&self) -> Result<u64, StoreError> {
        away()
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_no_session_that_is_gone() {
    let without = |mut stores: Stores| {
        stores.sessions = Arc::new(Away);
        stores
    };
    let House { server, .. } = House::with_stores(without, furnish);
    for (tool, arguments) in [("look", json!({"cart": "any"})), ("put", json!({"item": "lamp"}))] {
        let result = call(&server, &local(), tool, arguments).await;
        assert!(matches!(result, Err(CallError::Tool { error: ToolError::Unavailable(_), .. })), "{tool}: {result:?}");
    }
    assert!(matches!(server.sessions(&local()).await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(server.end_session(&local(), "any").await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_server_without_stores_keeps_sessions_in_memory() {
    let server = furnish(Server::builder("t", "1")).build().unwrap();
    let cart = new_cart(&server).await;
    assert_eq!(call(&server, &local(), "look", json!({"cart": cart})).await.unwrap(), json!(["lamp"]));
}
