//! SQL: the connections, and the one way to a transaction.

pub(crate) mod audit;
mod batch;
pub(crate) mod calls;
pub(crate) mod chain;
pub(crate) mod check;
pub(crate) mod content;
mod entity;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod idempotency;
pub(crate) mod keys;
pub(crate) mod large;
pub(crate) mod leases;
pub(crate) mod migration;
mod model_counts;
pub(crate) mod notes;
pub(crate) mod now;
mod pool;
pub(crate) mod postgres;
pub(crate) mod principals;
pub(crate) mod records;
mod repeating;
pub(crate) mod replicas;
pub(crate) mod runs;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod sqlite;
mod standing;
pub(crate) mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod text;
pub(crate) mod threads;
mod words;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::measure::{Collector, Sample};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use tokio::runtime::Handle;
use tracing::Instrument;

use crate::spans;

use error::is_about_the_connection;
use postgres::CONNECTIONS;
use repeating::Repeating;

/// A database: the connections that write, and those that only read.
#[derive(Clone)]
pub(crate) struct Database {
    runtime: Handle,
    writer: Repeating,
    readers: Repeating,
    /// What finds out whether it takes writes. Where that has a connection of its own, the others may be as busy as they like.
    prober: Repeating,
    deadline: Duration,
}

/// How long a transaction may take, with all that it waits for. A server that is cut off says nothing.
const DEADLINE: Duration = Duration::from_secs(10);

impl Database {
    /// To be made on the runtime on which transactions are to run.
    fn new(writer: Repeating, readers: Repeating) -> Self {
        Self { runtime: Handle::current(), prober: writer.clone(), writer, readers, deadline: DEADLINE }
    }

    /// The same, probed on another connection.
    fn probed(self, prober: Repeating) -> Self {
        Self { prober, ..self }
    }

    /// The same, whose transactions take as long as they take.
    fn patient(self) -> Self {
        Self { deadline: Duration::MAX, ..self }
    }

    /// A connection that writes, as it is: what runs on it may take as long as it takes, and is not run again.
    pub(crate) fn connection(&self) -> DatabaseConnection {
        self.writer.pool.current()
    }

    /// Which kind it is.
    pub(crate) fn backend(&self) -> DbBackend {
        self.writer.get_database_backend()
    }

    /// Where to read outside of a transaction.
    pub(crate) fn readers(&self) -> &Repeating {
        &self.readers
    }

    /// Where to write by one statement, outside of a transaction.
    pub(crate) fn writer(&self) -> &Repeating {
        &self.writer
    }

    /// Does `work` in a transaction, which is rolled back if it fails.
    ///
    /// This is the only place that begins one, and all of it runs in a task of its own. The caller may go away at any moment: what
    /// was begun is done. Were the driver's own future dropped while it begins, a connection to PostgreSQL would stay inside of a
    /// transaction that nobody ends, and what is written on it next would be acknowledged and lost. Where the time is over, it is
    /// dropped all the same, and nobody uses its connection again.
    pub(crate) async fn transaction<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, DbErr>> + Send + 'static,
    ) -> Result<T, DbErr> {
        let (writer, deadline) = (self.writer.clone(), self.deadline);
        let span = spans::transaction(self.backend());
        let done = async move {
            let transaction = async {
                let transaction = begin(&writer).await?;
                let result = work(&transaction).await?;
                transaction.commit().await?;
                Ok(result)
            };
            writer.pool.until(deadline, transaction).await
        };
        self.apart(done.instrument(span)).await
    }

    /// Does `work` in a task of its own: the caller may go away at any moment, and what was begun is done.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
    ) -> Result<T, DbErr> {
        let done = self.runtime.spawn(work).await;
        done.unwrap_or_else(|ended| Err(DbErr::Custom(format!("what was begun in the database did not end: {ended}"))))
    }

    /// Finds out whether the database takes writes.
    pub(crate) async fn probe(&self) -> Result<(), DbErr> {
        if self.backend() == DbBackend::Postgres {
            return postgres::probe(&self.prober).await;
        }
        // A write reaches the disk: SQLite keeps a number for its users in the file, which is written as it was read.
        let write = self.transaction(|transaction| {
            async move {
                let read = Statement::from_string(DbBackend::Sqlite, "PRAGMA user_version");
                if let Some(row) = transaction.query_one_raw(read).await? {
                    let number: i32 = row.try_get_by_index(0)?;
                    transaction.execute_unprepared(&format!("PRAGMA user_version = {number}")).await?;
                }
                Ok(())
            }
            .boxed()
        });
        write.await
    }
}

impl Collector for Database {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn collect(&self) -> Vec<Sample> {
        let pools = match Arc::ptr_eq(&self.writer.pool, &self.readers.pool) {
            true => vec![("all", &self.writer)],
            false => vec![("writes", &self.writer), ("reads", &self.readers)],
        };
        let samples = pools.into_iter().flat_map(|(pool, connections)| {
            let usage = connections.pool.usage();
            let connections = |state: &str, count: usize| {
                let help = "Connections to the database that are there: `used` at this moment, or `idle`; those that write and those that read, or `all` of them where each does both.";
                Sample::gauge("mcp_database_connections", help, count as f64).with("pool", pool).with("state", state)
            };
            let help = "What waits for a connection to the database.";
            [
                connections("used", usage.used),
                connections("idle", usage.idle),
                Sample::gauge("mcp_database_waiting", help, usage.waiting as f64).with("pool", pool),
            ]
        });
        samples.collect()
    }
}

/// Begins on the next connection, if one is met that the server has closed.
async fn begin(writer: &Repeating) -> Result<DatabaseTransaction, DbErr> {
    for _ in 0..CONNECTIONS {
        match writer.pool.current().begin_with_options(immediate()).await {
            Err(error) if is_about_the_connection(&error) => {}
            done => return done,
        }
    }
    writer.pool.current().begin_with_options(immediate()).await
}

/// Takes the right to write at once: in SQLite, a transaction that reads first and then writes would be refused whenever another
/// process has written in between.
fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}
