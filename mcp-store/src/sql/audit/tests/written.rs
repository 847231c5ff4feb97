//! Whatever happens while records are written, there is one link for each, and the chains are whole.

use std::time::Duration;

use futures_util::future::join_all;
use mcp_core::measure::Collector;
use mcp_core::store::StoreError;
use mcp_core::store::runs::RunId;

use super::*;
use crate::ledger::{Outrun, Sink};
use crate::test_servers::{Fault, FaultProxy, PostgresServer};

/// Tries again, as SQLite itself does not.
struct Patient(SqliteWriter);

impl Sink for Patient {
    const PATIENCE: Duration = Duration::from_secs(60);
    const SYSTEM: &'static str = "test";

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        self.0.write(commits).await
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.0.probe().await
    }
}

impl House {
    /// A writer that does not hear the first answers.
    fn deaf(&self, times: usize) -> SqliteWriter {
        let linker = Linker::new(Some(key()), Arc::new(self.clock.clone()));
        let mut writer = SqliteWriter::new(self.database.clone(), linker);
        writer.to_lose = times;
        writer
    }

    async fn links(&self) -> i64 {
        let rows = self.rows("SELECT COUNT(*) AS count FROM mcp_links WHERE kind = 'call'").await;
        rows[0].try_get("", "count").unwrap()
    }
}

#[tokio::test]
async fn what_is_sent_again_because_its_answer_was_lost_is_linked_once() {
    let house = House::on_sqlite().await;
    let ledger = QueuedLedger::start(Patient(house.deaf(3)));
    for id in 1..=5 {
        house.clock.advance(Duration::from_secs(1));
        ledger.commit(vec![call("a", id)]).await.unwrap();
    }
    let verified = house.assert_whole().await;
    assert_eq!((verified.chains, verified.records, house.links().await), (1, 5, 5));
}

/// How many times the ledger has tried to write.
fn tries(ledger: &QueuedLedger) -> f64 {
    let samples = Collector::collect(ledger).into_iter();
    samples.filter(|sample| sample.name == "mcp_ledger_transactions_total").map(|sample| sample.value).sum()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = tokio::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: not within two minutes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postgres_wrote_while_its_wire_was_cut_is_linked_once() {
    let server = PostgresServer::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let wire = FaultProxy::to(server.port());
    let (_, database) = postgres::tests::at(&url, 4).await;
    let (through_the_wire, _) = postgres::tests::at(&wire.url(&url), 1).await;
    let clock = SimulatedClock::new();
    let linker = Linker::new(Some(key()), Arc::new(clock.clone()));
    let ledger = Arc::new(QueuedLedger::start(through_the_wire.writer(linker)));
    let house = House::new(database, [ledger.clone(), ledger.clone()], clock, None);
    house.commit(0, call("a", 1)).await;

    let locked = server.hold(name, "LOCK TABLE mcp_calls");
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = || server.query(name, waiting).parse::<usize>().unwrap();
    let commit = tokio::spawn(ledger.commit(vec![call("a", 2)]));
    until("the server has the statement", || waiting() == 1 || commit.is_finished()).await;
    let before = tries(&ledger);
    wire.set(Fault::Reset);
    until("the wire is cut", || tries(&ledger) > before || commit.is_finished()).await;
    wire.set(Fault::Nothing);
    until("it is sent again", || waiting() == 2 || commit.is_finished()).await;
    drop(locked);
    // On a machine that is busy enough it was given up before it could be sent again.
    let was_linked_once = commit.await.unwrap().is_ok();
    while !was_linked_once && ledger.commit(vec![call("a", 2)]).await.is_err() {}
    until("nobody writes any more", || waiting() == 0).await;
    let verified = house.assert_whole().await;
    assert_eq!(verified.records, 2);
    if was_linked_once {
        assert_eq!((verified.chains, house.links().await), (1, 2));
    }
}

#[tokio::test]
async fn when_an_answer_is_given_up_another_chain_begins() {
    let house = House::on_sqlite().await;
    let ledger = QueuedLedger::start(house.deaf(2));
    assert!(ledger.commit(vec![call("a", 1)]).await.is_err());
    assert!(ledger.commit(vec![call("a", 2)]).await.is_err());
    // Whoever was told so tries again.
    ledger.commit(vec![call("a", 2)]).await.unwrap();
    ledger.commit(vec![call("a", 3)]).await.unwrap();
    let verified = house.assert_whole().await;
    assert_eq!((verified.chains, verified.records), (2, 3), "{verified:?}");
}

#[tokio::test]
async fn what_is_refused_leaves_no_link_and_no_gap() {
    let house = House::on_sqlite().await;
    house
        .run("CREATE TRIGGER bad BEFORE INSERT ON mcp_calls WHEN NEW.tool = 'bad' BEGIN SELECT RAISE(ABORT, 'a bad call'); END")
        .await;
    let commits = (0..100).map(|id| {
        let Entry::Call(mut call) = call("a", id) else { unreachable!("it is a call") };
        if [13, 60, 61].contains(&id) {
            call.tool = "bad".to_owned();
        }
        house.ledgers[0].commit(vec![Entry::Call(call)])
    });
    let results = join_all(commits.collect::<Vec<_>>()).await;
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 3);
    let verified = house.assert_whole().await;
    assert_eq!((verified.chains, verified.records, house.links().await), (1, 97, 97));
}

