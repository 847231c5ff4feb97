//! SQL: the connections, and the one way to a transaction.

mod batch;
pub(crate) mod calls;
pub(crate) mod check;
mod entity;
mod error;
pub(crate) mod keys;
pub(crate) mod leases;
mod migration;
pub(crate) mod notes;
mod now;
pub(crate) mod postgres;
pub(crate) mod principals;
mod repeating;
pub(crate) mod replicas;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
mod text;
pub(crate) mod threads;
mod words;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use tokio::runtime::Handle;

use repeating::Repeating;

/// A database: the connections that write, and those that only read.
#[derive(Clone)]
pub(crate) struct Database {
    runtime: Handle,
    writer: Repeating,
    readers: Repeating,
}

impl Database {
    /// To be made on the runtime on which transactions are to run.
    fn new(writer: DatabaseConnection, readers: DatabaseConnection) -> Self {
        Self { runtime: Handle::current(), writer: Repeating(writer), readers: Repeating(readers) }
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
    /// transaction that nobody ends, and what is written on it next would be acknowledged and lost.
    pub(crate) async fn transaction<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, DbErr>> + Send + 'static,
    ) -> Result<T, DbErr> {
        let writer = self.writer.0.clone();
        let done = self.runtime.spawn(async move {
            let transaction = writer.begin_with_options(immediate()).await?;
            let result = work(&transaction).await?;
            transaction.commit().await?;
            Ok(result)
        });
        done.await.unwrap_or_else(|ended| Err(DbErr::Custom(format!("the transaction did not end: {ended}"))))
    }

    /// Finds out whether the database takes writes.
    pub(crate) async fn probe(&self) -> Result<(), DbErr> {
        if self.backend() == DbBackend::Postgres {
            return postgres::probe(self.writer()).await;
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

/// Takes the right to write at once: in SQLite, a transaction that reads first and then writes would be refused whenever another
/// process has written in between.
fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}
