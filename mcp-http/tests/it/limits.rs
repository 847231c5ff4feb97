//! How often, and how many at a time: what a client is told in the head and in the body, over REST and over MCP.

use std::pin::pin;
use std::sync::Arc;

use actix_web::dev::ServiceResponse;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, web};
use mcp_core::{Endpoint, Server, ToolError, tool_with};
use mcp_http::{mount, rest};
use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::openapi::Document;
use crate::outages::SECRET_KEYS;
use crate::served::{Reply, Served};

const CALL: &str = "/api/v1/tools/time.now/call";

fn legacy_call(server: &Served) -> Reply {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "time.now"}});
    let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    server.send("POST", "/mcp", &[&headers[..], &[("mcp-protocol-version", "2025-11-25")]].concat(), &body.to_string())
}

fn seconds(reply: &Reply, header: &str) -> u64 {
    reply.header(header).unwrap_or_else(|| panic!("{header}: {reply:?}")).parse().unwrap()
}

#[test]
fn who_calls_too_often_is_told_so_over_rest_and_in_each_era_of_mcp() {
    let server = Served::start(&[("RATE_LIMIT_PER_CALLER", "3/h"), ("RATE_LIMIT", "100/h")]);
    for left in [2, 1, 0] {
        let reply = server.post(CALL, "{}");
        assert_eq!((reply.status, seconds(&reply, "ratelimit-remaining")), (200, left), "{reply:?}");
        assert_eq!(reply.header("ratelimit-policy"), Some(r#""caller";q=3;w=3600, "server";q=100;w=3600"#));
        assert_eq!((reply.header("ratelimit-limit"), reply.header("retry-after")), (Some("3"), None));
    }
    let document = Document::of(&server);
    let refused = server.post(CALL, "{}");
    assert_eq!((refused.status, refused.content_type.as_str()), (429, "application/problem+json"));
    document.holds("POST", "/api/v1/tools/{name}/call", &refused);
    assert!(refused.body["detail"].as_str().unwrap().contains("(3 in 3600s); try again in"), "{:?}", refused.body);
    assert!(refused.body["instance"].as_str().unwrap().starts_with("urn:uuid:"));
    // One token is back after twenty minutes.
    let wait = seconds(&refused, "retry-after");
    assert!((1..=1_200).contains(&wait) && seconds(&refused, "ratelimit-reset") == wait, "{refused:?}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"caller\";r=0;t={wait}").as_str()));
    let xml = server.send("POST", CALL, &[("accept", "application/xml")], "{}");
    assert_eq!((xml.status, xml.content_type.as_str()), (429, "application/problem+xml"));
    assert!(xml.header("retry-after").is_some() && xml.header("ratelimit").is_some());

    // A status would look to clients of MCP like a connection that is broken: they are told by a result.
    for refused in [server.call_by_mcp("time.now", &json!({})), legacy_call(&server)] {
        let result = &refused.body["result"];
        assert_eq!((refused.status, &result["isError"]), (200, &json!(true)), "{:?}", refused.body);
        assert!(result["content"][0]["text"].as_str().unwrap().contains("try again in"), "{result}");
        assert!((1..=1_200).contains(&seconds(&refused, "retry-after")) && refused.header("ratelimit").is_some());
    }
    let recorded = server.get("/api/v1/calls?outcome=limited").body;
    assert_eq!(recorded["calls"].as_array().unwrap().len(), 4, "each is recorded");
    assert_eq!(server.metric(r#"mcp_tool_limited_total{tool="time.now",limit="caller"}"#), Some(4));
    assert_eq!(server.metric(r#"mcp_tool_calls_total{tool="time.now",outcome="limited"}"#), Some(4));
    assert_eq!(server.get("/api/v1/tools").status, 200, "only calls are counted");
}

#[test]
fn without_limits_nothing_is_said_of_them() {
    let server = Served::start(&[]);
    for reply in [server.post(CALL, "{}"), server.call_by_mcp("time.now", &json!({}))] {
        assert!(reply.headers.iter().all(|(name, _)| !name.starts_with("ratelimit")), "{reply:?}");
    }
}

#[test]
fn replicas_share_a_limit_through_redis() {
    const BURST: usize = 200;
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let url = postgres.database();
    let redis = redis.url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", redis.as_str()),
        ("SECRET_KEYS", SECRET_KEYS),
        ("RATE_LIMIT_PER_CALLER", "200/d"),
    ];
    let (one, other) = (Served::start(&settings), Served::start(&settings));
    let allowed = |server: &Served| (0..=BURST).take_while(|_| server.post(CALL, "{}").status == 200).count();
    let by_one = allowed(&one);
    assert!(by_one <= BURST, "one alone allows no more than the rate");
    // What it has taken in advance, the other has not; a token comes back in seven minutes.
    let by_other = allowed(&other);
    assert!(by_one + by_other <= BURST + BURST / 4, "{by_one} and {by_other}");
    assert_eq!((one.post(CALL, "{}").status, other.post(CALL, "{}").status), (429, 429));
}

type Doors = (Arc<Notify>, Arc<Notify>);

/// Says that it has begun, and waits until it may end.
async fn wait((begun, end): Doors) -> Result<(), ToolError> {
    begun.notify_one();
    end.notified().await;
    Ok(())
}

fn retry_after(response: &ServiceResponse) -> &str {
    response.headers().get("retry-after").unwrap().to_str().unwrap()
}

#[actix_web::test]
async fn what_finds_no_room_at_a_tool_is_told_so_over_rest_and_over_mcp() {
    let (begun, end) = Doors::default();
    let tool = tool_with("wait", "Waits.", (begun.clone(), end.clone()), wait).concurrency(1, 0);
    let endpoint = Endpoint::new(Server::builder("house", "1.0.0").tool(tool).build().unwrap());
    let app = App::new()
        .service(web::scope("/api/v1").configure(rest(endpoint.clone())))
        .service(web::scope("/mcp").configure(mount(endpoint)));
    let app = init_service(app).await;
    let peer = "127.0.0.1:1".parse().unwrap();
    let by_rest = || {
        let request = TestRequest::post().uri("/api/v1/tools/wait/call").peer_addr(peer);
        request.insert_header(("host", "localhost")).to_request()
    };
    let by_mcp = || {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "wait"}});
        let request = TestRequest::post().uri("/mcp").peer_addr(peer).set_payload(message.to_string());
        request.insert_header(("host", "localhost")).to_request()
    };
    let mut first = pin!(call_service(&app, by_rest()));
    tokio::select! {
        _ = first.as_mut() => panic!("it waits"),
        () = begun.notified() => {}
    }
    let refused = call_service(&app, by_rest()).await;
    assert_eq!((refused.status().as_u16(), retry_after(&refused)), (503, "1"));
    assert!(!refused.headers().contains_key("ratelimit"));
    let problem: Value = read_body_json(refused).await;
    assert_eq!(problem["detail"], "as many calls of this tool run and wait as may; try again in 1 s");

    let refused = call_service(&app, by_mcp()).await;
    assert_eq!((refused.status().as_u16(), retry_after(&refused)), (200, "1"));
    let answer: Value = read_body_json(refused).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");

    end.notify_one();
    assert_eq!(first.await.status(), 200);
    end.notify_one();
    assert_eq!(call_service(&app, by_rest()).await.status(), 200, "there is room again");
}
