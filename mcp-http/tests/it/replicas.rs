//! Two replicas on one PostgreSQL and one Redis: a request may go to either.

use std::time::{Duration, Instant};

use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::outages::SECRET_KEYS;
use crate::served::{Reply, Served, until};

fn replica(postgres: &str, redis: &RedisServer) -> Served {
    replica_with(postgres, redis, &[])
}

/// A replica with these settings as well, which caches results.
pub(crate) fn replica_with(postgres: &str, redis: &RedisServer, settings: &[(&str, &str)]) -> Served {
    let redis = redis.url();
    let own = [("DATABASE_URL", postgres), ("REDIS_URL", &redis), ("SECRET_KEYS", SECRET_KEYS)];
    let server = Served::start(&[&own[..], settings].concat());
    // A replica trusts Redis only after it has known it for a moment; until then results are not cached.
    until("results are cached", || {
        read(&server, "nothing", "application/json");
        hits(&server) > 0
    });
    server
}

pub(crate) fn write(server: &Served, text: &str) -> Reply {
    server.post("/api/v1/tools/notes.write/call", &json!({"name": "list", "text": text}).to_string())
}

fn read(server: &Served, name: &str, accept: &str) -> Reply {
    let path = "/api/v1/tools/notes.search/call";
    server.send("POST", path, &[("accept", accept)], &json!({"query": name}).to_string())
}

/// How many results of the search in notes came from the cache.
pub(crate) fn hits(server: &Served) -> usize {
    server.metric(r#"mcp_tool_cache_total{tool="notes.search",result="hit"}"#).unwrap_or(0)
}

pub(crate) fn misses(server: &Served) -> usize {
    server.metric(r#"mcp_tool_cache_total{tool="notes.search",result="miss"}"#).unwrap_or(0)
}

/// The way of a request in the system that this one continues: a client asks one instance, which finds the tool in its registry,
/// looks into the database, and fills the cache; the next instance answers from the cache; both say it in JSON and in XML, and
/// what happened is in the history of both.
#[test]
fn a_request_goes_from_client_to_registry_to_database_to_cache_and_back_on_either_replica() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let url = postgres.database();
    let (one, other) = (replica(&url, &redis), replica(&url, &redis));

    assert_eq!(write(&one, "apples, from one").status, 200);
    let before = (hits(&one), misses(&one), hits(&other), misses(&other));

    // The first asks the database,
    let asked = read(&one, "apples", "application/json");
    assert_eq!(asked.content_type, "application/json");
    assert_eq!(asked.body["structuredContent"]["notes"][0]["text"], "apples, from one", "{:?}", asked.body);
    // the other has its answer from Redis,
    let shared = read(&other, "apples", "application/json");
    assert_eq!(shared.body, asked.body);
    // and both give the same as XML, from what they have by now.
    for server in [&one, &other] {
        let xml = read(server, "apples", "application/xml");
        assert_eq!(xml.content_type, "application/xml");
        assert!(xml.body.as_str().unwrap().contains("<text>apples, from one</text>"), "{:?}", xml.body);
    }
    let after = (hits(&one), misses(&one), hits(&other), misses(&other));
    assert_eq!(after, (before.0 + 1, before.1 + 1, before.2 + 2, before.3), "hits and misses of one and the other");

    // What the other changes, it never answers from the cache; and the first does so for a second at the most.
    assert_eq!(write(&other, "pears, from the other").status, 200);
    let written = Instant::now();
    assert_eq!(read(&other, "apples", "application/json").body["structuredContent"]["notes"], json!([]));
    until("the other's change is seen", || {
        let asked = Instant::now();
        let seen = read(&one, "apples", "application/json").body["structuredContent"]["notes"] == json!([]);
        assert!(seen || asked < written + Duration::from_secs(1), "an old result after more than a second");
        seen
    });

    // Either knows what both did.
    let history = |server: &Served| {
        let calls = server.get("/api/v1/calls?tool=notes.write").body["calls"].clone();
        let texts = |call: &Value| call["arguments"]["text"].as_str().unwrap().to_owned();
        calls.as_array().unwrap().iter().map(texts).collect::<Vec<_>>()
    };
    assert_eq!(history(&one), ["pears, from the other", "apples, from one"]);
    assert_eq!(history(&one), history(&other));
    let xml = one.get_with("/api/v1/calls?tool=notes.write", &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains("pears, from the other"), "{:?}", xml.body);
}

/// Redis holds nothing that a call needs.
#[test]
fn without_redis_calls_go_on_and_no_replica_answers_with_what_another_has_changed() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let url = postgres.database();
    let (one, other) = (replica(&url, &redis), replica(&url, &redis));
    type Happens = fn(&RedisServer);
    for (how, befalls, ends) in [
        ("stopped", RedisServer::stop as Happens, RedisServer::restart as Happens),
        ("killed", RedisServer::kill, RedisServer::restart),
        ("frozen", RedisServer::freeze, RedisServer::thaw),
        ("replaced", RedisServer::kill, RedisServer::restart_empty),
    ] {
        let text = |when: &str| format!("{how} {when}");
        write(&one, &text("before"));
        until("both know it", || {
            let texts = [&one, &other].map(|server| read(server, how, "application/json").body.to_string());
            texts.iter().all(|found| found.contains(&text("before")))
        });
        befalls(&redis);
        assert_eq!(write(&one, &text("during")).status, 200);
        let written = Instant::now();
        // Never old where it was written; and elsewhere for a second, also while Redis is away.
        assert!(read(&one, how, "application/json").body.to_string().contains(&text("during")));
        until("the change is seen", || {
            let asked = Instant::now();
            let found = read(&other, how, "application/json");
            assert_eq!(found.status, 200, "{how}: {:?}", found.body);
            let seen = found.body.to_string().contains(&text("during"));
            assert!(seen || asked < written + Duration::from_secs(1), "{how}: an old result after more than a second");
            seen
        });
        // What is checked is checked every few seconds, and alike in all outages.
        if how == "stopped" {
            until("Redis is reported as down, and the server as no worse than degraded", || {
                let health = other.get("/health");
                assert_eq!(health.status, 200, "{:?}", health.body);
                health.body["status"] == "degraded" && health.body["checks"]["redis"]["state"] == "down"
            });
            assert_eq!(other.get("/health/ready").status, 200);
        }
        ends(&redis);
        until("Redis is found again", || {
            [&one, &other].iter().all(|server| {
                let before = hits(server);
                let found = read(server, how, "application/json").body.to_string();
                assert!(found.contains(&text("during")), "{how}: an old result came back: {found}");
                hits(server) > before
            })
        });
    }
    until("all is well", || [&one, &other].iter().all(|server| server.get("/health").body["status"] == "ok"));
}

