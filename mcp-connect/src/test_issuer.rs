//! An issuer of one's own, for tests: a small HTTP server on this machine, in threads of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mcp_core::oauth::signing::{SigningKey, key_set};
use serde_json::json;

/// Publishes keys until it is dropped.
pub struct TestIssuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By its path: the head of an answer behind `HTTP/1.1`, and its body.
    pages: HashMap<String, (String, String)>,
    /// The path of each request, in the order in which they came.
    asked: Vec<String>,
    is_away: bool,
    is_held: bool,
    is_over: bool,
}

/// Where its metadata are.
pub const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Where its keys are.
pub const KEYS: &str = "/keys";

impl TestIssuer {
    /// One that publishes these keys.
    ///
    /// # Panics
    /// Where nothing can be listened on.
    pub fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let issuer = Self { address, shared: Arc::default() };
        issuer.page(METADATA, "200 OK", &json!({"issuer": issuer.url(), "jwks_uri": issuer.keys_url()}).to_string());
        issuer.publish(keys);
        let shared = issuer.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                if shared.state().is_over {
                    return;
                }
                thread::spawn(move || shared.serve(&stream));
            }
        });
        issuer
    }

    /// Its name, which is where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its keys are.
    pub fn keys_url(&self) -> String {
        format!("{}{KEYS}", self.url())
    }

    /// From now on it has these keys.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.page(KEYS, "200 OK", &key_set(keys).to_string());
    }

    /// From now on it answers so at this path. More headers may stand behind the status, each after a line break of HTTP.
    pub fn page(&self, path: &str, status: &str, body: &str) {
        self.shared.state().pages.insert(path.to_owned(), (status.to_owned(), body.to_owned()));
    }

    /// From now on it closes each connection without an answer, or no longer.
    pub fn set_away(&self, is_away: bool) {
        self.shared.state().is_away = is_away;
    }

    /// From now on it lets each request wait, or no longer.
    pub fn set_held(&self, is_held: bool) {
        self.shared.state().is_held = is_held;
        self.shared.changed.notify_all();
    }

    /// The path of each request that it was sent, in the order in which they came.
    pub fn asked(&self) -> Vec<String> {
        self.shared.state().asked.clone()
    }

    /// How often it was asked for its keys.
    pub fn fetches(&self) -> usize {
        self.asked().iter().filter(|path| *path == KEYS).count()
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_all();
        // It wakes the one who listens.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the one request of a connection.
    fn serve(&self, mut stream: &TcpStream) {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let Some(path) = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)) else { return };
        if lines.all(|line| !line.is_empty()) {
            return;
        }
        let mut state = self.state();
        state.asked.push(path.clone());
        while state.is_held && !state.is_over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_away || state.is_over {
            return;
        }
        let (head, body) =
            state.pages.get(&path).cloned().unwrap_or_else(|| ("404 Not Found".to_owned(), String::new()));
        drop(state);
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        // Who asked may have gone.
        let _ = stream.write_all(answer.as_bytes());
    }
}
