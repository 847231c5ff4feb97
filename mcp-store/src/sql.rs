//! SQL: the connections, and the one way to a transaction.

pub(crate) mod calls;
pub(crate) mod check;
mod entity;
mod error;
mod insert;
mod migration;
pub(crate) mod notes;
pub(crate) mod sqlite;
#[cfg(test)]
pub(crate) mod tests;

use futures_util::future::BoxFuture;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::runtime::Handle;

/// A database: the connections that write, and those that only read.
#[derive(Clone)]
pub(crate) struct Database {
    runtime: Handle,
    writer: DatabaseConnection,
    readers: DatabaseConnection,
}

impl Database {
    /// To be made on the runtime on which transactions are to run.
    fn new(writer: DatabaseConnection, readers: DatabaseConnection) -> Self {
        Self { runtime: Handle::current(), writer, readers }
    }

    /// Where to read outside of a transaction.
    pub(crate) fn readers(&self) -> &DatabaseConnection {
        &self.readers
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
        let writer = self.writer.clone();
        let done = self.runtime.spawn(async move {
            let transaction = writer.begin_with_options(immediate()).await?;
            let result = work(&transaction).await?;
            transaction.commit().await?;
            Ok(result)
        });
        done.await.unwrap_or_else(|ended| Err(DbErr::Custom(format!("the transaction did not end: {ended}"))))
    }
}

/// Takes the right to write at once: a transaction that reads first and then writes would be refused whenever another process
/// has written in between.
fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}
