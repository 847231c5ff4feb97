//! Many rows in few statements.

pub(in crate::sql) mod statement;
pub(in crate::sql) mod steps;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::Entry;
use mcp_core::tokio_runtime::TokioClock;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use crate::ledger::{Outrun, Sink};
use crate::sql::Database;
use crate::sql::batch::{Batch, Fences};
use crate::sql::chain::Linker;
use crate::sql::content::{Content, SealedBatch};
use crate::sql::error::store_error;
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
            let statements = statement::all(&SealedBatch::stored(&sealed, batch), &links);
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
                    let mut statements = statement::all(&batch, &links);
                    statements.append(&mut steps::statements(&batch, clock.now()));
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
