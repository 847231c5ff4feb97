//! Whatever is done to the rows behind the server's back is found, and located.

mod journals;
mod kept;
mod tampered;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::audit::{Audit, ChainKey, Finding, Record, Removal, RemovalCause, Verification};
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Ledger, Outcome};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;

use super::SqlAudit;
use crate::ledger::QueuedLedger;
use crate::sql::chain::Linker;
use crate::sql::large::LargeBytes;
use crate::sql::sqlite::writer::SqliteWriter;
use crate::sql::{Database, postgres, tests};

/// A database, two processes that write into it, and who verifies it.
struct House {
    database: Database,
    ledgers: [Arc<QueuedLedger>; 2],
    audit: SqlAudit,
    clock: SimulatedClock,
    _folder: Option<TempDir>,
}

fn key() -> ChainKey {
    ChainKey::new(&[5; 32])
}

impl House {
    async fn on_sqlite() -> Self {
        let (folder, database) = tests::database().await;
        let clock = SimulatedClock::new();
        let ledger = || {
            let linker = Linker::new(Some(key()), Arc::new(clock.clone()));
            Arc::new(QueuedLedger::start(SqliteWriter::new(database.clone(), linker)))
        };
        Self::new(database.clone(), [ledger(), ledger()], clock, Some(folder))
    }

    async fn on_postgres() -> Self {
        let (server, database) = postgres::tests::server_and_database(4).await;
        let clock = SimulatedClock::new();
        let ledger = || {
            let linker = Linker::new(Some(key()), Arc::new(clock.clone()));
            Arc::new(QueuedLedger::start(server.writer(linker)))
        };
        Self::new(database, [ledger(), ledger()], clock, None)
    }

    fn new(
        database: Database,
        ledgers: [Arc<QueuedLedger>; 2],
        clock: SimulatedClock,
        folder: Option<TempDir>,
    ) -> Self {
        let audit = SqlAudit::new(database.clone(), Some(key()), LargeBytes::default(), Some(ledgers[0].clone()));
        Self { database, ledgers, audit, clock, _folder: folder }
    }

    async fn commit(&self, writer: usize, entry: Entry) {
        self.ledgers[writer].commit(vec![entry]).await.unwrap();
    }

    async fn verify(&self) -> Verification {
        self.audit.verify().await.unwrap()
    }

    async fn assert_whole(&self) -> Verification {
        let verified = self.verify().await;
        assert!(verified.is_whole(), "{verified:?}");
        verified
    }

    /// Runs statements that no server of ours would run.
    async fn run(&self, sql: &str) {
        self.database.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn rows(&self, sql: &str) -> Vec<sea_orm::QueryResult> {
        let statement = sea_orm::Statement::from_string(self.database.backend(), sql);
        self.database.readers().query_all_raw(statement).await.unwrap()
    }

    /// The chains, as their digits, with the sequence of their last links, in the order in which they began to be read.
    async fn chains(&self) -> BTreeMap<String, u64> {
        let table = self.audit.table();
        let (mut chains, mut last) = (BTreeMap::new(), None);
        while let Some(chain) = table.next_sound_chain(last).await.unwrap() {
            let sequence: i64 = table.last(chain).await.unwrap().unwrap().try_get("", "sequence").unwrap();
            chains.insert(chain.to_string(), sequence.cast_unsigned());
            last = Some(chain);
        }
        chains
    }

    /// Some of everything: calls of two tenants by two writers, one call that was removed, what was anchored, and one call more.
    async fn furnish(&self) {
        for id in 1..=4 {
            self.commit(0, call("a", id)).await;
        }
        for id in 5..=7 {
            self.commit(1, call("b\0", id)).await;
        }
        self.commit(1, removal("a", 2)).await;
        self.audit.anchor().await.unwrap();
        self.commit(0, call("a", 8)).await;
        let verified = self.assert_whole().await;
        assert_eq!((verified.chains, verified.records, verified.removed), (2, 7, 1));
    }
}

fn call(tenant: &str, id: u128) -> Entry {
    let Entry::Call(call) = tests::call(id) else { unreachable!("it is a call") };
    Entry::Call(CallRecord {
        tenant: Tenant::from(tenant),
        principal: Principal::from("p\u{1}"),
        address: id.is_multiple_of(2).then(|| [192, 0, 2, 7].into()),
        waited: Duration::from_micros(if id.is_multiple_of(4) { 7 } else { 0 }),
        parent: id.is_multiple_of(2).then(|| CallId::from_u128(1)),
        outcome: if id.is_multiple_of(3) { Outcome::Error } else { Outcome::Ok },
        result: format!("{{\"n\":{id}}}").into(),
        ..call
    })
}

fn removal(tenant: &str, id: u128) -> Entry {
    let (calls, runs) = (vec![CallId::from_u128(id)], Vec::new());
    Entry::Removal(Removal { tenant: Tenant::from(tenant), cause: RemovalCause::Expired, calls, runs })
}

/// Whether it tells of this link, as altered or as missing.
fn is_at(finding: &Finding, chain: &str, sequence: u64) -> bool {
    match finding {
        Finding::LinksAltered { chain: of, first, last } | Finding::LinksMissing { chain: of, first, last } => {
            of == chain && (first..=last).contains(&&sequence)
        }
        Finding::ChainCut { chain: of, last, anchored } => {
            of == chain && last.is_none_or(|last| last < sequence) && sequence <= *anchored
        }
        Finding::PinBroken => chain == "0".repeat(32),
        _ => false,
    }
}

/// The record of which it tells, and how.
fn of_record(finding: &Finding) -> Option<(&'static str, &Record)> {
    match finding {
        Finding::RecordAltered(record) => Some(("altered", record)),
        Finding::RecordMissing(record) => Some(("missing", record)),
        Finding::RecordBack(record) => Some(("back", record)),
        Finding::RecordUnlinked(record) => Some(("unlinked", record)),
        _ => None,
    }
}

fn tells(verified: &Verification, how: &str, id: u128) -> bool {
    let id = CallId::from_u128(id).to_string();
    verified.findings.iter().filter_map(of_record).any(|(said, record)| said == how && record.id == id)
}
