//! Whether the database is there.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::store::check::{Check, CheckError};
use mcp_core::store::ledger::Ledger;

use super::Database;
use super::error::store_error;

/// [`Check`] of a database and of the writer in front of it.
pub(crate) struct DatabaseCheck {
    database: Database,
    ledger: Arc<dyn Ledger>,
}

impl DatabaseCheck {
    pub(crate) fn new(database: Database, ledger: Arc<dyn Ledger>) -> Self {
        Self { database, ledger }
    }
}

#[async_trait]
impl Check for DatabaseCheck {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Result<(), CheckError> {
        // The writer moves on,
        self.ledger.commit(Vec::new()).await?;
        // and the database takes writes.
        Ok(self.database.probe().await.map_err(store_error("database"))?)
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use super::*;
    use crate::ledger::QueuedLedger;
    use crate::sql::sqlite::writer::SqliteWriter;
    use crate::sql::tests::{database, unlinked};

    #[tokio::test]
    async fn it_writes_to_the_file_and_changes_nothing() {
        let (folder, database) = database().await;
        database.run("PRAGMA user_version = 7").await.unwrap();
        let ledger = Arc::new(QueuedLedger::start(SqliteWriter::new(database.clone(), unlinked())));
        let check = DatabaseCheck::new(database.clone(), ledger);
        let log = || std::fs::metadata(folder.path().join("mcp.db-wal")).unwrap().len();
        let before = log();
        check.check().await.unwrap();
        assert!(log() > before, "a write is in the log");
        let number = Statement::from_string(DbBackend::Sqlite, "PRAGMA user_version");
        let row = database.readers().query_one_raw(number).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), 7);
    }

    #[tokio::test]
    async fn a_database_that_takes_no_writes_is_down_and_says_no_more_than_that() {
        let (_folder, database) = database().await;
        let ledger = Arc::new(QueuedLedger::start(SqliteWriter::new(database.clone(), unlinked())));
        let check = DatabaseCheck::new(database.clone(), ledger);
        database.run("PRAGMA query_only = 1").await.unwrap();
        let error = check.check().await.unwrap_err();
        assert_eq!(error.to_string(), "the database is unavailable");
        let cause = std::error::Error::source(&error).expect("the log has the cause").to_string();
        assert!(cause.contains("readonly"), "{cause}");
        database.run("PRAGMA query_only = 0").await.unwrap();
        check.check().await.unwrap();
    }
}
