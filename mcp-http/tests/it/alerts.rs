//! Alerts of a real server: told by a channel, and shown on the command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::served::{Served, binary};

/// Takes what is posted to it, and answers with this status.
fn receiver(status: &'static str) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook-url-secret", listener.local_addr().unwrap());
    let (heard, posted) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let body = read(&stream);
            let _ = (&stream)
                .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes());
            if heard.send(body).is_err() {
                return;
            }
        }
    });
    (url, posted)
}

fn read(stream: &TcpStream) -> Value {
    let (mut reader, mut length) = (BufReader::new(stream), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap_or_default()
}

fn alerts() -> String {
    let hook = json!({"kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"});
    json!({"channels": {"hook": hook}, "rules": {"dependency_down": {"for": "0s"}}}).to_string()
}

#[test]
fn a_dependency_that_is_down_is_told_of_and_shown() {
    let (url, posted) = receiver("204 No Content");
    let alerts = alerts();
    let server = Served::start(&[
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("ALERTS", &alerts),
        ("HOOK_URL", &url),
        ("HOOK_SECRET", "hook-secret"),
    ]);
    // The machine that this runs on may be full, which is told as well.
    let told = || posted.recv_timeout(Duration::from_secs(60)).expect("it is told within two looks");
    let told = std::iter::repeat_with(told).find(|told| told["subject"] == "redis").unwrap();
    assert_eq!((&told["event"], &told["rule"]), (&json!("firing"), &json!("dependency_down")));
    let listed = server.command(&["alert", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let firing: Vec<_> =
        listed["alerts"].as_array().unwrap().iter().filter(|alert| alert["phase"] == "firing").collect();
    assert!(firing.iter().any(|alert| alert["key"] == "dependency_down/redis"), "{listed}");
    let shown = server.get("/api/v1/alerts").body;
    for (part, name) in [("rules", "dependency_down"), ("channels", "hook")] {
        let found = shown[part].as_array().unwrap().iter().find(|found| found["name"] == name).unwrap();
        assert_eq!(found.get("state").unwrap_or(&json!("firing")), "firing", "{found}");
    }
    assert!(shown["alerts"].as_array().unwrap().iter().any(|alert| alert["key"] == "dependency_down/redis"), "{shown}");
    let metrics = server.get("/metrics").body;
    let count = format!("mcp_alerts_firing{{severity=\"critical\"}} {}\n", firing.len());
    assert!(metrics.as_str().unwrap().contains(&count), "{metrics}");
}

#[test]
fn a_channel_is_tried_from_the_command_line() {
    let alerts = alerts();
    for (status, channel, exit, expected) in [
        ("200 OK", "hook", 0, "hook took the test"),
        ("410 Gone", "hook", 7, "it answered 410"),
        ("503 Service Unavailable", "hook", 4, "it answered 503"),
        ("200 OK", "hok", 2, "did you mean hook?"),
    ] {
        let (url, _posted) = receiver(status);
        let folder = tempfile::tempdir().unwrap();
        let settings = [("ALERTS", alerts.as_str()), ("HOOK_URL", &url), ("HOOK_SECRET", "hook-secret")];
        let run = |words: &[&str]| binary(folder.path(), &settings).args(words).output().unwrap();
        let done = run(&["alert", "test", channel]);
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(done.status.code(), Some(exit), "{status}: {said}");
        assert!(said.contains(expected) && !said.contains("-secret"), "{status}: {said}");
        let shown = String::from_utf8(run(&["config"]).stdout).unwrap();
        assert!(shown.contains("HOOK_URL") && !shown.contains("-secret"), "{shown}");
    }
}
