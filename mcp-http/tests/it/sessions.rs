//! Sessions: from a tool over MCP and over REST, and under the eyes of their owner.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_core::caller::{Principal, Tenant};
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{Context, Session, ToolError, tool_fn};
use mcp_http::Config;
use mcp_store::StoreConfig;
use mcp_store::test_servers::{PostgresServer, RedisServer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::outages::{SECRET_KEYS, is_refused};
use crate::served::{Reply, Served};

/// Creates a session of whoever calls a server from this machine, in its database, and gives its handle.
pub fn create(server: &Served) -> String {
    let url = format!("sqlite:{}/data/mcp.db", server.folder().display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = StoreConfig::new(&url, Arc::new(TokioClock::new())).unwrap();
        let (tenant, owner) = (Tenant::from("default"), Principal::from("local"));
        let sessions = mcp_store::open(&config).await.unwrap().sessions;
        sessions.create(&tenant, &owner, "{}".into(), Duration::from_secs(60)).await.unwrap().handle
    })
}

/// Set for the process that [`a_server_with_a_cart`] is.
const CHILD: &str = "MCP_TEST_CART";

#[derive(Default, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Put {
    item: String,
    cart: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Filled {
    cart: String,
    items: Vec<String>,
}

async fn put(put: Put, cx: Context) -> Result<Filled, ToolError> {
    let mut cart: Session<Cart> = cx.session(put.cart.as_deref()).await?;
    cart.items.push(put.item);
    Ok(Filled { cart: cart.save().await?, items: cart.items.clone() })
}

/// Not a test: the server that the tests below start, with a tool that keeps carts.
#[test]
fn a_server_with_a_cart() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let put = tool_fn("put", "Puts something into a cart.", put);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { mcp_http::bundled(Config::load().unwrap()).await.unwrap().tool(put).run().await })
        .unwrap();
}

/// Starts the server with the carts.
fn start(settings: &[(&str, &str)]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sessions::a_server_with_a_cart", "--nocapture"]);
    command.current_dir(folder.path()).env(CHILD, "").env("PORT", "0").envs(settings.iter().copied());
    Served::run(command, folder)
}

fn put_by_rest(server: &Served, item: &str, cart: Option<&str>) -> Reply {
    server.post("/api/v1/tools/put/call", &json!({"item": item, "cart": cart}).to_string())
}

fn put_by_mcp(server: &Served, item: &str, cart: Option<&str>) -> Reply {
    server.call_by_mcp("put", &json!({"item": item, "cart": cart}))
}

fn handles(server: &Served) -> Vec<String> {
    let listed = server.get("/api/v1/sessions");
    assert_eq!(listed.status, 200, "{listed:?}");
    let sessions = listed.body["sessions"].as_array().unwrap().iter();
    sessions.map(|session| session["handle"].as_str().unwrap().to_owned()).collect()
}

fn new_cart(server: &Served) -> String {
    let filled = put_by_rest(server, "lamp", None);
    assert_eq!(filled.body["structuredContent"]["items"], json!(["lamp"]), "{filled:?}");
    filled.body["structuredContent"]["cart"].as_str().unwrap().to_owned()
}

#[test]
fn an_owner_lists_and_ends_sessions_and_sees_no_others() {
    const KEY: &str = "0123456789abcdef";
    let server = start(&[("API_KEY", KEY)]);
    let cart = new_cart(&server);
    let listed = server.get("/api/v1/sessions").body["sessions"][0].clone();
    assert_eq!((&listed["handle"], &listed["bytes"]), (&json!(cart), &json!(r#"{"items":["lamp"]}"#.len())));
    assert!(listed["used"].as_str() >= listed["created"].as_str() && listed["created"].is_string(), "{listed}");
    let xml = server.get_with("/api/v1/sessions", &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains(&format!("<handle>{cart}</handle>")), "{xml:?}");

    // Whoever comes with the key is another caller, and an administrator.
    let path = format!("/api/v1/sessions/{cart}");
    let by_key = |method: &str, path: &str, body: &str| server.send(method, path, &[("x-api-key", KEY)], body);
    assert_eq!(by_key("GET", "/api/v1/sessions", "").body, json!({"sessions": []}));
    assert_eq!(by_key("DELETE", &path, "").status, 404);
    let foreign = by_key("POST", "/api/v1/tools/put/call", &json!({"item": "desk", "cart": cart}).to_string());
    assert_eq!((foreign.status, &foreign.body["isError"]), (200, &json!(true)), "{foreign:?}");

    let ended = server.send("DELETE", &path, &[], "");
    assert_eq!((ended.status, &ended.body), (200, &json!({"ended": cart})));
    assert_eq!(server.send("DELETE", &path, &[], "").status, 404);
    let told = put_by_rest(&server, "desk", Some(&cart)).body["content"][0]["text"].clone();
    assert!(told.as_str().unwrap().contains("call again without it to begin a new one"), "{told}");
    assert_eq!(handles(&server), [""; 0]);
}

#[test]
fn a_session_is_the_same_on_each_replica_and_while_redis_is_away_none_is_said_to_be_gone() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let settings =
        [("DATABASE_URL", &*postgres.database()), ("REDIS_URL", &*redis.url()), ("SECRET_KEYS", SECRET_KEYS)];
    let (one, other) = (start(&settings), start(&settings));
    let cart = new_cart(&one);
    let again = put_by_mcp(&other, "desk", Some(&cart));
    let content = &again.body["result"]["structuredContent"];
    assert_eq!(content, &json!({"cart": cart, "items": ["lamp", "desk"]}), "{again:?}");
    assert_eq!(handles(&one), [&*cart]);
    assert_eq!(handles(&other), [&*cart]);

    redis.stop();
    let path = format!("/api/v1/sessions/{cart}");
    for server in [&one, &other] {
        for cart in [None, Some(&*cart)] {
            for reply in [put_by_rest(server, "chair", cart), put_by_mcp(server, "chair", cart)] {
                assert!(is_refused(&reply), "{reply:?}");
            }
        }
        for reply in [server.get("/api/v1/sessions"), server.send("DELETE", &path, &[], "")] {
            assert!(is_refused(&reply), "{reply:?}");
        }
        assert_eq!(server.post("/api/v1/tools/time.now/call", "{}").status, 200, "what needs no session goes on");
    }
    redis.restart();
    let begun = Instant::now();
    let items: Value = loop {
        let reply = put_by_rest(&one, "chair", Some(&cart));
        if reply.status == 200 {
            break reply.body["structuredContent"]["items"].clone();
        }
        assert!(is_refused(&reply) && begun.elapsed() < Duration::from_secs(60), "{reply:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(items, json!(["lamp", "desk", "chair"]));
    assert_eq!(one.send("DELETE", &path, &[], "").status, 200);
}
