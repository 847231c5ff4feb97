//! Many rows in few statements.

mod links;

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{CallRecord, Entry};
use sea_orm::sea_query::{OnConflict, Query, SqliteQueryBuilder};
use sea_orm::{ConnectionTrait, DbBackend, Iterable, Statement, Value};

use crate::ledger::{Outrun, Sink};
use crate::sql::Database;
use crate::sql::batch::Batch;
use crate::sql::chain::Linker;
use crate::sql::entity::call::{Column, Entity, Model};
use crate::sql::error::store_error;

/// Writes what is committed into SQLite.
pub(crate) struct SqliteWriter {
    database: Database,
    linker: Linker,
    /// How many answers are still to be lost.
    #[cfg(test)]
    pub(in crate::sql) to_lose: usize,
}

impl SqliteWriter {
    pub(crate) fn new(database: Database, linker: Linker) -> Self {
        Self {
            database,
            linker,
            #[cfg(test)]
            to_lose: 0,
        }
    }
}

impl Sink for SqliteWriter {
    /// A file that cannot be written to now can hardly be written to in a second.
    const PATIENCE: Duration = Duration::ZERO;

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let batch = Batch::of(commits)?;
        let mut statements = statements(&batch.calls);
        statements.extend(links::statements(&self.linker.link(commits.iter().copied().flatten())));
        statements.extend(links::removals(&batch));
        let write = self.database.transaction(|transaction| {
            async move {
                for statement in statements {
                    transaction.execute_raw(statement).await?;
                }
                Ok(Outrun::new())
            }
            .boxed()
        });
        let written = write.await.map_err(store_error("ledger"));
        #[cfg(test)]
        let written = match self.to_lose.checked_sub(1) {
            None => written,
            Some(left) => {
                self.to_lose = left;
                Err(StoreError::Unavailable { store: "ledger", source: None })
            }
        };
        self.linker.ended(&written);
        written
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.database.probe().await.map_err(store_error("ledger"))
    }
}

/// A statement is made for these numbers of rows alone, so that each is compiled once and stays compiled: 2 to the power of its
/// place. The largest has fewer variables than SQLite takes (32,766).
static STATEMENTS: LazyLock<[String; 10]> = LazyLock::new(|| std::array::from_fn(|power| statement(1 << power)));

fn statement(rows: usize) -> String {
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(Column::iter()).on_conflict(OnConflict::new().do_nothing().to_owned());
    for _ in 0..rows {
        insert.values_panic(Column::iter().map(|_| Value::Bool(None).into()));
    }
    insert.build(SqliteQueryBuilder).0
}

/// The statements that write `calls`; one whose id is there already is left as it is.
pub(in crate::sql) fn statements(mut calls: &[&CallRecord]) -> Vec<Statement> {
    let mut statements = Vec::new();
    while !calls.is_empty() {
        let power = (calls.len().ilog2() as usize).min(STATEMENTS.len() - 1);
        let (now, later) = calls.split_at(1 << power);
        let values = now.iter().flat_map(|call| values(Model::from(*call)));
        statements.push(Statement::from_sql_and_values(DbBackend::Sqlite, &STATEMENTS[power], values));
        calls = later;
    }
    statements
}

/// In the order of the columns.
fn values(row: Model) -> [Value; 11] {
    [
        row.tenant.into(),
        row.id.into(),
        row.format.into(),
        row.parent.into(),
        row.principal.into(),
        row.tool.into(),
        row.outcome.into(),
        row.at.into(),
        row.duration.into(),
        row.arguments.into(),
        row.result.into(),
    ]
}
