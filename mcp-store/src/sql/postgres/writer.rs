//! Many rows in one statement.

mod statement;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use mcp_core::store::StoreError;
use mcp_core::store::ledger::Entry;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Executor};

use super::READ_ONLY;
use crate::ledger::{Outrun, Sink};
use crate::sql::batch::{Batch, Fences};
use crate::sql::chain::Linker;
use crate::sql::content::{Content, SealedBatch};
use crate::sql::error::sqlx_error;
use crate::sql::writer::answers;

/// Writes what is committed into PostgreSQL, on a connection of its own: no pool stands between, and whoever reads much does not
/// hold it up. One statement is one transaction; where more are needed, a connection whose transaction does not end is closed.
pub(crate) struct PostgresWriter {
    line: Line,
    linker: Linker,
    content: Content,
}

/// The writer's connection.
struct Line {
    options: PgConnectOptions,
    /// Nothing, while it is in use, and when it has failed.
    connection: Option<PgConnection>,
}

/// Statements that look for rows, how many parameters they have, and the indexes by which they should.
#[cfg(test)]
pub(in crate::sql) fn planned() -> [(&'static str, usize, &'static [&'static str]); 3] {
    [
        (steps::LOCK, 2, &["mcp_runs_pkey"]),
        (steps::THERE, 3, &["mcp_steps_pkey"]),
        (&statement::WHOLE, 43, &["mcp_runs_pkey"]),
    ]
}

/// How long connecting or writing may take. A server that is cut off says nothing.
const DEADLINE: Duration = Duration::from_secs(5);

impl PostgresWriter {
    pub(super) fn new(options: PgConnectOptions, linker: Linker) -> Self {
        Self { line: Line { options, connection: None }, linker, content: Content::default() }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }
}

impl Line {
    /// Does `work` on the connection, which is closed if that fails or takes too long.
    async fn on_connection<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error> + Send,
    ) -> Result<T, StoreError> {
        let kept = self.connection.take();
        let done = tokio::time::timeout(DEADLINE, async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let result = work(&mut connection).await;
            Ok((connection, result))
        });
        match done.await {
            Ok(Ok((connection, result))) => {
                let result = result.map_err(sqlx_error("ledger"));
                if !matches!(result, Err(StoreError::Unavailable { .. })) {
                    self.connection = Some(connection);
                }
                result
            }
            Ok(Err(error)) => Err(sqlx_error("ledger")(error)),
            Err(late) => Err(StoreError::Unavailable { store: "ledger", source: Some(Arc::new(late)) }),
        }
    }

    /// Does `work` on the connection in a transaction, for which nobody else can be mistaken: the connection is the writer's alone, and
    /// is closed where this is left in the middle.
    async fn in_transaction<T: Send>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error> + Send,
    ) -> Result<T, StoreError> {
        self.on_connection(async |connection| {
            connection.execute("BEGIN").await?;
            let done = work(&mut *connection).await;
            connection.execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            done
        })
        .await
    }
}

impl Sink for PostgresWriter {
    /// A server that is started again is back by then.
    const PATIENCE: Duration = Duration::from_secs(5);
    const SYSTEM: &'static str = "postgresql";

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let Self { line, linker, content } = self;
        let fences = Fences::of(commits)?;
        let written = if fences.is_empty() {
            let batch = Batch::unfenced(commits)?;
            let links = linker.link(batch.entries.iter().copied());
            let sealed = SealedBatch::of(content, &batch)?;
            let batch = SealedBatch::stored(&sealed, batch);
            let write = async |connection: &mut PgConnection| statement::write(connection, &batch, &links).await;
            let written = if batch.checkpoints.is_empty() {
                line.on_connection(write).await
            } else {
                line.in_transaction(write).await
            };
            written.map(|()| Outrun::new())
        } else {
            line.in_transaction(async |connection| {
                let lost = answers::keep_on_postgres(connection, &fences.answers).await?;
                let standing = steps::lock(connection, &fences.asked).await?;
                let refused = |error: StoreError| sqlx::Error::Encode(error.into());
                let (batch, outrun) = Batch::of(commits, &lost, standing).map_err(refused)?;
                let links = linker.link(batch.entries.iter().copied());
                let sealed = SealedBatch::of(content, &batch).map_err(refused)?;
                let batch = SealedBatch::stored(&sealed, batch);
                statement::write(connection, &batch, &links).await?;
                steps::used(connection, &batch.uses).await?;
                Ok(outrun)
            })
            .await
        };
        linker.ended(&written);
        written
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.line
            .on_connection(async |connection| {
                let read_only: bool = sqlx::query_scalar(READ_ONLY).fetch_one(connection).await?;
                if read_only { Err(sqlx::Error::Protocol("the server only reads".to_owned())) } else { Ok(()) }
            })
            .await
    }
}
