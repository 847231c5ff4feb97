//! `mcp-stdio` as a client starts it: a process, with nothing but messages on its standard output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// The process, and what it prints, line by line.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Process {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-stdio"));
        command.current_dir(folder.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, input, lines, _folder: folder }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn modern(id: u32, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[test]
fn both_eras_are_served_and_the_process_ends_with_its_input() {
    let mut process = Process::start();
    process.send(&modern(1, "server/discover", json!({})));
    assert_eq!(process.next()["result"]["supportedVersions"], json!(["2026-07-28"]));
    process.send(&modern(2, "tools/call", json!({"name": "time.now", "arguments": {"zone": "UTC"}})));
    assert_eq!(process.next()["result"]["structuredContent"]["zone"], "UTC");
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    process.send(&json!({"jsonrpc": "2.0", "id": 3, "method": "initialize", "params": hello}));
    assert_eq!(process.next()["result"]["serverInfo"]["name"], "mcp-http");
    process.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    process.send(&json!({"jsonrpc": "2.0", "id": 4, "method": "tools/list"}));
    assert!(process.next()["result"]["tools"].as_array().unwrap().len() > 5);
    process.input = None;
    assert!(process.child.wait().unwrap().success());
    assert!(process.lines.recv().is_err(), "nothing more is printed");
}

#[test]
fn what_was_asked_before_the_input_ended_is_answered() {
    let mut process = Process::start();
    process.send(&modern(1, "tools/list", json!({})));
    process.input = None;
    assert_eq!(process.next()["id"], 1);
    assert!(process.child.wait().unwrap().success());
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
    let mut process = Process::start();
    process.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y".repeat(5 * 1024 * 1024)}}));
    let refused = process.next();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&Value::Null, &json!(-32600)));
    process.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}));
    assert_eq!(process.next(), json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
}
