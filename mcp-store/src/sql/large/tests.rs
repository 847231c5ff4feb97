//! What is moved, what stays, and what is found where somebody touches it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future;
use futures_util::stream::BoxStream;
use mcp_core::caller::Tenant;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::audit::{Audit, ChainKey, Finding, Removal, RemovalCause, Verification};
use mcp_core::store::blobs::{BlobInfo, ByteStream, REMOVAL};
use mcp_core::store::history::{CallQuery, History};
use mcp_core::store::leases::Leases;
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Ledger};
use mcp_core::store::runs::{Ending, NewRun, RunId, RunQuery, RunRecord, Runs, Step, StepKind, StepRecord};
use sea_orm::QueryResult;
use tempfile::TempDir;

use super::*;
use crate::blobs::Location;
use crate::ledger::QueuedLedger;
use crate::sql::audit::SqlAudit;
use crate::sql::calls::SqlCalls;
use crate::sql::chain::Linker;
use crate::sql::entity::call::uuid;
use crate::sql::files::Sweep;
use crate::sql::leases::SqlLeases;
use crate::sql::runs::SqlRuns;
use crate::sql::sqlite::writer::SqliteWriter;
use crate::sql::text::stored;
use crate::sql::{postgres, tests};

/// A database, who writes into it, who moves what is large, and who reads it.
struct House {
    database: Database,
    blobs: Arc<Fragile>,
    ledger: QueuedLedger,
    mover: Mover,
    sweep: Sweep,
    leases: Arc<dyn Leases>,
    calls: SqlCalls,
    runs: SqlRuns,
    audit: SqlAudit,
    clock: SimulatedClock,
    _folders: Vec<TempDir>,
}

/// Blobs that can be gone for a while.
struct Fragile {
    blobs: Arc<dyn Blobs>,
    is_gone: AtomicBool,
}

impl Fragile {
    fn there(&self) -> Result<&Arc<dyn Blobs>, StoreError> {
        let gone = StoreError::Unavailable { store: "blobs", source: None };
        if self.is_gone.load(Ordering::Relaxed) { Err(gone) } else { Ok(&self.blobs) }
    }
}

