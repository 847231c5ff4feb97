//! Group commit: whoever commits while the disk is busy shares the next transaction.

mod counts;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{Entry, Ledger};
use mcp_core::store::runs::Turn;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument;

use counts::Counts;

use crate::spans;

/// Where entries are written: one implementation a database.
pub(crate) trait Sink: Send + 'static {
    /// How long to try again what was not written because the database was gone. It may have been written all the same: then it
    /// is there already.
    const PATIENCE: Duration;
    /// What the database is called in traces.
    const SYSTEM: &'static str;

    /// Writes all of `commits` in one transaction, but for those that were outrun, whose places it tells. What is there already is
    /// left as it is.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if an entry cannot be stored: then nothing is written, and the commits may be tried without its own.
    fn write(&mut self, commits: &[&[Entry]]) -> impl Future<Output = Result<Outrun, StoreError>> + Send;

    /// Finds out whether it could write again.
    fn probe(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The places of the commits that were not written because what they stand on is another's by now, in rising order.
pub(crate) type Outrun = Vec<usize>;

/// [`Ledger`] with a queue in front of one writer, which takes all that has come while it wrote into one transaction. It ends
/// when the ledger is dropped and what was taken is written.
///
/// When the database is gone, what waits is tried for [`Sink::PATIENCE`], and then told so. From then on nothing is admitted,
/// until the writer, which looks every [`PROBE`], finds the database again.
pub(crate) struct QueuedLedger {
    queue: mpsc::UnboundedSender<Commit>,
    state: Arc<State>,
    system: &'static str,
}

/// What the ledger and its writer know.
#[derive(Default)]
struct State {
    /// How many commits wait or are being written.
    waiting: AtomicUsize,
    /// Roughly how many bytes they take.
    bytes: AtomicUsize,
    /// Whether the database was gone when it was last needed.
    gone: AtomicBool,
    counts: Counts,
}

/// What was committed and waits to be written.
struct Commit {
    entries: Vec<Entry>,
    done: oneshot::Sender<Result<(), StoreError>>,
    _waiting: Option<Waiting>,
}

/// How many commits may wait when work begins.
const QUEUE: usize = 4_096;
/// How many bytes of entries may wait when work begins.
pub(crate) const ROOM: usize = 64 * 1024 * 1024;
/// How much more is taken of work that had begun: it holds its result in memory as it is.
const SLACK: usize = 16;
/// How many commits share a transaction at the most.
const BATCH: usize = 512;
/// How long to wait before what was not written is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How often to look whether a database that was gone is back.
const PROBE: Duration = Duration::from_millis(500);

impl QueuedLedger {
    /// Starts the writer on the current tokio runtime.
    pub(crate) fn start<S: Sink>(sink: S) -> Self {
        let (queue, commits) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        tokio::spawn(Writer { sink, state: state.clone() }.run(commits));
        Self { queue, state, system: S::SYSTEM }
    }
}

impl Ledger for QueuedLedger {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let size = entries.iter().map(size).fold(0, usize::saturating_add);
        if size > ROOM {
            return refuse(StoreError::Refused { store: "ledger", source: None });
        }
        let waiting = if entries.is_empty() {
            // It only waits for the others.
            None
        } else {
            let Some(waiting) = Waiting::begin(&self.state, size) else {
                self.state.counts.rejected();
                return refuse(unavailable());
            };
            Some(waiting)
        };
        let (done, written) = oneshot::channel();
        if self.queue.send(Commit { entries, done, _waiting: waiting }).is_err() {
            return refuse(unavailable());
        }
        let written = async move { written.await.unwrap_or_else(|_| Err(unavailable())) };
        written.instrument(spans::commit(self.system)).boxed()
    }

    fn admit(&self) -> Result<(), StoreError> {
        let state = &self.state;
        let full = state.waiting.load(Ordering::Relaxed) >= QUEUE || state.bytes.load(Ordering::Relaxed) >= ROOM;
        if full || state.gone.load(Ordering::Relaxed) {
            state.counts.rejected();
            return Err(unavailable());
        }
        Ok(())
    }
}

/// Counts a commit as waiting, as long as it lives.
struct Waiting {
    state: Arc<State>,
    bytes: usize,
}

