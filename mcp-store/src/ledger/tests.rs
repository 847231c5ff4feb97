//! The queue and its writer, on SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use mcp_core::measure::Collector;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{Entry, Ledger};
use tokio::sync::oneshot;

use super::{BATCH, Outrun, QUEUE, QueuedLedger, ROOM, SLACK, Sink};
use crate::sql::Database;
use crate::sql::sqlite::writer::SqliteWriter;
use crate::sql::tests::{call, database, ids, unlinked};

/// Counts the transactions that it makes, and tells when its writer has ended.
struct Counted {
    writer: SqliteWriter,
    transactions: Arc<AtomicUsize>,
    _ended: oneshot::Sender<()>,
}

impl Sink for Counted {
    const PATIENCE: Duration = Duration::ZERO;
    const SYSTEM: &'static str = "test";

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.writer.write(commits).await
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.writer.probe().await
    }
}

fn counted(database: &Database) -> (QueuedLedger, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    let transactions = Arc::new(AtomicUsize::new(0));
    let (ended, end) = oneshot::channel();
    let writer = SqliteWriter::new(database.clone(), unlinked());
    let ledger = QueuedLedger::start(Counted { writer, transactions: transactions.clone(), _ended: ended });
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
async fn a_full_queue_admits_nothing_and_takes_what_was_admitted() {
    let (_folder, database) = database().await;
    let (ledger, ..) = counted(&database);
    // On this thread the writer does not run before the first await.
    let mut taken = Vec::new();
    for id in 0..QUEUE as u128 {
        ledger.admit().expect("there is room");
        taken.push(ledger.commit(vec![call(id)]));
    }
    let refused = ledger.admit();
    assert!(is_unavailable(&refused), "{refused:?}");
    taken.push(ledger.commit(vec![call(QUEUE as u128)]));
    ledger.commit(vec![]).await.expect("to flush is possible whenever there is something to flush");
    assert_eq!(ids(&database).await.len(), QUEUE + 1);
    assert!(join_all(taken).await.iter().all(Result::is_ok));
    ledger.admit().expect("there is room again");
}

#[tokio::test]
async fn what_waits_is_bounded_in_bytes() {
    let (_folder, database) = database().await;
    let (ledger, ..) = counted(&database);
    let large = |id, bytes| {
        let Entry::Call(mut call) = call(id) else { unreachable!("it is a call") };
        call.result = Bytes::from(vec![0; bytes]);
        vec![Entry::Call(call)]
    };
    let half = ROOM / 2;
    let first = ledger.commit(large(1, half));
    ledger.admit().expect("half of the room is left");
    let second = ledger.commit(large(2, half));
    assert!(is_unavailable(&ledger.admit()), "both together are too large");
    first.await.unwrap();
    second.await.unwrap();
    ledger.admit().expect("there is room again");
    assert!(is_refused(&ledger.commit(large(3, ROOM)).await), "it is never small enough");
    assert_eq!(ids(&database).await, [2, 1]);
}

/// Whoever does not ask whether there is room finds an end all the same.
#[tokio::test]
async fn far_too_much_is_not_taken() {
    let (_folder, database) = database().await;
    let (ledger, ..) = counted(&database);
    let taken: Vec<_> = (0..(QUEUE * SLACK) as u128).map(|id| ledger.commit(vec![call(id)])).collect();
    let refused = ledger.commit(vec![call(u128::MAX)]).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(join_all(taken).await.iter().all(Result::is_ok));
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
async fn a_database_that_is_gone_is_told_to_all_who_wait_and_nothing_is_admitted_until_it_is_back() {
    let (_folder, database) = database().await;
    let (ledger, transactions, _) = counted(&database);
    database.run("PRAGMA query_only = 1").await.unwrap();
    let results = join_all((0..10).map(|id| ledger.commit(vec![call(id)]))).await;
    assert!(results.iter().all(is_unavailable), "{results:?}");
    assert_eq!(transactions.load(Ordering::Relaxed), 1, "nobody is tried alone");
    assert!(is_unavailable(&ledger.admit()));
    // What began before is tried, and shows that it is back before the writer has looked.
    database.run("PRAGMA query_only = 0").await.unwrap();
    ledger.commit(vec![call(1)]).await.expect("it is back");
    ledger.admit().expect("it is back");

    database.run("PRAGMA query_only = 1").await.unwrap();
    assert!(is_unavailable(&ledger.commit(vec![call(2)]).await));
    database.run("PRAGMA query_only = 0").await.unwrap();
    // Nobody may commit any more, so the writer looks by itself.
    while ledger.admit().is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
    large.result = Bytes::from(vec![b' '; ROOM / 2]);
    let _both = [large.clone(), large].map(|large| ledger.commit(vec![Entry::Call(large)]));
    assert!(is_unavailable(&ledger.admit()));
    let counted = figures(&ledger);
    assert_eq!(counted[..3], [of("written", 2.0), of("failed", 1.0), of("rejected", 1.0)]);
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let transactions = transactions.load(Ordering::Relaxed) as f64;
    assert_eq!(counted[3], ("mcp_ledger_transactions_total", None, transactions));
}
