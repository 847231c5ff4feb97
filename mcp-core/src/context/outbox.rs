//! What a call says before it ends, on its way to a client that listens.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::Serialize;
use tokio::sync::Notify;

use crate::json;
use crate::memory::lock;
use crate::server::ListenerGuard;

/// How far a call has come (basic/utilities/progress).
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    done: f64,
    total: Option<f64>,
    message: Option<String>,
}

impl Progress {
    /// So much is done; it must grow from one to the next.
    pub fn new(done: f64) -> Self {
        Self { done, total: None, message: None }
    }

    /// So much there is to do.
    #[must_use]
    pub fn of(mut self, total: f64) -> Self {
        self.total = Some(total);
        self
    }

    /// What is being done, for people.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// How serious a line of log is (RFC 5424, section 6.2.1), the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the RFC's own words")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// The level of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, own)| *own == name).map(|(level, _)| level)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Holds what has not been sent yet: the latest progress, and a bounded number of lines.
pub(crate) struct Outbox {
    /// The progress token as it came: JSON text.
    token: Option<String>,
    level: Option<LogLevel>,
    waiting: Mutex<Waiting>,
    filled: Notify,
    /// It is a stream of its client as long as it is there.
    _stream: Option<ListenerGuard>,
}

#[derive(Default)]
struct Waiting {
    progress: Option<Progress>,
    told: Option<f64>,
    lines: VecDeque<Vec<u8>>,
    /// What must not be lost: requests to the client. Each waits for its answer, so that they are few.
    requests: Vec<Vec<u8>>,
    /// The client may hang up, and come back for the rest.
    release: bool,
    closed: bool,
}

/// How many lines of log wait for a client at the most, and how long one may be in bytes.
const MAX_LINES: usize = 256;
const MAX_LINE: usize = 16 * 1024;

impl Outbox {
    /// An outbox for a client that gave a progress token or a log level, and has one more stream then.
    pub(crate) fn new(token: Option<String>, level: Option<LogLevel>, stream: Option<ListenerGuard>) -> Self {
        Self { token, level, waiting: Mutex::default(), filled: Notify::new(), _stream: stream }
    }

    pub(super) fn wants(&self, level: LogLevel) -> bool {
        self.level.is_some_and(|least| level >= least)
    }

    pub(super) fn progress(&self, progress: Progress) {
        if self.token.is_none() || !progress.done.is_finite() || progress.total.is_some_and(|total| !total.is_finite())
        {
            return;
        }
        let mut waiting = lock(&self.waiting);
        if !waiting.closed && waiting.told.is_none_or(|told| progress.done > told) {
            waiting.told = Some(progress.done);
            waiting.progress = Some(progress);
            drop(waiting);
            self.filled.notify_one();
        }
    }

    pub(super) fn log(&self, level: LogLevel, data: &impl Serialize) {
        let mut line = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"".to_vec();
        line.extend_from_slice(level.name().as_bytes());
        line.extend_from_slice(b"\",\"data\":");
        let start = line.len();
        if serde_json::to_writer(&mut line, data).is_err() || line.len() - start > MAX_LINE {
            line.truncate(start);
            line.extend_from_slice(b"\"(this line was too long, or no JSON)\"");
        }
        line.extend_from_slice(b"}}");
        let mut waiting = lock(&self.waiting);
        if !waiting.closed {
            if waiting.lines.len() == MAX_LINES {
                waiting.lines.pop_front();
            }
            waiting.lines.push_back(line);
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// Takes a request to the client.
    pub(crate) fn send(&self, request: Vec<u8>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.closed {
            waiting.requests.push(request);
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// Lets the client's connection go, if it can come back for the rest.
    pub(super) fn release(&self) {
        lock(&self.waiting).release = true;
        self.filled.notify_one();
    }

    /// Whether the connection is to be let go; once.
    pub(crate) fn take_release(&self) -> bool {
        std::mem::take(&mut lock(&self.waiting).release)
    }

    /// The messages that wait, each as JSON text; lines before the progress.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        let mut waiting = lock(&self.waiting);
        let mut messages: Vec<_> = waiting.lines.drain(..).collect();
        let (progress, requests) = (waiting.progress.take(), std::mem::take(&mut waiting.requests));
        drop(waiting);
        messages.extend(progress.map(|progress| self.encode(&progress)));
        messages.extend(requests);
        messages
    }

    /// Completes when something waits, or may.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes nothing from now on: the answer is on its way, and nothing may come behind it.
    pub(crate) fn close(&self) {
        lock(&self.waiting).closed = true;
    }

    fn encode(&self, progress: &Progress) -> Vec<u8> {
        let mut out =
            b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":".to_vec();
        out.extend_from_slice(self.token.as_deref().unwrap_or("null").as_bytes());
        out.extend_from_slice(b",\"progress\":");
        write_number(&mut out, progress.done);
        if let Some(total) = progress.total {
            out.extend_from_slice(b",\"total\":");
            write_number(&mut out, total);
        }
        if let Some(message) = &progress.message {
            out.extend_from_slice(b",\"message\":");
            json::write_string(&mut out, message);
        }
        out.extend_from_slice(b"}}");
        out
    }
}

/// Writes a finite number, a whole one without a fraction.
fn write_number(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(number.to_string().as_bytes());
}
