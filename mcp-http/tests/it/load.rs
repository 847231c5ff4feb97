//! A server that has enough to do says so at once, and before it reads a body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use crate::served::Served;
use crate::stop::{start, wait_until};

/// Sends a head that announces a body, and nothing of it; gives the answer.
fn announce(server: &Served, path: &str, length: usize) -> String {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("host: localhost\r\ncontent-length: {length}\r\nconnection: close");
    write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Calls the slow tool, does something once that runs, and lets it end.
fn while_it_runs(server: &Served, act: impl FnOnce()) {
    let path = server.folder().to_owned();
    let begun = |path: &Path| path.join("begun").exists();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| server.post("/api/v1/tools/slow/call", "{}"));
        wait_until(|| begun(&path));
        // It has begun before it is counted as one that takes longer than a moment.
        wait_until(|| server.metric("mcp_calls_under_way") == Some(1));
        // Whatever fails in between, the call must end.
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        std::fs::write(path.join("go"), "").unwrap();
        assert_eq!(call.join().unwrap().status, 200);
        acted.unwrap();
    });
}

#[test]
fn past_the_calls_that_may_be_under_way_requests_are_refused_before_their_bodies_are_read() {
    let server = start(&[("MAX_IN_FLIGHT", "1")]);
    while_it_runs(&server, || {
        for path in ["/mcp", "/api/v1/tools/time.now/call"] {
            let answer = announce(&server, path, 1_000);
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{path}: {answer}");
            assert!(answer.contains("as many calls are under way"), "{path}: {answer}");
        }
        assert_eq!(server.get("/api/v1/tools").status, 503);
        for path in ["/health/live", "/health/ready", "/health", "/metrics"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        assert_eq!(server.metric("mcp_refused_total{reason=\"in_flight\"}"), Some(3));
        assert_eq!(server.metric("mcp_calls_under_way"), Some(1));
    });
    // The call is counted until its task has ended, which may be a moment after its answer.
    wait_until(|| server.call_by_mcp("time.now", &json!({})).status == 200);
}

#[test]
fn a_body_for_which_there_is_no_room_is_refused_before_it_is_read() {
    let server = Served::start(&[("MAX_BYTES_IN_FLIGHT", "64KiB")]);
    let answer = announce(&server, "/mcp", 65 * 1024);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    let large = json!({"name": "a", "text": "x".repeat(40 * 1024)}).to_string();
    assert_eq!(server.post("/api/v1/tools/notes.write/call", &large).status, 200);
    assert_eq!(server.metric("mcp_refused_total{reason=\"bytes\"}"), Some(1));
    wait_until(|| server.metric("mcp_held_bytes") == Some(0));
}

#[test]
fn a_caller_who_listens_to_as_many_calls_as_one_may_is_told() {
    let server = start(&[("STREAMS_PER_CALLER", "1")]);
    let listen = || server.send("POST", "/api/v1/tools/slow/call", &[("accept", "text/event-stream")], "{}");
    std::thread::scope(|scope| {
        let first = scope.spawn(listen);
        wait_until(|| server.folder().join("begun").exists());
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(listen));
        std::fs::write(server.folder().join("go"), "").unwrap();
        assert_eq!(first.join().unwrap().status, 200);
        let refused = refused.unwrap();
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(refused.body["detail"].as_str().unwrap().contains("1 streams open"), "{refused:?}");
    });
}
