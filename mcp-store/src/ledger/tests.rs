//! The queue and its writer, on SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use mcp_core::measure::Collector;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{Entry, Ledger};
use tokio::sync::oneshot;

use super::{BATCH, QUEUE, QueuedLedger, ROOM, Sink};
use crate::sql::Database;
use crate::sql::calls::SqlCalls;
use crate::sql::tests::{call, database, ids};

/// Counts the transactions that it makes, and tells when its writer has ended.
struct Counted {
    calls: SqlCalls,
    transactions: Arc<AtomicUsize>,
    _ended: oneshot::Sender<()>,
}

impl Sink for Counted {
    async fn write(&self, entries: Vec<&Entry>) -> Result<(), StoreError> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.calls.write(entries).await
    }
}

fn counted(database: &Database) -> (QueuedLedger, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    let transactions = Arc::new(AtomicUsize::new(0));
    let (ended, end) = oneshot::channel();
    let calls = SqlCalls::new(database.clone());
    let ledger = QueuedLedger::start(Counted { calls, transactions: transactions.clone(), _ended: ended });
    (ledger, transactions, end)
}

/// Every call whose tool is `bad` is refused by the database.
async fn refuse_bad_calls(database: &Database) {
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON mcp_calls WHEN NEW.tool = 'bad' \
                   BEGIN SELECT RAISE(ABORT, 'a bad call'); END";
    database.run(trigger).await.unwrap();
}

fn bad(id: u128) -> Entry {
    let Entry::Call(mut call) = call(id) else { unreachable!("it is a call") };
    call.tool = "bad".to_owned();
    Entry::Call(call)
}

fn is_refused(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Refused { store: "ledger", .. }))
}

fn is_unavailable(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { store: "ledger", .. }))
}

