//! Two replicas on a Redis that is well.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use mcp_core::caller::Tenant;
use mcp_core::{Arguments, Caller, Server, ToolError, tool_fn, tool_with};
use mcp_store::OpenError;

use super::*;

/// How often a server has run a command.
pub(super) fn runs(past: &mut redis::Connection, command: &str) -> usize {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(past).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_second_replica_answers_from_redis_and_asks_it_once() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    let (tenant, value) = (Tenant::from("a"), Bytes::from_static(b"kept"));
    assert_eq!(one.version().await.unwrap(), other.version().await.unwrap());
    one.stores.cache.store(&tenant, "key", value.clone(), LONG).await.unwrap();
    let mut past = commands(&server.url());
    let before = runs(&mut past, "get");
    for _ in 0..3 {
        assert_eq!(other.stores.cache.load(&tenant, "key").await.unwrap(), Some(value.clone()));
        assert_eq!(one.stores.cache.load(&tenant, "key").await.unwrap(), Some(value.clone()));
    }
    assert_eq!(runs(&mut past, "get") - before, 1);
    // It ends for the second when it ends for the first, by the clock of Redis.
    other.clock.advance(LONG);
    age(&mut past, LONG);
    assert_eq!(other.stores.cache.load(&tenant, "key").await.unwrap(), None);
}

#[tokio::test]
async fn a_change_is_seen_at_once_where_it_was_made_and_elsewhere_when_the_lease_is_over() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    let mut had = Vec::new();
    for _ in 0..3 {
        let old = one.version().await.unwrap();
        assert_eq!(other.version().await.unwrap(), old);
        had.push(old);
        one.invalidate().await.unwrap();
        let new = one.version().await.unwrap();
        assert!(!had.contains(&new));
        other.clock.advance(LEASE);
        assert_eq!(other.version().await.unwrap(), new);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_invalidate_a_tag_at_once_and_read_it_meanwhile_agree_in_the_end() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    for _ in 0..20 {
        let old = one.version().await.unwrap();
        let changes = (0..16).map(async |n| {
            let replica = if n % 2 == 0 { &one } else { &other };
            // What is read meanwhile may be old or new, or nothing.
            let (_, changed) = futures_util::join!(replica.version(), replica.invalidate());
            changed.unwrap();
            assert_ne!(replica.version().await.ok(), Some(old));
        });
        join_all(changes).await;
        for replica in [&one, &other] {
            replica.clock.advance(LEASE);
        }
        assert_eq!(one.version().await.unwrap(), other.version().await.unwrap());
    }
}

#[tokio::test]
async fn a_tag_is_asked_for_once_a_lease_however_many_need_it() {
    let server = RedisServer::start();
    let replica = Replica::on(&server).await;
    let mut past = commands(&server.url());
    for lease in 1..=3 {
        let versions = join_all((0..100).map(|_| replica.version())).await;
        let versions: HashSet<_> = versions.into_iter().map(Result::unwrap).collect();
        assert_eq!(versions.len(), 1);
        // The tag's own and that of the epoch.
        assert_eq!(runs(&mut past, "get"), 2 * lease);
        replica.clock.advance(LEASE);
    }
}

#[tokio::test]
async fn a_large_value_stays_in_its_process_and_one_in_another_format_is_not_there() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    let tenant = Tenant::from("a");
    let mut past = commands(&server.url());
    for (name, size) in [("fits", 1024 * 1024), ("large", 1024 * 1024 + 1)] {
        one.stores.cache.store(&tenant, name, Bytes::from(vec![7; size]), LONG).await.unwrap();
    }
    let size = async |name| other.stores.cache.load(&tenant, name).await.unwrap().map(|value| value.len());
    assert_eq!((size("fits").await, size("large").await), (Some(1024 * 1024), None));

    redis::cmd("SET").arg("mcp:cache:value:1:a:later").arg(b"\x02value").arg("PX").arg(60_000).exec(&mut past).unwrap();
    redis::cmd("SET").arg("mcp:cache:value:1:a:empty").arg("").arg("PX").arg(60_000).exec(&mut past).unwrap();
    redis::cmd("SET").arg("mcp:cache:value:1:a:endless").arg(b"\x01value").exec(&mut past).unwrap();
    for name in ["later", "empty", "endless"] {
        assert_eq!(size(name).await, None, "{name}");
    }
    redis::cmd("SET").arg("mcp:cache:value:1:a:this").arg(b"\x01value").arg("PX").arg(60_000).exec(&mut past).unwrap();
    assert_eq!(size("this").await, Some(5));
}

/// How often the tool ran, in all processes.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

async fn look(runs: Runs) -> Result<usize, ToolError> {
    Ok(runs.0.fetch_add(1, Ordering::SeqCst))
}

async fn change() -> Result<(), ToolError> {
    Ok(())
}

fn server(replica: &Replica, runs: &Runs) -> Server {
    let look = tool_with("look", "Looks.", runs.clone(), look).read_only().cached(LONG, "things");
    let change = tool_fn("change", "Changes.", change).invalidates("things");
    let server = Server::builder("t", "1").clock(Arc::new(replica.clock.clone()));
    server.stores(replica.stores.clone()).tool(look).tool(change).build().unwrap()
}

async fn call(server: &Server, tool: &str) -> String {
    let output = server.call_tool(Caller::new("a", "ada"), tool, Arguments::none()).await.unwrap();
    output.structured_json().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_result_of_one_server_is_the_answer_of_the_other_until_either_changes_it() {
    let redis = RedisServer::start();
    let replicas = [Replica::on(&redis).await, Replica::on(&redis).await];
    let runs = Runs::default();
    let [one, other] = [0, 1].map(|n| server(&replicas[n], &runs));
    for round in 0..3 {
        let (changes, looks) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        assert_eq!(call(changes, "look").await, round.to_string());
        assert_eq!(call(looks, "look").await, round.to_string());
        call(changes, "change").await;
        assert_eq!(call(changes, "look").await, (round + 1).to_string(), "it never sees what was before its change");
        for replica in &replicas {
            replica.clock.advance(LEASE);
        }
    }
}

#[tokio::test]
async fn a_hot_tool_needs_no_round_trip() {
    let redis = RedisServer::start();
    let replica = Replica::on(&redis).await;
    let server = server(&replica, &Runs::default());
    call(&server, "look").await;
    let mut past = commands(&redis.url());
    // No beat and no lease is in it: a beat writes, and time stands still.
    let before = runs(&mut past, "get");
    for _ in 0..1_000 {
        assert_eq!(call(&server, "look").await, "0");
    }
    assert_eq!(runs(&mut past, "get"), before);
}

#[tokio::test]
async fn bad_urls_are_refused_without_their_passwords() {
    for url in
        ["", "redis", "mysql://S3CRET@cache", "redis://:S3CRET@", "rediss://:S3CRET@cache#x", "redis://:S3CRET@h/x"]
    {
        let folder = TempDir::new().unwrap();
        let mut config = StoreConfig::new(&super::url(&folder), Arc::new(SimulatedClock::new())).unwrap();
        config.redis_url = Some(url.to_owned());
        assert!(!format!("{config:?}").contains("S3CRET"));
        let error = mcp_store::open(&config).await.err().unwrap_or_else(|| panic!("{url} is taken"));
        assert!(matches!(error, OpenError::Redis { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("REDIS_URL") && text.contains("redis://127.0.0.1:6379"), "{text}");
        assert!(!text.contains("S3CRET") && !text.contains('\n'), "{text}");
    }
}
