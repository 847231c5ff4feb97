//! What is promised while the database is gone, and that it heals by itself.
//!
//! A call that cannot be recorded is answered 503 with `Retry-After`, and, once it is known, is not begun. What needs no database
//! answers as always. Whatever was acknowledged is there afterwards.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_store::test_servers::PostgresServer;
use serde_json::{Value, json};

use crate::served::{Reply, Served, until};

pub const SECRET_KEYS: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub fn serve(url: &str) -> Served {
    let settings = [("DATABASE_URL", url), ("SECRET_KEYS", SECRET_KEYS), ("STREAM_AFTER", "60s")];
    // Some tests have a thousand connections, and more.
    Served::start(&[&settings[..], &[("MAX_CONNECTIONS_PER_ADDRESS", "4000")]].concat())
}

/// A call that needs the database for its record alone.
pub fn call(server: &Served) -> Reply {
    server.post("/api/v1/tools/time.now/call", "{}")
}

fn call_by_mcp(server: &Served) -> Reply {
    server.call_by_mcp("time.now", &json!({}))
}

pub fn is_refused(reply: &Reply) -> bool {
    reply.status == 503 && reply.header("retry-after") == Some("1")
}

/// The arguments of all recorded calls of a tool.
fn recorded(server: &Served, tool: &str) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/calls?tool={tool}&limit=500{before}"));
        assert_eq!(page.status, 200, "{:?}", page.body);
        all.extend(page.body["calls"].as_array().unwrap().iter().map(|call| call["arguments"].clone()));
        match page.body["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return all,
        }
    }
}

/// What is promised as long as the database is gone, whatever the reason.
fn is_degraded(server: &Served) {
    for reply in [call(server), call_by_mcp(server), server.post("/api/v1/tools/notes.read/call", "{\"name\": \"n\"}")]
    {
        assert!(is_refused(&reply), "{reply:?}");
    }
    let keyed = server.send("POST", "/api/v1/tools/time.now/call", &[("idempotency-key", "key")], "{}");
    assert!(is_refused(&keyed), "{keyed:?}");
    assert!(is_refused(&server.get("/api/v1/calls")));
    assert!(is_refused(&server.get("/api/v1/sessions")));
    assert!(is_refused(&server.send("DELETE", "/api/v1/sessions/any", &[], "")));
    for path in ["/api/v1/tools", "/openapi.json", "/docs", "/metrics", "/health/live", "/health/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    until("the database is reported as down", || {
        let health = server.get("/health");
        health.status == 503 && health.body["status"] == "down" && health.body["checks"]["database"]["state"] == "down"
    });
}

pub fn heals(server: &Served) {
    until("calls are taken again", || call(server).status == 200);
    until("the database is reported as up", || server.get("/health").body["status"] == "ok");
    let (name, path) = (json!({"name": "n", "text": "after"}), "/api/v1/tools/notes.write/call");
    until("notes are written again", || server.post(path, &name.to_string()).status == 200);
    assert_eq!(server.get("/api/v1/calls").status, 200);
}

#[test]
fn with_postgres_stopped_calls_are_refused_and_all_else_answers() {
    let postgres = PostgresServer::start();
    let server = serve(&postgres.database());
    assert_eq!(call(&server).status, 200);
    postgres.stop();
    // The first finds it out, and waits for a server that may only be starting again.
    assert!(is_refused(&call(&server)));
    is_degraded(&server);
    postgres.restart();
    heals(&server);
}

