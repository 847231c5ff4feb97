//! The tables of the server, as anybody sees them who may read the database.

use std::error::Error;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement};
use tokio::runtime::Runtime;

/// A connection of its own to what the servers write into.
pub struct Tables {
    runtime: Runtime,
    connection: DatabaseConnection,
}

impl Tables {
    pub fn open(url: &str) -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(Database::connect(url))?;
        Ok(Self { runtime, connection })
    }

    pub fn rows(&self, sql: &str) -> Result<Vec<QueryResult>, Box<dyn Error>> {
        let statement = Statement::from_string(self.connection.get_database_backend(), sql);
        Ok(self.runtime.block_on(self.connection.query_all_raw(statement))?)
    }

    /// A column of bytes, as the text that they are.
    pub fn text(&self, column: &str) -> String {
        match self.connection.get_database_backend() {
            DbBackend::Postgres => format!("convert_from({column}, 'UTF8')"),
            _ => format!("CAST({column} AS TEXT)"),
        }
    }
}