/// A switch is the operator's: it holds on every replica, and for those that are started later.
#[test]
fn a_tool_is_switched_off_on_each_replica_and_stays_so_after_a_restart() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let url = postgres.database();
    let settings = [("DATABASE_URL", url.as_str()), ("REDIS_URL", &redis.url()), ("SECRET_KEYS", SECRET_KEYS)];
    let (one, other) = (Served::start(&settings), Served::start(&settings));
    let call = |server: &Served| server.post("/api/v1/tools/time.now/call", "{}").status;
    let switch = |server: &Served, enabled: bool| {
        let reply = server.send("PATCH", "/api/v1/tools/time.now", &[], &json!({"enabled": enabled}).to_string());
        assert_eq!((reply.status, &reply.body["enabled"]), (200, &json!(enabled)), "{:?}", reply.body);
    };
    assert_eq!((call(&one), call(&other)), (200, 200));

    switch(&one, false);
    assert_eq!(call(&one), 404);
    until("the other has heard of it", || call(&other) == 404);
    let off = other.get("/api/v1/tools?enabled=false").body;
    assert_eq!((off["tools"].as_array().unwrap().len(), &off["tools"][0]["name"]), (1, &json!("time.now")));
    assert_eq!(one.call_by_mcp("time.now", &json!({})).body["error"]["code"], -32602);

    drop(one);
    let one = Served::start(&settings);
    assert_eq!(call(&one), 404, "it was switched off before this one was started");
    switch(&other, true);
    until("each has heard of it", || call(&one) == 200 && call(&other) == 200);
}