impl Waiting {
    /// Nothing, where far too much waits.
    fn begin(state: &Arc<State>, bytes: usize) -> Option<Self> {
        let commits = state.waiting.fetch_add(1, Ordering::Relaxed);
        let before = state.bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = Self { state: state.clone(), bytes };
        (commits < QUEUE * SLACK && before + bytes <= ROOM * SLACK).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.state.waiting.fetch_sub(1, Ordering::Relaxed);
        self.state.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn refuse(error: StoreError) -> BoxFuture<'static, Result<(), StoreError>> {
    std::future::ready(Err(error)).boxed()
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { store: "ledger", source: None }
}

/// Roughly how many bytes an entry takes while it waits.
fn size(entry: &Entry) -> usize {
    const OVERHEAD: usize = 512;
    match entry {
        Entry::Call(call) => OVERHEAD + call.arguments.len() + call.result.len(),
        Entry::Removal(removal) => OVERHEAD * (1 + removal.calls.len()),
        Entry::Anchor(heads) => OVERHEAD * (1 + heads.len()),
        Entry::Step { step, .. } => OVERHEAD + step.key.len() + step.body.len(),
        Entry::Turn { turn: Turn::End { result, .. }, .. } => OVERHEAD + result.len(),
        _ => OVERHEAD,
    }
}

/// The one who writes.
struct Writer<S> {
    sink: S,
    state: Arc<State>,
}

impl<S: Sink> Writer<S> {
    async fn run(mut self, mut commits: mpsc::UnboundedReceiver<Commit>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let taken = commits.recv_many(&mut batch, BATCH);
            let taken = if self.state.gone.load(Ordering::Relaxed) {
                tokio::time::timeout(PROBE, taken).await
            } else {
                Ok(taken.await)
            };
            match taken {
                Ok(0) => return,
                Ok(_) => self.write(std::mem::take(&mut batch)).await,
                Err(_) if self.sink.probe().await.is_ok() => self.found(),
                Err(_) => {}
            }
            batch.reserve(BATCH);
        }
    }

    /// Writes a batch and tells each commit how it went. If something in it is refused, its halves are written one after the
    /// other, until what is bad stands alone.
    async fn write(&mut self, batch: Vec<Commit>) {
        let mut rest = vec![batch];
        while let Some(mut commits) = rest.pop() {
            let entries: Vec<&[Entry]> = commits.iter().map(|commit| &*commit.entries).collect();
            let is_empty = entries.iter().all(|entries| entries.is_empty());
            let result = if is_empty { Ok(Outrun::new()) } else { self.write_or_wait(&entries).await };
            if matches!(result, Err(StoreError::Refused { .. })) && commits.len() > 1 {
                let second = commits.split_off(commits.len() / 2);
                rest.extend([second, commits]);
                continue;
            }
            for (place, commit) in commits.into_iter().enumerate() {
                let entries = commit.entries.len();
                let result = match &result {
                    Ok(outrun) if outrun.binary_search(&place).is_ok() => Err(StoreError::Conflict { store: "ledger" }),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.clone()),
                };
                if entries > 0 {
                    self.state.counts.ended(result.is_ok());
                }
                if let Err(Err(error)) = commit.done.send(result) {
                    let cause = error.source().map(ToString::to_string);
                    tracing::error!(%error, cause, entries, "what nobody waited for could not be written");
                }
            }
        }
    }

    /// Tries until it is written or refused, or the database has been gone for too long.
    async fn write_or_wait(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let begun = Instant::now();
        loop {
            self.state.counts.begun();
            let result = self.sink.write(commits).await;
            match &result {
                Err(StoreError::Unavailable { source, .. }) => {
                    let waits = !self.state.gone.load(Ordering::Relaxed) && begun.elapsed() < S::PATIENCE;
                    if waits {
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                    self.lost(source.as_deref());
                }
                _ => self.found(),
            }
            return result;
        }
    }

    fn lost(&self, cause: Option<&(dyn Error + Send + Sync)>) {
        if !self.state.gone.swap(true, Ordering::Relaxed) {
            let cause = cause.map(ToString::to_string);
            tracing::error!(cause, "the database takes no records: no call is taken until it does");
        }
    }

    fn found(&self) {
        if self.state.gone.swap(false, Ordering::Relaxed) {
            tracing::info!("the database takes records again, and so are calls");
        }
    }
}