#[async_trait]
impl Blobs for Fragile {
    async fn put(&self, name: &str, bytes: ByteStream) -> Result<u64, StoreError> {
        self.there()?.put(name, bytes).await
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError> {
        self.there()?.get(name, range).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.there()?.delete(name).await
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>> {
        self.blobs.list()
    }
}

const TENANT: &str = "a\0";

impl House {
    async fn on_sqlite() -> Self {
        let (folder, database) = tests::database().await;
        let clock = SimulatedClock::new();
        let writer = SqliteWriter::new(database.clone(), linker(&clock));
        Self::new(database, QueuedLedger::start(writer), clock, vec![folder]).await
    }

    async fn on_postgres() -> Self {
        let (server, database) = postgres::tests::server_and_database(4).await;
        let clock = SimulatedClock::new();
        let writer = server.writer(linker(&clock));
        Self::new(database, QueuedLedger::start(writer), clock, Vec::new()).await
    }

    async fn on_both() -> [Self; 2] {
        [Self::on_sqlite().await, Self::on_postgres().await]
    }

    async fn new(database: Database, ledger: QueuedLedger, clock: SimulatedClock, mut folders: Vec<TempDir>) -> Self {
        let folder = TempDir::new().unwrap();
        let blobs = Location::Folder(folder.path().to_owned()).open(&[]).await.unwrap().blobs;
        let blobs = Arc::new(Fragile { blobs, is_gone: AtomicBool::new(false) });
        folders.push(folder);
        let large = LargeBytes::new(Some(blobs.clone()));
        let any_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let leases: Arc<dyn Leases> = Arc::new(SqlLeases::new(database.clone(), any_clock.clone()));
        Self {
            mover: Mover {
                database: database.clone(),
                blobs: blobs.clone(),
                leases: leases.clone(),
                clock: any_clock.clone(),
            },
            sweep: Sweep {
                database: database.clone(),
                blobs: blobs.clone(),
                folder: None,
                leases: leases.clone(),
                clock: any_clock.clone(),
            },
            calls: SqlCalls::new(database.clone(), large.clone()),
            runs: SqlRuns::new(database.clone(), any_clock, large.clone()),
            audit: SqlAudit::new(database.clone(), Some(key()), large, None),
            database,
            blobs,
            ledger,
            leases,
            clock,
            _folders: folders,
        }
    }

    /// A call that is recorded, with so many bytes in its arguments and its result.
    async fn call(&self, id: u128, arguments: usize, result: usize) -> CallRecord {
        let Entry::Call(call) = tests::call(id) else { unreachable!("it is a call") };
        let (arguments, result) = (bytes(id, arguments), bytes(id + 1, result));
        let call = CallRecord { tenant: Tenant::from(TENANT), arguments, result, ..call };
        self.ledger.commit(vec![Entry::Call(call.clone())]).await.unwrap();
        call
    }

    /// A run with steps of so many bytes, which ends with a result of so many, if it does.
    async fn run(&self, id: u128, steps: &[usize], result: Option<usize>) -> RunRecord {
        let at = self.clock.now();
        let run = NewRun {
            id: RunId::from_u128(id),
            tenant: TENANT.into(),
            principal: "p".into(),
            kind: format!("work {id}"),
            parent: None,
            arguments: "{}".into(),
            at,
        };
        self.runs.create(&run).await.unwrap();
        let claimed = self.runs.claim(&run.kind, 1, Duration::from_secs(60)).await.unwrap();
        let run = claimed.runs.into_iter().next().unwrap();
        for (number, size) in (0..).zip(steps) {
            let (kind, key, body) = (StepKind::Noted, "k".to_owned(), bytes(id + u128::from(number), *size));
            let step = Step { number, kind, key, body, at };
            self.ledger.commit(vec![Entry::Step { hold: run.hold(), step }]).await.unwrap();
        }
        if let Some(result) = result {
            let turn = run.end(Ending::Completed, bytes(id, result), run.at);
            self.ledger.commit(vec![Entry::Turn { hold: run.hold(), turn }]).await.unwrap();
        }
        run
    }

    async fn read(&self, id: u128) -> Result<Option<CallRecord>, StoreError> {
        self.calls.call(&Tenant::from(TENANT), CallId::from_u128(id)).await
    }

    async fn read_run(&self, id: u128) -> (Option<RunRecord>, Vec<StepRecord>) {
        let (tenant, run) = (Tenant::from(TENANT), RunId::from_u128(id));
        (self.runs.run(&tenant, run).await.unwrap(), self.runs.steps(&tenant, run, 0, 100).await.unwrap())
    }

    async fn remove(&self, calls: &[u128], runs: &[u128]) {
        let calls = calls.iter().copied().map(CallId::from_u128).collect();
        let runs = runs.iter().copied().map(RunId::from_u128).collect();
        let removal = Removal { tenant: Tenant::from(TENANT), cause: RemovalCause::Erased, calls, runs };
        self.ledger.commit(vec![Entry::Removal(removal)]).await.unwrap();
    }

    async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        let statement = Statement::from_string(self.database.backend(), sql);
        self.database.readers().query_all_raw(statement).await.unwrap()
    }

    /// How many rows there are of `what` stands behind `FROM`.
    async fn count(&self, what: &str) -> i64 {
        self.rows(&format!("SELECT count(*) FROM {what}")).await[0].try_get_by_index(0).unwrap()
    }

    async fn list(&self) -> Vec<String> {
        self.blobs.list().map_ok(|blob| blob.name).try_collect().await.unwrap()
    }

    /// Sweeps what was put until now, whatever the clock of the disk says.
    async fn sweep(&self) -> Option<usize> {
        self.sweep.run(Timestamp::from_micros(i64::MAX)).await.unwrap()
    }

    async fn verify(&self) -> Verification {
        self.audit.verify().await.unwrap()
    }
}

fn key() -> ChainKey {
    ChainKey::new(&[5; 32])
}

fn linker(clock: &SimulatedClock) -> Linker {
    Linker::new(Some(key()), Arc::new(clock.clone()))
}

/// Bytes that are no text.
fn bytes(seed: u128, count: usize) -> Bytes {
    (0..count).map(|n| u8::try_from((n as u128 * 7 + seed) % 256).unwrap_or_default()).collect()
}

const KIB: usize = 1024;

#[tokio::test]
async fn a_large_call_is_moved_and_reads_back_and_a_small_one_stays_in_its_row() {
    for house in House::on_both().await {
        let calls = [
            house.call(1, 10, 10).await,
            house.call(2, 10, 100 * KIB).await,
            house.call(3, 3_000 * KIB, 0).await,
            house.call(4, 32 * KIB, 32 * KIB).await,
        ];
        assert_eq!(house.mover.run().await.unwrap(), Some(2));
        assert_eq!(house.count("mcp_calls WHERE format = 2 AND length(arguments) + length(result) = 0").await, 2);
        assert_eq!(house.count("mcp_calls WHERE format = 1 AND blob IS NULL").await, 2);
        assert_eq!((house.list().await.len(), house.count("mcp_contents").await), (2, 2));
        for call in &calls {
            assert_eq!(house.read(call.id.as_u128()).await.unwrap().as_ref(), Some(call));
        }
        let all = house.calls.calls(&Tenant::from(TENANT), &CallQuery::default()).await.unwrap();
        assert!(all.iter().eq(calls.iter().rev()));
        assert_eq!(house.mover.run().await.unwrap(), Some(0), "each is moved once");
        // What nobody has heard of may be committed again.
        house.call(2, 10, 100 * KIB).await;
        assert_eq!(house.read(2).await.unwrap().as_ref(), Some(&calls[1]));
        let verified = house.verify().await;
        assert!(verified.is_whole(), "{verified:?}");
        assert_eq!(verified.records, 4);
    }
}

#[tokio::test]
async fn a_run_that_has_ended_is_moved_with_its_large_steps() {
    for house in House::on_both().await {
        house.run(10, &[1, 70 * KIB, 2, 80 * KIB], Some(5)).await;
        house.run(20, &[1], Some(500 * KIB)).await;
        house.run(30, &[1, 2], Some(3)).await;
        house.run(40, &[90 * KIB], None).await;
        let mut before = Vec::new();
        for id in [10, 20, 30, 40] {
            before.push(house.read_run(id).await);
        }
        assert_eq!(house.mover.run().await.unwrap(), Some(2));
        assert_eq!(house.count("mcp_runs WHERE format = 2").await, 2);
        assert_eq!(house.count("mcp_steps WHERE blob IS NOT NULL AND length(body) = 0").await, 2);
        assert_eq!(house.count("mcp_steps WHERE length(body) > 65536").await, 1, "that run goes on");
        assert_eq!((house.list().await.len(), house.count("mcp_contents").await), (4, 4));
        for (id, before) in [10, 20, 30, 40].into_iter().zip(&before) {
            assert_eq!(&house.read_run(id).await, before);
        }
        let query = RunQuery { limit: 10, ..RunQuery::default() };
        let all = house.runs.runs(&Tenant::from(TENANT), &query).await.unwrap();
        assert!(all.iter().rev().eq(before.iter().filter_map(|(run, _)| run.as_ref())));
        assert_eq!(house.mover.run().await.unwrap(), Some(0));
        let verified = house.verify().await;
        assert!(verified.is_whole(), "{verified:?}");
        // Of a run that goes on, the steps are records.
        assert_eq!(verified.records, 3 + 4 + 1 + 2 + 1);
    }
}

#[tokio::test]
async fn while_blobs_are_gone_records_stay_in_their_rows_and_what_was_moved_is_not_taken_for_empty() {
    for house in House::on_both().await {
        let moved = house.call(1, 10, 100 * KIB).await;
        assert_eq!(house.mover.run().await.unwrap(), Some(1));
        house.blobs.is_gone.store(true, Ordering::Relaxed);
        let stays = house.call(2, 10, 100 * KIB).await;
        house.run(10, &[70 * KIB], Some(5)).await;
        let run = house.read_run(10).await;
        for _ in 0..2 {
            let failed = house.mover.run().await;
            assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
        }
        assert_eq!(house.read(2).await.unwrap(), Some(stays.clone()));
        assert_eq!(house.read_run(10).await, run);
        let unread = house.read(1).await;
        assert!(matches!(unread, Err(StoreError::Unavailable { .. })), "{unread:?}");
        let unproven = house.audit.verify().await;
        assert!(matches!(unproven, Err(StoreError::Unavailable { .. })), "no finding: {unproven:?}");
        // Who has no place for blobs says so.
        let nowhere = SqlCalls::new(house.database.clone(), LargeBytes::default());
        let unread = nowhere.call(&Tenant::from(TENANT), CallId::from_u128(1)).await.unwrap_err();
        let cause = std::error::Error::source(&unread).unwrap().to_string();
        assert!(cause.contains("FILES_URL"), "{cause}");

        house.blobs.is_gone.store(false, Ordering::Relaxed);
        assert_eq!(house.mover.run().await.unwrap(), Some(2));
        assert_eq!(house.read(1).await.unwrap(), Some(moved));
        assert_eq!(house.read(2).await.unwrap(), Some(stays));
        assert_eq!(house.read_run(10).await, run);
        assert!(house.verify().await.is_whole());
    }
}

#[tokio::test]
async fn a_blob_that_was_altered_or_taken_away_is_found_and_its_record_is_an_error() {
    for house in House::on_both().await {
        let call = house.call(1, 10, 100 * KIB).await;
        house.run(10, &[70 * KIB], Some(5)).await;
        assert_eq!(house.mover.run().await.unwrap(), Some(2));
        let blobs = house.list().await;
        assert_eq!(blobs.len(), 3);
        for blob in &blobs {
            let kept = house.blobs.get(blob, None).await.unwrap().unwrap();
            let kept = kept.try_collect::<Vec<_>>().await.unwrap().concat();
            let put = async |bytes: Vec<u8>| {
                house.blobs.delete(blob).await.unwrap();
                let bytes = stream::once(future::ready(Ok(bytes.into()))).boxed();
                house.blobs.put(blob, bytes).await.unwrap();
            };
            let mut altered = kept.clone();
            *altered.last_mut().unwrap() ^= 1;
            let mut another_length = kept.clone();
            another_length[0] ^= 1;
            for bytes in [altered, another_length, kept[1..].to_vec(), Vec::new(), [&kept[..], &[0]].concat()] {
                put(bytes).await;
                let verified = house.verify().await;
                let is_told = matches!(verified.findings[..], [Finding::RecordAltered(_)]);
                assert!(is_told, "{verified:?}");
            }
            house.blobs.delete(blob).await.unwrap();
            let verified = house.verify().await;
            assert!(matches!(verified.findings[..], [Finding::RecordAltered(_)]), "{verified:?}");
            put(kept).await;
            assert!(house.verify().await.is_whole());
        }
        // Rows that name another blob, or none, or bytes beside it.
        let another = blobs.iter().max().unwrap();
        for change in [
            format!("blob = '{another}x'"),
            "blob = '../../../../../etc/passwd'".to_owned(),
            "blob = NULL".to_owned(),
            "format = 1".to_owned(),
            "format = 3".to_owned(),
            "result = arguments, arguments = result, blob = NULL, format = 1".to_owned(),
        ] {
            let kept = house.rows("SELECT blob FROM mcp_calls").await[0].try_get_by_index::<String>(0).unwrap();
            house.database.run(&format!("UPDATE mcp_calls SET {change}")).await.unwrap();
            let verified = house.verify().await;
            assert!(matches!(verified.findings[..], [Finding::RecordAltered(_)]), "{change}: {verified:?}");
            if change != "result = arguments, arguments = result, blob = NULL, format = 1" {
                let refused = house.read(1).await;
                assert!(matches!(refused, Err(StoreError::Refused { .. })), "{change}: {refused:?}");
            }
            house.database.run(&format!("UPDATE mcp_calls SET format = 2, blob = '{kept}'")).await.unwrap();
            assert!(house.verify().await.is_whole());
        }
        assert_eq!(house.read(1).await.unwrap(), Some(call));
    }
}

#[tokio::test]
async fn what_is_removed_takes_its_blobs_along_in_the_end_and_nothing_else() {
    for house in House::on_both().await {
        let stays = house.call(1, 10, 100 * KIB).await;
        house.call(2, 10, 100 * KIB).await;
        house.run(10, &[70 * KIB, 80 * KIB], Some(5)).await;
        house.run(20, &[70 * KIB], Some(5)).await;
        let run = house.read_run(20).await;
        assert_eq!(house.mover.run().await.unwrap(), Some(4));
        for _ in 0..2 {
            assert_eq!((house.sweep().await, house.list().await.len()), (Some(0), 2 + 3 + 2));
        }
        house.remove(&[2], &[10]).await;
        // Whoever has read of a blob just before still finds it.
        assert_eq!((house.sweep().await, house.list().await.len()), (Some(0), 7));
        assert_eq!(house.count("mcp_contents").await, 1 + 2);
        assert_eq!((house.sweep().await, house.list().await.len()), (Some(4), 3));
        assert_eq!(house.read(1).await.unwrap(), Some(stays));
        assert_eq!(house.read_run(20).await, run);
        let verified = house.verify().await;
        assert!(verified.is_whole() && verified.removed == 2, "{verified:?}");
    }
}

#[tokio::test]
async fn somebody_is_forgotten_also_where_a_blob_of_theirs_is_missing() {
    for house in House::on_both().await {
        house.run(10, &[70 * KIB], Some(5)).await;
        assert_eq!(house.mover.run().await.unwrap(), Some(1));
        for blob in house.list().await {
            house.blobs.delete(&blob).await.unwrap();
        }
        let query = RunQuery { limit: 10, ..RunQuery::default() };
        let unread = house.runs.runs(&Tenant::from(TENANT), &query).await;
        assert!(matches!(unread, Err(StoreError::Refused { .. })), "{unread:?}");
        assert_eq!(house.runs.ids(&Tenant::from(TENANT), &query).await.unwrap(), [RunId::from_u128(10)]);
    }
}

#[tokio::test]
async fn nothing_is_moved_while_a_backup_needs_all_to_stay() {
    for house in House::on_both().await {
        house.call(1, 10, 100 * KIB).await;
        let backup = house.leases.acquire(REMOVAL, Duration::from_secs(600)).await.unwrap().unwrap();
        assert_eq!((house.mover.run().await.unwrap(), house.list().await.len()), (None, 0));
        house.leases.release(backup).await.unwrap();
        assert_eq!(house.mover.run().await.unwrap(), Some(1));
        assert!(house.leases.acquire(REMOVAL, Duration::from_secs(1)).await.unwrap().is_some(), "it was given back");
    }
}

/// It was stopped after it had put the bytes, and others may have swept them.
#[tokio::test]
async fn who_has_lost_the_lease_moves_nothing() {
    for house in House::on_both().await {
        let call = house.call(1, 10, 100 * KIB).await;
        let lost = house.leases.acquire(REMOVAL, Duration::from_secs(60)).await.unwrap().unwrap();
        house.leases.release(lost.clone()).await.unwrap();
        let next = house.leases.acquire(REMOVAL, Duration::from_secs(60)).await.unwrap().unwrap();
        let tenant = stored(TENANT);
        let id = uuid(call.id);
        assert!(!house.mover.move_call(&lost, &tenant, id).await.unwrap());
        assert_eq!((house.list().await.len(), house.count("mcp_contents").await), (0, 0));
        assert!(house.mover.move_call(&next, &tenant, id).await.unwrap());
        assert!(!house.mover.move_call(&next, &tenant, id).await.unwrap(), "it is moved");
        assert_eq!((house.read(1).await.unwrap(), house.list().await.len()), (Some(call), 1));
    }
}

/// It reads format 1 alone, names the columns that it knows, and looks for blobs in the contents.
#[tokio::test]
async fn a_version_that_knows_nothing_of_it_refuses_what_was_moved_and_sweeps_nothing_of_it() {
    for house in House::on_both().await {
        house.call(1, 10, 100 * KIB).await;
        house.run(10, &[70 * KIB], Some(5)).await;
        assert_eq!(house.mover.run().await.unwrap(), Some(2));
        for table in ["mcp_calls", "mcp_runs"] {
            assert_eq!(house.count(&format!("{table} WHERE format = 1")).await, 0);
        }
        for blob in house.list().await {
            assert_eq!(house.count(&format!("mcp_contents WHERE blob = '{blob}'")).await, 1);
        }
        let columns = "principal, tool, outcome, at, duration, arguments, result";
        let insert = format!(
            "INSERT INTO mcp_calls (tenant, id, format, {columns}) SELECT 'b', id, 1, {columns} FROM mcp_calls"
        );
        house.database.run(&insert).await.unwrap();
        let read = house.calls.call(&Tenant::from("b"), CallId::from_u128(1)).await.unwrap().unwrap();
        assert!(read.result.is_empty());
    }
}

#[tokio::test]
async fn what_is_large_is_found_by_its_index() {
    use mover::{CALLS, RUNS, STEPS, finding};
    let house = House::on_sqlite().await;
    for (sql, table) in [(CALLS, "calls"), (RUNS, "runs"), (STEPS, "steps")] {
        let plan = tests::plan(&house.database, finding(house.database.backend(), sql, table)).await;
        assert!(plan.iter().any(|line| line.contains(&format!("INDEX mcp_{table}_large"))), "{plan:?}");
    }
    let house = House::on_postgres().await;
    let many = "INSERT INTO mcp_calls SELECT 't' || n % 10, gen_random_uuid(), 1, NULL, 'p', 'tool', 'ok', n, 1, '{}', '{}' \
                FROM generate_series(1, 20000) n; \
                INSERT INTO mcp_runs SELECT 't', gen_random_uuid(), 1, 'p', 'k', NULL, '', n, 'completed', 0, 0, 0, 0, NULL, n, '' \
                FROM generate_series(1, 20000) n; \
                INSERT INTO mcp_steps SELECT tenant, id, 0, 1, 'noted', 'k', '', 1 FROM mcp_runs; \
                ANALYZE mcp_calls; ANALYZE mcp_runs; ANALYZE mcp_steps";
    house.database.run(many).await.unwrap();
    for (sql, table) in [(CALLS, "calls"), (RUNS, "runs"), (STEPS, "steps")] {
        let plan = postgres::tests::plan(&house.database, finding(house.database.backend(), sql, table)).await;
        assert!(plan.contains(&format!("mcp_{table}_large")) && !plan.contains("Seq Scan"), "{plan}");
    }
}

#[test]
fn fields_come_back_as_they_were_joined_and_nothing_else_is_taken_for_them() {
    for fields in [vec![vec![], vec![]], vec![vec![1], vec![]], vec![vec![0; 9], vec![1, 2]]] {
        let mut owned = fields.clone();
        let joined = joined(&owned.iter_mut().collect::<Vec<_>>());
        assert_eq!(split(&joined, 2).unwrap(), fields);
        for count in [0, 1, 3] {
            assert_eq!(split(&joined, count), None);
        }
        assert_eq!(split(&joined[..joined.len() - 1], 2), None);
        assert_eq!(split(&[&joined[..], &[0]].concat(), 2), None);
    }
    assert_eq!(split(&[0xff; 24], 2), None);
}