#[tokio::test]
async fn two_thousand_commits_share_a_few_transactions() {
    const COMMITS: usize = 2_000;
    let (_folder, database) = database().await;
    let (ledger, transactions, _) = counted(&database);
    let results = join_all((0..COMMITS as u128).map(|id| ledger.commit(vec![call(id)]))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(ids(&database).await.len(), COMMITS);
    // All of them are queued before the writer, on the same thread, runs for the first time.
    assert_eq!(transactions.load(Ordering::Relaxed), COMMITS.div_ceil(BATCH));
}

#[tokio::test]
async fn what_is_bad_fails_alone() {
    let (_folder, database) = database().await;
    refuse_bad_calls(&database).await;
    let (ledger, transactions, _) = counted(&database);
    let commits = (0..100).map(|id| match id {
        // The good entry of a bad commit goes with it.
        13 => vec![call(13), bad(1_013)],
        60 | 61 => vec![bad(id)],
        // A barrier between them is none of their business.
        62 => vec![],
        _ => vec![call(id)],
    });
    let results = join_all(commits.map(|entries| ledger.commit(entries)).collect::<Vec<_>>()).await;
    for (id, result) in results.iter().enumerate() {
        assert_eq!(is_refused(result), [13, 60, 61].contains(&id), "{id}: {result:?}");
        assert_eq!(result.is_ok(), ![13, 60, 61].contains(&id), "{id}: {result:?}");
    }
    let kept: Vec<_> = (0..100).rev().filter(|id| ![13, 60, 61, 62].contains(id)).collect();
    assert_eq!(ids(&database).await, kept);
    assert!(transactions.load(Ordering::Relaxed) < 50, "it is searched by halves");
}

#[tokio::test]
async fn a_full_queue_takes_no_more_and_loses_nothing() {
    let (_folder, database) = database().await;
    let (ledger, ..) = counted(&database);
    // On this thread the writer does not run before the first await.
    let taken: Vec<_> = (0..QUEUE as u128).map(|id| ledger.commit(vec![call(id)])).collect();
    let barrier = ledger.commit(vec![]);
    let refused = ledger.commit(vec![call(u128::MAX)]).now_or_never().expect("it is refused at once");
    assert!(is_unavailable(&refused), "{refused:?}");
    barrier.await.expect("to flush is possible whenever there is something to flush");
    assert_eq!(ids(&database).await.len(), QUEUE);
    assert!(join_all(taken).await.iter().all(Result::is_ok));
    ledger.commit(vec![call(u128::MAX)]).await.expect("there is room again");
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes() {
    let (_folder, database) = database().await;
    let (ledger, ..) = counted(&database);
    let large = |id, bytes| {
        let Entry::Call(mut call) = call(id) else { unreachable!("it is a call") };
        call.result = Bytes::from(vec![0; bytes]);
        vec![Entry::Call(call)]
    };
    let half = ROOM as usize / 2;
    let first = ledger.commit(large(1, half));
    assert!(is_unavailable(&ledger.commit(large(2, half)).await), "both together are too large");
    first.await.unwrap();
    ledger.commit(large(3, half)).await.expect("there is room again");
    assert!(is_refused(&ledger.commit(large(4, half * 2)).await), "it is never small enough");
    assert_eq!(ids(&database).await, [3, 1]);
}

#[tokio::test]
async fn a_ledger_that_is_dropped_writes_what_it_took_and_ends() {
    let (_folder, database) = database().await;
    let (ledger, _, ended) = counted(&database);
    for id in 0..1_000 {
        drop(ledger.commit(vec![call(id)]));
    }
    drop(ledger);
    // The sender is dropped with the writer.
    ended.await.unwrap_err();
    assert_eq!(ids(&database).await.len(), 1_000);
}

#[tokio::test]
async fn a_database_that_is_gone_is_told_to_all_who_wait() {
    let (_folder, database) = database().await;
    let (ledger, transactions, _) = counted(&database);
    database.run("ALTER TABLE mcp_calls RENAME TO elsewhere").await.unwrap();
    let results = join_all((0..10).map(|id| ledger.commit(vec![call(id)]))).await;
    assert!(results.iter().all(is_unavailable), "{results:?}");
    assert_eq!(transactions.load(Ordering::Relaxed), 1, "nobody is tried alone");
    database.run("ALTER TABLE elsewhere RENAME TO mcp_calls").await.unwrap();
    ledger.commit(vec![call(1)]).await.expect("it is back");
}

#[tokio::test]
async fn commits_are_counted_by_how_they_ended() {
    let (_folder, database) = database().await;
    refuse_bad_calls(&database).await;
    let (ledger, transactions, _end) = counted(&database);
    let figures = |ledger: &QueuedLedger| {
        let samples = Collector::collect(ledger).into_iter();
        samples
            .map(|sample| (sample.name, sample.labels.first().map(|(_, value)| value.clone()), sample.value))
            .collect::<Vec<_>>()
    };
    let of = |outcome: &str, value| ("mcp_ledger_commits_total", Some(outcome.to_owned()), value);
    let waiting: Vec<_> = [call(1), bad(2), call(3)].map(|entry| ledger.commit(vec![entry])).into();
    let queued = figures(&ledger);
    assert_eq!(queued[4], ("mcp_ledger_queued_commits", None, 3.0));
    assert!(queued[5].2 > 3.0 * 500.0, "{queued:?}");
    join_all(waiting).await;
    ledger.commit(Vec::new()).await.unwrap();
    let large = call(4);
    let Entry::Call(mut large) = large else { unreachable!("it is a call") };
    large.result = Bytes::from(vec![b' '; ROOM as usize / 2]);
    let _first = ledger.commit(vec![Entry::Call(large.clone())]);
    assert!(is_unavailable(&ledger.commit(vec![Entry::Call(large)]).await));
    let counted = figures(&ledger);
    assert_eq!(counted[..3], [of("written", 2.0), of("failed", 1.0), of("rejected", 1.0)]);
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let transactions = transactions.load(Ordering::Relaxed) as f64;
    assert_eq!(counted[3], ("mcp_ledger_transactions_total", None, transactions));
}
