//! Many rows in few statements.

mod links;
mod steps;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::audit::Link;
use mcp_core::store::ledger::{CallRecord, Entry};
use mcp_core::tokio_runtime::TokioClock;
use sea_orm::sea_query::{OnConflict, Query, SqliteQueryBuilder};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Iterable, Statement, Value};

use crate::ledger::{Outrun, Sink};
use crate::sql::Database;
use crate::sql::batch::{Batch, Fences};
use crate::sql::chain::Linker;
use crate::sql::content::{Content, SealedBatch};
use crate::sql::entity::call::{Column, Entity, Model};
use crate::sql::error::store_error;
use crate::sql::model_counts;
use crate::sql::writer::answers;

/// Writes what is committed into SQLite.
pub(crate) struct SqliteWriter {
    database: Database,
    /// Also the transaction's, which goes on by itself.
    linker: Arc<Mutex<Linker>>,
    content: Content,
    /// Tells when runs are due.
    clock: Arc<dyn Clock>,
    /// How many answers are still to be lost.
    #[cfg(test)]
    pub(in crate::sql) to_lose: usize,
}

impl SqliteWriter {
    /// By the machine's clock.
    pub(crate) fn new(database: Database, linker: Linker) -> Self {
        Self {
            database,
            linker: Arc::new(Mutex::new(linker)),
            content: Content::default(),
            clock: Arc::new(TokioClock::new()),
            #[cfg(test)]
            to_lose: 0,
        }
    }

    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }
}

impl Sink for SqliteWriter {
    /// A file that cannot be written to now can hardly be written to in a second.
    const PATIENCE: Duration = Duration::ZERO;
    const SYSTEM: &'static str = "sqlite";

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let fences = Fences::of(commits)?;
        let write = if fences.is_empty() {
            let batch = Batch::unfenced(commits)?;
            let links = lock(&self.linker).link(batch.entries.iter().copied());
            let sealed = SealedBatch::of(&self.content, &batch)?;
            let statements = all(&SealedBatch::stored(&sealed, batch), &links);
            self.database.transaction(|transaction| run(transaction, statements, Outrun::new()).boxed()).boxed()
        } else {
            let (linker, clock, content) = (self.linker.clone(), self.clock.clone(), self.content.clone());
            // They outlive whoever waits for the transaction, and what is large in them is shared.
            let commits: Vec<Vec<Entry>> = commits.iter().map(|entries| entries.to_vec()).collect();
            let write = self.database.transaction(|transaction| {
                async move {
                    let commits: Vec<&[Entry]> = commits.iter().map(Vec::as_slice).collect();
                    let refused = |error: StoreError| DbErr::Type(error.to_string());
                    let fences = Fences::of(&commits).map_err(refused)?;
                    let lost = answers::keep_on_sqlite(transaction, &fences.answers).await?;
                    let standing = steps::look(transaction, &fences.asked).await?;
                    let (batch, outrun) = Batch::of(&commits, &lost, standing).map_err(refused)?;
                    let links = lock(&linker).link(batch.entries.iter().copied());
                    let sealed = SealedBatch::of(&content, &batch).map_err(refused)?;
                    let batch = SealedBatch::stored(&sealed, batch);
                    let mut statements = all(&batch, &links);
                    statements.extend(batch.steps.iter().map(|(hold, step)| steps::insert(hold, step)));
                    statements.extend(batch.uses.iter().map(|(hold, used)| model_counts::add(hold, used)));
                    statements.extend(batch.turns.iter().map(|(hold, turn)| steps::turn(hold, turn, clock.now())));
                    run(transaction, statements, outrun).await
                }
                .boxed()
            });
            write.boxed()
        };
        let written = write.await.map_err(store_error("ledger"));
        #[cfg(test)]
        let written = match self.to_lose.checked_sub(1) {
            None => written,
            Some(left) => {
                self.to_lose = left;
                Err(StoreError::Unavailable { store: "ledger", source: None })
            }
        };
        lock(&self.linker).ended(&written);
        written
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.database.probe().await.map_err(store_error("ledger"))
    }
}

/// The statements that write all of a batch.
fn all(batch: &Batch<'_>, links: &[Link]) -> Vec<Statement> {
    let mut statements = statements(&batch.calls);
    statements.extend(links::statements(links));
    statements.extend(links::removals(batch));
    statements
}

async fn run(transaction: &DatabaseTransaction, statements: Vec<Statement>, outrun: Outrun) -> Result<Outrun, DbErr> {
    for statement in statements {
        transaction.execute_raw(statement).await?;
    }
    Ok(outrun)
}

/// Its data is sound at every moment, so that a panic elsewhere does not matter.
fn lock(linker: &Mutex<Linker>) -> MutexGuard<'_, Linker> {
    linker.lock().unwrap_or_else(PoisonError::into_inner)
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
fn values(row: Model) -> [Value; 14] {
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
        row.blob.into(),
        row.address.into(),
        row.waited.into(),
    ]
}
