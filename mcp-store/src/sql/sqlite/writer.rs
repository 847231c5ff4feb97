//! Many rows in few statements.

mod steps;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::FutureExt;
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{CallRecord, Entry};
use mcp_core::tokio_runtime::TokioClock;
use sea_orm::sea_query::{OnConflict, Query, SqliteQueryBuilder};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Iterable, Statement, Value};

use crate::ledger::{Outrun, Sink};
use crate::sql::Database;
use crate::sql::batch::Batch;
use crate::sql::entity::call::{Column, Entity, Model};
use crate::sql::error::store_error;
use crate::sql::standing::{Asked, Standing};

/// Writes what is committed into SQLite.
pub(crate) struct SqliteWriter {
    database: Database,
    /// Tells when runs are due.
    clock: Arc<dyn Clock>,
}

impl SqliteWriter {
    /// By the machine's clock.
    pub(crate) fn new(database: Database) -> Self {
        Self { database, clock: Arc::new(TokioClock::new()) }
    }

    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

impl Sink for SqliteWriter {
    /// A file that cannot be written to now can hardly be written to in a second.
    const PATIENCE: Duration = Duration::ZERO;

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let asked = Asked::of(commits)?;
        let write = if asked.is_empty() {
            let (batch, outrun) = Batch::of(commits, Standing::default())?;
            let statements = statements(&batch.calls);
            self.database.transaction(|transaction| execute(transaction, statements, outrun).boxed()).boxed()
        } else {
            let clock = self.clock.clone();
            // They outlive whoever waits for the transaction, and what is large in them is shared.
            let commits: Vec<Vec<Entry>> = commits.iter().map(|entries| entries.to_vec()).collect();
            let write = self.database.transaction(|transaction| {
                async move {
                    let standing = steps::look(transaction, &asked).await?;
                    let commits: Vec<_> = commits.iter().map(|entries| &**entries).collect();
                    let refused = |error: StoreError| DbErr::Type(error.to_string());
                    let (batch, outrun) = Batch::of(&commits, standing).map_err(refused)?;
                    let mut statements = statements(&batch.calls);
                    statements.extend(batch.steps.iter().map(|(hold, step)| steps::insert(hold, step)));
                    statements.extend(batch.turns.iter().map(|(hold, turn)| steps::turn(hold, turn, clock.now())));
                    execute(transaction, statements, outrun).await
                }
                .boxed()
            });
            write.boxed()
        };
        write.await.map_err(store_error("ledger"))
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.database.probe().await.map_err(store_error("ledger"))
    }
}

async fn execute(
    transaction: &DatabaseTransaction,
    statements: Vec<Statement>,
    outrun: Outrun,
) -> Result<Outrun, DbErr> {
    for statement in statements {
        transaction.execute_raw(statement).await?;
    }
    Ok(outrun)
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
