//! The bundled server as a process of its own, on a free port, in a folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A server that runs until it is dropped.
pub struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it said at its start.
    pub said: Vec<String>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    folder: tempfile::TempDir,
    agent: ureq::Agent,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The binary, with nothing in its environment but what is given.
pub fn binary(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-http"));
    command.current_dir(folder).env_clear().envs(settings.iter().copied());
    command
}

/// What a command says that is to end by itself. One that does not is ended after a minute: a test must end where it fails, too.
pub fn ended(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let (over, is_over) = mpsc::channel::<()>();
    let undertaker = thread::spawn(move || {
        if is_over.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(over);
    undertaker.join().unwrap();
    output
}

impl Served {
    /// Starts a server with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings)
    }

    /// Starts a server in a folder that may hold data already.
    pub fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let mut command = binary(folder.path(), settings);
        if !settings.iter().any(|(key, _)| *key == "PORT") {
            command.env("PORT", "0");
        }
        Self::run(command, folder)
    }

    /// Runs a command that becomes a bundled server, and waits until it serves.
    pub fn run(mut command: Command, folder: tempfile::TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = Vec::new();
        let port = loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the server ended; it said {said:?}");
            let line = line.trim_end();
            // A test that is a server has said more before.
            if !said.is_empty() || line.starts_with("listening") {
                said.push(line.to_owned());
            } else if let Ok(event) = serde_json::from_str::<Value>(line)
                && event["message"] == "serving"
            {
                said.push(line.to_owned());
                break event["address"].as_str().unwrap().to_owned();
            }
            if line.starts_with("next") {
                break said[0].clone();
            }
        };
        let port = port.rsplit(':').next().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .new_agent();
        Self { child, stdout, said, url, folder, agent }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.agent.get(format!("{}{path}", self.url));
        reply(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call())
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        reply(self.agent.post(format!("{}{path}", self.url)).send(body))
    }

    /// Sends any request.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        match body {
            "" => reply(self.agent.run(request.body(()).unwrap())),
            body => reply(self.agent.run(request.body(body.to_owned()).unwrap())),
        }
    }

    /// Calls a tool by MCP, in the modern era.
    pub fn call_by_mcp(&self, tool: &str, arguments: &Value) -> Reply {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}});
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", tool),
        ];
        self.send("POST", "/mcp", &headers, &body.to_string())
    }

    /// A figure of `/metrics`, by its name and labels as they stand there.
    pub fn metric(&self, series: &str) -> Option<usize> {
        let metrics = self.get("/metrics").body;
        let mut lines = metrics.as_str().unwrap().lines();
        lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(|figure| figure.parse().unwrap())
    }

    /// Reads what it says up to a line with these words, and gives all of it.
    pub fn hear(&mut self, words: &str) -> String {
        let mut heard = String::new();
        while !heard.lines().last().is_some_and(|line| line.contains(words)) {
            assert_ne!(
                self.stdout.read_line(&mut heard).unwrap(),
                0,
                "the server ended, and said no {words:?}: {heard}"
            );
        }
        heard
    }

    /// Runs a command of the same binary against this server.
    pub fn command(&self, words: &[&str]) -> Output {
        let port = self.url.rsplit(':').next().unwrap();
        binary(self.folder.path(), &[("PORT", port)]).args(words).stdin(Stdio::null()).output().unwrap()
    }

    /// Asks it to stop, and gives its exit code and what else it said.
    pub fn stop(self) -> (Option<i32>, String, tempfile::TempDir) {
        self.signal();
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> (Option<i32>, String, tempfile::TempDir) {
        // It may have more to say than a pipe holds.
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (status.code(), rest, folder)
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn signal(&self) {
        self.send_signal("-TERM");
    }

    /// Ends it in the middle of what it does, and gives its folder.
    pub fn kill(self) -> tempfile::TempDir {
        self.send_signal("-KILL");
        self.wait().2
    }

    /// Sends a signal, such as `-STOP`.
    pub fn send_signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reply(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
    let mut answer = answer.unwrap();
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
    };
    let headers: Vec<_> = answer.headers().iter().map(header).collect();
    let content_type = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone());
    let text = answer.body_mut().read_to_string().unwrap();
    Reply {
        status: answer.status().as_u16(),
        content_type: content_type.unwrap_or_default(),
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

/// Asks until the answer is the right one.
pub fn until(what: &str, ask: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ask() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
