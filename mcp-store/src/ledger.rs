//! Group commit: whoever commits while the disk is busy shares the next transaction.

mod counts;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{Entry, Ledger};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use counts::Counts;

/// Where entries are written: one implementation a database.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Writes all of `entries` in one transaction. What is there already is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if one of them cannot be stored: then the others may be tried without it.
    fn write(&self, entries: Vec<&Entry>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// [`Ledger`] with a queue in front of one writer, which takes all that has come while it wrote into one transaction. It ends
/// when the ledger is dropped and what was taken is written.
pub(crate) struct QueuedLedger {
    queue: mpsc::Sender<Commit>,
    /// The bytes that may yet be taken.
    room: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// What was committed and waits to be written.
struct Commit {
    entries: Vec<Entry>,
    done: oneshot::Sender<Result<(), StoreError>>,
    /// Given back when it is written.
    _room: Option<OwnedSemaphorePermit>,
}

/// How many commits wait at the most.
const QUEUE: usize = 4_096;
/// How many bytes of entries wait at the most.
const ROOM: u32 = 64 * 1024 * 1024;
/// How many commits share a transaction at the most.
const BATCH: usize = 512;

impl QueuedLedger {
    /// Starts the writer on the current tokio runtime.
    pub(crate) fn start(sink: impl Sink) -> Self {
        let (queue, commits) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        tokio::spawn(write_until_closed(sink, commits, counts.clone()));
        Self { queue, room: Arc::new(Semaphore::new(ROOM as usize)), counts }
    }
}

impl Ledger for QueuedLedger {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let (done, written) = oneshot::channel();
        let written = async move { written.await.unwrap_or_else(|_| Err(unavailable())) };
        if entries.is_empty() {
            // It only waits, so it may as well wait for its place in the queue.
            let queue = self.queue.clone();
            let commit = Commit { entries, done, _room: None };
            return match queue.try_send(commit) {
                Ok(()) => written.boxed(),
                Err(TrySendError::Full(commit)) => async move {
                    queue.send(commit).await.map_err(|_| unavailable())?;
                    drop(queue);
                    written.await
                }
                .boxed(),
                Err(TrySendError::Closed(_)) => refuse(unavailable()),
            };
        }
        let size = entries.iter().map(size).fold(0, usize::saturating_add);
        let Some(size) = u32::try_from(size).ok().filter(|size| *size <= ROOM) else {
            return refuse(StoreError::Refused { store: "ledger", source: None });
        };
        let room = self.room.clone().try_acquire_many_owned(size).ok();
        let sent = room.and_then(|room| self.queue.try_send(Commit { entries, done, _room: Some(room) }).ok());
        if sent.is_none() {
            self.counts.rejected();
            return refuse(unavailable());
        }
        written.boxed()
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
        _ => OVERHEAD,
    }
}

async fn write_until_closed(sink: impl Sink, mut commits: mpsc::Receiver<Commit>, counts: Arc<Counts>) {
    let mut batch = Vec::with_capacity(BATCH);
    while commits.recv_many(&mut batch, BATCH).await > 0 {
        write(&sink, std::mem::take(&mut batch), &counts).await;
        batch.reserve(BATCH);
    }
}

/// Writes a batch and tells each commit how it went. If something in it is refused, its halves are written one after the other,
/// until what is bad stands alone.
async fn write(sink: &impl Sink, batch: Vec<Commit>, counts: &Counts) {
    let mut rest = vec![batch];
    while let Some(mut commits) = rest.pop() {
        let entries: Vec<&Entry> = commits.iter().flat_map(|commit| &commit.entries).collect();
        let result = if entries.is_empty() {
            Ok(())
        } else {
            counts.begun();
            sink.write(entries).await
        };
        if matches!(result, Err(StoreError::Refused { .. })) && commits.len() > 1 {
            let second = commits.split_off(commits.len() / 2);
            rest.extend([second, commits]);
            continue;
        }
        for commit in commits {
            let entries = commit.entries.len();
            if entries > 0 {
                counts.ended(result.is_ok());
            }
            if let Err(Err(error)) = commit.done.send(result.clone()) {
                let cause = error.source().map(ToString::to_string);
                tracing::error!(%error, cause, entries, "what nobody waited for could not be written");
            }
        }
    }
}