#[tokio::test]
async fn two_write_at_once_and_one_of_them_pauses() {
    for house in [House::on_sqlite().await, House::on_postgres().await] {
        let all = |from: u128| (from..from + 50).map(|id| call("a", id));
        let both = [(0, 0), (1, 100)].into_iter().flat_map(|(writer, from)| {
            let ledger = &house.ledgers[writer];
            all(from).map(move |entry| ledger.commit(vec![entry]))
        });
        assert!(join_all(both.collect::<Vec<_>>()).await.iter().all(Result::is_ok));
        // One goes on after the other has been anchored and has written more.
        house.audit.anchor().await.unwrap();
        house.commit(0, call("a", 200)).await;
        house.audit.anchor().await.unwrap();
        house.commit(1, call("a", 201)).await;
        let verified = house.assert_whole().await;
        assert_eq!((verified.chains, verified.records), (2, 102));
    }
}

#[tokio::test]
async fn what_is_removed_in_the_batch_in_which_it_was_written_is_gone() {
    for house in [House::on_sqlite().await, House::on_postgres().await] {
        let commits = [call("a", 1), call("a", 2), removal("a", 1), call("b", 1)];
        let commits = commits.map(|entry| house.ledgers[0].commit(vec![entry]));
        assert!(join_all(commits).await.iter().all(Result::is_ok));
        let verified = house.assert_whole().await;
        assert_eq!((verified.records, verified.removed), (2, 1));
        let too_many = Removal {
            tenant: "a".into(),
            cause: RemovalCause::Erased,
            calls: vec![CallId::from_u128(9); Removal::MOST],
            runs: vec![RunId::from_u128(9)],
        };
        assert!(house.ledgers[0].commit(vec![Entry::Removal(too_many)]).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_verified_while_others_write_remove_anchor_and_trim() {
    for house in [House::on_sqlite().await, House::on_postgres().await] {
        let house = Arc::new(house);
        let writers = [0, 1].map(|writer| {
            let house = house.clone();
            tokio::spawn(async move {
                for round in 0..30_u128 {
                    let id = |n| ((writer as u128) << 64) + round * 100 + n;
                    let calls = (0..20).map(|n| house.ledgers[writer].commit(vec![call("a", id(n))]));
                    assert!(join_all(calls.collect::<Vec<_>>()).await.iter().all(Result::is_ok));
                    house.commit(writer, removal("a", id(3))).await;
                    house.clock.advance(Duration::from_secs(60 * 60));
                }
            })
        });
        let keeper = {
            let house = house.clone();
            tokio::spawn(async move {
                for _ in 0..15 {
                    house.audit.anchor().await.unwrap();
                    let before = mcp_core::clock::Clock::now(&house.clock);
                    house.audit.trim(before).await.unwrap();
                }
            })
        };
        let mut verifications = 0;
        while !(writers.iter().all(|writer| writer.is_finished()) && keeper.is_finished()) || verifications == 0 {
            house.assert_whole().await;
            verifications += 1;
        }
        for task in writers {
            task.await.unwrap();
        }
        keeper.await.unwrap();
        assert_eq!(house.assert_whole().await.records, 2 * 30 * 19);
    }
}
