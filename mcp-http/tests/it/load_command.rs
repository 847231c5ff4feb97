//! `mcp-http load`: what it measures, and what it hides nothing of.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::served::{Served, binary, text, until};

/// Begins a load on a server.
fn begin(server: &Served, words: &[&str]) -> Child {
    let port = server.url.rsplit(':').next().unwrap();
    let mut command = binary(server.folder(), &[("PORT", port)]);
    let command = command.arg("load").args(words).arg("--json").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What it found in the end.
fn end(load: Child) -> Value {
    let ended = load.wait_with_output().unwrap();
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&ended.stderr)))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn calls(server: &Served) -> usize {
    server.metric("mcp_tool_calls_total{tool=\"time.now\",outcome=\"ok\"}").unwrap_or(0)
}

#[test]
fn a_load_is_told_in_all_second_by_second_and_on_a_page() {
    let server = Served::start(&[]);
    let found = end(begin(&server, &["--rate", "50", "--for", "2s", "--report", "load.html", "zone=Europe/Lisbon"]));
    assert_eq!((&found["due"], &found["ok"], &found["error_rate"]), (&100.into(), &100.into(), &0.0.into()), "{found}");
    assert_eq!(calls(&server), 100);
    let seconds = found["timeline"].as_array().unwrap();
    assert_eq!(seconds.len(), 2, "{found}");
    assert!(seconds.iter().all(|second| second["due"] == 50 && second["p99_ms"].is_f64()), "{found}");
    for name in ["p50", "p90", "p99", "p99.9", "max"] {
        assert!(found["latency_ms"][name].as_f64().unwrap() > 0.0, "{found}");
    }
    #[cfg(target_os = "linux")]
    assert!(found["server"]["resident_bytes"]["most"].as_f64().unwrap() > 1e6, "{found}");
    let page = std::fs::read_to_string(server.folder().join("load.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("100 due, 100 sent, 100 went well"), "{page}");

    let shown = server.command(&["load", "--rate", "50", "--for", "1s"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("50 due, 50 sent, 50 went well") && shown.contains("p99.9 "), "{shown}");
}

#[test]
fn requests_are_late_from_when_they_were_due_also_while_the_server_stands_still() {
    let server = Served::start(&[]);
    let load = begin(&server, &["--rate", "50", "--for", "4s", "--timeout", "20s"]);
    until("the load has begun", || calls(&server) > 10);
    server.send_signal("-STOP");
    std::thread::sleep(Duration::from_millis(1_500));
    server.send_signal("-CONT");
    let found = end(load);
    assert_eq!((&found["due"], &found["ok"]), (&200.into(), &200.into()), "those that were due were sent: {found}");
    let time = |name: &str| found["latency_ms"][name].as_f64().unwrap();
    assert!(time("max") >= 1_400.0, "{found}");
    // Of 200 about 75 were due while it stood still, and the first 50 of them waited for half a second and more.
    assert!(time("p90") >= 500.0, "a load that waits for its answers would have one that is late: {found}");
}

#[test]
fn a_server_that_goes_and_comes_back_is_told_by_kinds_of_errors_in_their_seconds() {
    let server = Served::start(&[]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let load = begin(&server, &["--rate", "50", "--for", "6s"]);
    until("the load has begun", || calls(&server) > 10);
    let folder = server.kill();
    std::thread::sleep(Duration::from_millis(1_100));
    let server = Served::start_in(folder, &[("PORT", &port)]);
    let found = end(load);
    drop(server);
    assert!(count(&found["errors"]["connection refused"]) > 0, "{found}");
    assert_eq!(count(&found["ok"]) + count(&found["failed"]), 300, "none is left out: {found}");
    let seconds = found["timeline"].as_array().unwrap();
    let refused = |second: &&Value| second["errors"]["connection refused"].is_u64();
    assert!((1..=5).contains(&seconds.iter().filter(refused).count()), "{found}");
    assert_eq!(seconds.last().unwrap()["errors"], json!({}), "it came back: {found}");
}

#[test]
fn what_is_beyond_the_connections_is_counted_as_dropped() {
    let server = Served::start(&[]);
    let load = begin(&server, &["--rate", "50", "--for", "3s", "--connections", "2", "--timeout", "1s"]);
    until("the load has begun", || calls(&server) > 10);
    server.send_signal("-STOP");
    let found = end(load);
    server.send_signal("-CONT");
    assert!(count(&found["errors"]["dropped"]) > 10 && count(&found["errors"]["timed out"]) > 1, "{found}");
    assert_eq!(count(&found["ok"]) + count(&found["failed"]), 150, "{found}");
    assert_eq!(count(&found["sent"]) + count(&found["errors"]["dropped"]), 150, "{found}");
}

#[test]
fn a_load_fails_above_its_bounds_and_before_it_begins_where_it_cannot() {
    let server = Served::start(&[]);
    let short = ["load", "--rate", "20", "--for", "1s"];
    for (words, code, expected) in [
        (&["--fail-above", "p99=60s,errors=0%"][..], 0, ""),
        (&["--fail-above", "p99=60s,max=0ms"], 1, "max is "),
        (&["zone=Atlantis"], 1, "no request went well"),
        (&["zone=Atlantis", "--fail-above", "errors=0.1%"], 1, "100 % failed, and not below 0.1 %"),
        (&["--tool", "time.know"], 1, "did you mean \"time.now\"?"),
        (&["http://127.0.0.1:1"], 4, "127.0.0.1:1"),
        (&["--fail-above", "p98=1ms"], 2, "p99=100ms"),
        (&["--report", "none/load.html"], 1, ""),
    ] {
        let ran = server.command(&[&short[..], words].concat());
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    let failed = server.command(&[&short[..], &["zone=Atlantis"]].concat());
    assert!(text(&failed.stdout).contains("100 %: 20 isError"), "{}", text(&failed.stdout));
    for words in [["--rate", "0"], ["--for", "0s"], ["--for", "2d"], ["--connections", "0"]] {
        assert_eq!(server.command(&[&["load"][..], &words].concat()).status.code(), Some(2), "{words:?}");
    }
}
