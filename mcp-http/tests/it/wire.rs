//! What is promised where the database is well, and the way to it is not.

use std::time::Duration;

use mcp_store::test_servers::{Fault, FaultProxy, PostgresServer};

use crate::outages::{call, heals, is_refused, serve};
use crate::served::{Reply, Served, until};
use crate::stop;

/// A server, its database, and the wire between them.
fn start() -> (Served, FaultProxy, PostgresServer) {
    let postgres = PostgresServer::start();
    let wire = FaultProxy::to(postgres.port());
    let server = serve(&wire.url(&postgres.database()));
    assert_eq!(call(&server).status, 200);
    assert_eq!(read(&server).status, 200);
    (server, wire, postgres)
}

/// What needs a connection for a moment.
fn read(server: &Served) -> Reply {
    server.get("/api/v1/calls")
}

/// Asks so many times at once.
fn at_once(times: usize, ask: impl Fn() -> Reply + Sync) -> Vec<Reply> {
    std::thread::scope(|threads| {
        let asked: Vec<_> = (0..times).map(|_| threads.spawn(&ask)).collect();
        asked.into_iter().map(|reply| reply.join().unwrap()).collect()
    })
}

#[test]
fn over_a_slow_wire_all_calls_are_answered_and_then_as_ever() {
    let (server, wire, _postgres) = start();
    wire.set(Fault::Delay(Duration::from_millis(50)));
    for reply in at_once(20, || call(&server)).into_iter().chain(at_once(8, || read(&server))) {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    wire.set(Fault::Nothing);
    heals(&server);
}

#[test]
fn over_a_wire_that_was_silent_calls_are_taken_again() {
    let (server, wire, _postgres) = start();
    wire.set(Fault::Silence);
    for reply in at_once(20, || call(&server)).iter().chain(&at_once(20, || read(&server))) {
        assert!(is_refused(reply), "{reply:?}");
    }
    wire.set(Fault::Nothing);
    heals(&server);
}

#[test]
fn connections_that_are_cut_are_replaced() {
    let (server, wire, _postgres) = start();
    for fault in [Fault::Reset, Fault::Close] {
        wire.set(fault);
        wire.set(Fault::Nothing);
        for reply in [call(&server), read(&server)] {
            assert_eq!(reply.status, 200, "{fault:?}: {reply:?}");
        }
    }
}

#[test]
fn connections_that_lead_nowhere_are_replaced() {
    let (server, wire, _postgres) = start();
    at_once(20, || read(&server));
    wire.set(Fault::HalfOpen);
    wire.set(Fault::Nothing);
    for reply in at_once(20, || read(&server)).iter().chain(&at_once(20, || call(&server))) {
        assert!(reply.status == 200 || is_refused(reply), "{reply:?}");
    }
    heals(&server);
    for reply in at_once(20, || read(&server)) {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[test]
fn however_many_tools_run_no_connection_is_held() {
    const CALLS: usize = 40;
    let postgres = PostgresServer::start();
    let url = postgres.database();
    let server = stop::start(&[("DATABASE_URL", &url), ("SECRET_KEYS", crate::outages::SECRET_KEYS)]);
    std::thread::scope(|threads| {
        let slow: Vec<_> = (0..CALLS).map(|_| threads.spawn(|| server.post("/api/v1/tools/slow/call", "{}"))).collect();
        until("all of them run", || server.metric(r#"mcp_tool_calls_in_flight{tool="slow"}"#) == Some(CALLS));
        for reply in at_once(20, || read(&server)).into_iter().chain(at_once(20, || call(&server))) {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        let busy = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state <> 'idle'",
            url.rsplit('/').next().unwrap()
        );
        until("no connection is in use", || postgres.query("postgres", &busy) == "0");
        std::fs::write(server.folder().join("go"), "").unwrap();
        assert!(slow.into_iter().all(|call| call.join().unwrap().status == 200));
    });
}
