//! Spans on their way to whoever collects them. Nobody whose span ends waits for that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::layer::Ended;
use super::otlp;

/// Takes spans for a thread that sends them. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(crate) struct Exporter {
    queue: SyncSender<Entry>,
    counts: Arc<Counts>,
}

/// Where spans go.
pub(super) struct Destination {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    /// Who has made them.
    pub(super) resource: Value,
}

/// What became of spans.
#[derive(Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    /// Whether the process ends: then nothing is tried again.
    ends: AtomicBool,
}

impl Counts {
    pub(super) fn read(&self) -> (u64, u64) {
        (self.exported.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

enum Entry {
    Span(Box<Ended>),
    /// Tells that all before it is sent, or was tried to be.
    Flush(SyncSender<()>),
}

/// How many spans wait at the most.
const QUEUE: usize = 4_096;
/// How many are sent at once.
const BATCH: usize = 512;
/// How long a span waits for others at the most.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long they may take to be sent.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before what was not taken is sent again.
const RETRY: Duration = Duration::from_secs(1);
/// How often to look whether the process ends meanwhile, or whether there is room.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Exporter {
    /// Sends what comes, on a thread of its own, as long as there is a clone.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub(super) fn start(destination: Destination) -> io::Result<Self> {
        let (queue, entries) = mpsc::sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let sender = Sender::new(destination, counts.clone());
        thread::Builder::new().name("traces".to_owned()).spawn(move || sender.run(&entries))?;
        Ok(Self { queue, counts })
    }

    /// Takes a span, if there is room.
    pub(super) fn push(&self, span: Ended) {
        if self.queue.try_send(Entry::Span(Box::new(span))).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what has come is sent, but not for ever. Nothing is tried again from here on.
    pub(crate) fn flush(&self) {
        self.counts.ends.store(true, Ordering::Relaxed);
        let (sent, done) = mpsc::sync_channel(1);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.queue.try_send(Entry::Flush(sent.clone())) {
                Err(TrySendError::Full(_)) => thread::sleep(LOOK_AGAIN),
                Ok(()) => {
                    let _ = done.recv_timeout(PATIENCE.saturating_sub(begun.elapsed()));
                    return;
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    /// What became of spans.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

/// The one who sends.
struct Sender {
    agent: ureq::Agent,
    destination: Destination,
    counts: Arc<Counts>,
    /// Whether it was said that they are not taken.
    told: bool,
}

/// Why spans were not taken.
enum Refused {
    /// They may be taken later.
    ForNow(String),
    Forever(String),
}

impl Sender {
    fn new(destination: Destination, counts: Arc<Counts>) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        // Who collects them is named by its address, and no other is asked.
        let agent = config.max_redirects(0).build().new_agent();
        Self { agent, destination, counts, told: false }
    }

    fn run(mut self, entries: &Receiver<Entry>) {
        while let Ok(first) = entries.recv() {
            let (spans, flushed) = gather(first, entries);
            if !spans.is_empty() {
                self.send(&spans);
            }
            if let Some(flushed) = flushed {
                let _ = flushed.try_send(());
            }
        }
    }

    /// Sends spans until they are taken or refused for ever. What comes meanwhile waits, and what finds no room is dropped.
    fn send(&mut self, spans: &[Ended]) {
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let body = otlp::request(&self.destination.resource, spans).to_string();
        loop {
            match self.post(&body) {
                Ok(()) => {
                    self.counts.exported.fetch_add(count, Ordering::Relaxed);
                    if std::mem::take(&mut self.told) {
                        tracing::info!("traces are taken again");
                    }
                    return;
                }
                Err(Refused::ForNow(error)) if !self.counts.ends.load(Ordering::Relaxed) => {
                    self.tell(&error);
                    self.pause();
                }
                Err(Refused::ForNow(error) | Refused::Forever(error)) => {
                    self.tell(&error);
                    self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn post(&self, body: &str) -> Result<(), Refused> {
        let request = self.agent.post(&self.destination.url).content_type("application/json");
        let request =
            self.destination.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        match request.send(body).map(|answer| answer.status().as_u16()) {
            Ok(200..=299) => Ok(()),
            Ok(status @ (429 | 502..=504)) => Err(Refused::ForNow(format!("it answers {status}"))),
            Ok(status) => Err(Refused::Forever(format!("it answers {status}"))),
            Err(error) => Err(Refused::ForNow(error.to_string())),
        }
    }

    fn tell(&mut self, error: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(error, "traces are not taken at OTEL_EXPORTER_OTLP_ENDPOINT; what finds no room is dropped");
        }
    }

    fn pause(&self) {
        let begun = Instant::now();
        while begun.elapsed() < RETRY && !self.counts.ends.load(Ordering::Relaxed) {
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// What is sent at once: all that comes within [`INTERVAL`], or until somebody waits for it, or as many as are sent together.
fn gather(first: Entry, entries: &Receiver<Entry>) -> (Vec<Ended>, Option<SyncSender<()>>) {
    let mut spans = Vec::new();
    let until = Instant::now() + INTERVAL;
    let mut next = Ok(first);
    loop {
        match next {
            Ok(Entry::Span(span)) => spans.push(*span),
            Ok(Entry::Flush(flushed)) => return (spans, Some(flushed)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return (spans, None),
        }
        if spans.len() == BATCH {
            return (spans, None);
        }
        next = entries.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// How many of so many spans are not dropped by one who sends to this address, and how long it takes to give them and to flush.
    fn push_all(url: String, spans: u64) -> (Arc<Counts>, Duration, Duration) {
        let destination = Destination { url, headers: Vec::new(), resource: otlp::resource("test", &[]) };
        let exporter = Exporter::start(destination).unwrap();
        let begun = Instant::now();
        for _ in 0..spans {
            exporter.push(Ended::test());
        }
        let given = begun.elapsed();
        exporter.flush();
        (exporter.counts(), given, begun.elapsed())
    }

    #[test]
    fn nobody_waits_for_a_collector_that_hangs_and_what_waits_is_bounded() {
        // It takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", silent.local_addr().unwrap());
        let (counts, given, flushed) = push_all(url, 6_000);
        let (exported, dropped) = counts.read();
        assert_eq!(exported, 0);
        assert!(dropped >= 6_000 - (QUEUE + 2 * BATCH) as u64, "{dropped}");
        assert!(given < TIMEOUT && flushed < TIMEOUT, "{given:?} {flushed:?}");
        assert!(flushed >= PATIENCE, "it is waited for: {flushed:?}");
    }

    #[test]
    fn where_nobody_listens_spans_are_dropped_at_the_end() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (counts, _, flushed) = push_all(format!("http://{closed}/v1/traces"), 10);
        assert_eq!(counts.read(), (0, 10));
        assert!(flushed < PATIENCE, "{flushed:?}");
    }
}