#[test]
fn a_restart_of_postgres_is_waited_for() {
    let postgres = PostgresServer::start();
    let server = serve(&postgres.database());
    assert_eq!(call(&server).status, 200);
    postgres.stop();
    std::thread::scope(|threads| {
        let waiting = [threads.spawn(|| call(&server)), threads.spawn(|| call_by_mcp(&server))];
        postgres.restart();
        for waiting in waiting {
            let reply = waiting.join().unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    });
    assert_eq!(recorded(&server, "time.now").len(), 3);
}

#[test]
fn what_was_acknowledged_survives_a_kill_of_postgres() {
    const CLIENTS: usize = 8;
    const CALLS: usize = 100;
    let postgres = PostgresServer::start();
    let server = serve(&postgres.database());
    let (acknowledged, done) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for client in 0..CLIENTS {
            let (server, acknowledged, done) = (&server, &acknowledged, &done);
            threads.spawn(move || {
                for n in 0..CALLS {
                    // No attempt is made twice, so that each record has a place of its own.
                    until("a note is written", || {
                        let name = format!("{client} {n} {}", done.fetch_add(1, Ordering::Relaxed));
                        let note = json!({"name": name, "text": "kept"}).to_string();
                        let written = server.post("/api/v1/tools/notes.write/call", &note).status == 200;
                        if written {
                            acknowledged.lock().unwrap().insert(name);
                        }
                        written
                    });
                }
            });
        }
        for kill in 1..=3 {
            until("calls are made", || acknowledged.lock().unwrap().len() > kill * CLIENTS * CALLS / 5);
            postgres.kill();
            postgres.restart();
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(acknowledged.len(), CLIENTS * CALLS);
    let recorded: Vec<_> = recorded(&server, "notes.write");
    let names: BTreeSet<_> = recorded.iter().map(|note| note["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), recorded.len(), "a call is recorded twice");
    assert_eq!(acknowledged.difference(&names).count(), 0, "a record that was acknowledged is lost");
    for name in &acknowledged {
        let read = server.post("/api/v1/tools/notes.read/call", &json!({"name": name}).to_string());
        assert_eq!(read.status, 200, "the note {name:?} is lost: {:?}", read.body);
    }
}

#[test]
fn a_slow_postgres_is_waited_for_and_one_that_hangs_is_not() {
    let postgres = PostgresServer::start();
    let server = serve(&postgres.database());
    assert_eq!(call(&server).status, 200);
    std::thread::scope(|threads| {
        postgres.freeze();
        let waiting = threads.spawn(|| call(&server));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!waiting.is_finished(), "a call is answered before it is recorded");
        postgres.thaw();
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    // The connection was used just now, and nobody knows yet that it leads nowhere.
    assert_eq!(server.get("/api/v1/calls").status, 200);
    postgres.freeze();
    assert!(is_refused(&server.get("/api/v1/calls")));
    assert!(is_refused(&call(&server)));
    is_degraded(&server);
    postgres.thaw();
    heals(&server);
}

#[test]
fn with_the_table_locked_no_call_is_answered() {
    let postgres = PostgresServer::start();
    let url = postgres.database();
    let server = serve(&url);
    let locked = postgres.hold(url.rsplit('/').next().unwrap(), "LOCK TABLE mcp_calls");
    std::thread::scope(|threads| {
        let calls: Vec<_> = (0..20).map(|_| threads.spawn(|| call(&server))).collect();
        until("all calls wait", || queued(&server) == 20);
        assert!(calls.iter().all(|call| !call.is_finished()), "a call is answered before its record is kept");
        drop(locked);
        assert!(calls.into_iter().all(|call| call.join().unwrap().status == 200));
    });
    assert_eq!(recorded(&server, "time.now").len(), 20);
}

/// How many calls wait for their records to be kept.
fn queued(server: &Served) -> usize {
    server.metric("mcp_ledger_queued_commits").unwrap()
}

/// Once an answer streams, its status has been sent: what is wrong is its last event.
#[test]
fn a_call_whose_answer_streams_ends_with_the_error() {
    let postgres = PostgresServer::start();
    let settings = [("SECRET_KEYS", SECRET_KEYS), ("STREAM_AFTER", "100ms"), ("DATABASE_URL", &postgres.database())];
    let server = Served::start(&settings);
    postgres.stop();
    let reply = call_by_mcp(&server);
    assert_eq!((reply.status, reply.content_type.as_str()), (200, "text/event-stream"));
    let text = reply.body.as_str().unwrap();
    let last = text.trim_end().rsplit("data: ").next().unwrap();
    let error: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(-32603)), "{text}");
}

#[test]
fn a_thousand_calls_at_once_make_few_commits() {
    const CALLS: usize = 1_000;
    let postgres = PostgresServer::start();
    let url = postgres.database();
    let server = serve(&url);
    let database = url.rsplit('/').next().unwrap();
    // So that they are under way at once, and not one after the other, none ends before all have begun.
    let locked = postgres.hold(database, "LOCK TABLE mcp_calls");
    let address = server.url.strip_prefix("http://").unwrap();
    let request = "POST /api/v1/tools/time.now/call HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}";
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    until("all calls wait", || queued(&server) == CALLS);
    drop(locked);
    for mut stream in calls {
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    assert_eq!(recorded(&server, "time.now").len(), CALLS);
    let (code, ..) = server.stop();
    assert_eq!(code, Some(0));
    // What a connection has counted is seen when it is closed.
    until("the connections are closed", || {
        let open = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
        postgres.query("postgres", &open) == "0"
    });
    let commits = format!("SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'");
    let commits: usize = postgres.query("postgres", &commits).parse().unwrap();
    assert!(
        commits <= 150,
        "{commits} commits, with those of the start, of the checks, of the anchors and of this test"
    );
}
