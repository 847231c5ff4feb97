//! On PostgreSQL alone there is one replica: what several must share has no place to be.

use mcp_store::test_servers::{PostgresServer, RedisServer};

use crate::outages::SECRET_KEYS;
use crate::served::{Served, binary, text};

fn start(settings: &[(&str, &str)]) -> Served {
    Served::start(&[settings, &[("SECRET_KEYS", SECRET_KEYS)]].concat())
}

/// What a server says that does not start.
fn refusal(settings: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let settings = [settings, &[("SECRET_KEYS", SECRET_KEYS), ("PORT", "0")]].concat();
    let ended = binary(folder.path(), &settings).output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stdout));
    text(&ended.stderr)
}

#[test]
fn a_second_replica_on_postgres_alone_is_refused_until_the_first_has_stopped() {
    let postgres = PostgresServer::shared();
    let url = postgres.database();
    let alone = [("DATABASE_URL", &*url), ("REPLICA_LEASE", "3s")];
    let first = start(&alone);
    for settings in [&alone[..], &[("DATABASE_URL", &*url), ("REDIS_URL", "redis://127.0.0.1:1")]] {
        let said = refusal(settings);
        let line = said.lines().find(|line| line.contains("REDIS_URL")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("another replica serves already"), "{line}");
    }
    assert_eq!(first.get("/health/ready").status, 200, "the first has not noticed");
    first.stop();
    let next = start(&[("DATABASE_URL", &*url), ("REPLICA_LEASE", "60m")]);
    // Killed, it cannot say that it leaves.
    drop(next);
    let database = url.rsplit('/').next().unwrap();
    let left = postgres.query(database, "SELECT count(*) FROM mcp_replicas WHERE alone");
    assert_eq!(left, "1");
}

#[test]
fn after_a_kill_the_next_waits_for_the_dead_and_then_serves() {
    let url = PostgresServer::shared().database();
    let alone = [("DATABASE_URL", &*url), ("REPLICA_LEASE", "2s")];
    drop(start(&alone));
    let next = start(&alone);
    assert_eq!(next.get("/health/ready").status, 200);
}

#[test]
fn with_redis_there_are_many_and_each_is_listed() {
    let (url, redis) = (PostgresServer::shared().database(), RedisServer::start());
    let redis = redis.url();
    let settings = [("DATABASE_URL", &*url), ("REDIS_URL", &*redis)];
    let (one, other) = (start(&settings), start(&settings));
    let database = url.rsplit('/').next().unwrap();
    let count = || PostgresServer::shared().query(database, "SELECT count(*) FROM mcp_replicas WHERE NOT alone");
    assert_eq!(count(), "2");
    one.stop();
    assert_eq!(count(), "1");
    other.stop();
    assert_eq!(count(), "0");
}
