//! Many rows in one statement.

mod statement;

use std::sync::Arc;
use std::time::Duration;

use mcp_core::store::StoreError;
use mcp_core::store::ledger::Entry;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions};

use super::READ_ONLY;
use crate::ledger::{Outrun, Sink};
use crate::sql::batch::Batch;
use crate::sql::chain::Linker;
use crate::sql::error::sqlx_error;

/// Writes what is committed into PostgreSQL, on a connection of its own: no pool stands between, and whoever reads much does not
/// hold it up. One statement is one transaction.
pub(crate) struct PostgresWriter {
    options: PgConnectOptions,
    linker: Linker,
    /// Nothing, while it is in use, and when it has failed.
    connection: Option<PgConnection>,
}

/// How long connecting or writing may take. A server that is cut off says nothing.
const DEADLINE: Duration = Duration::from_secs(5);

impl PostgresWriter {
    pub(super) fn new(options: PgConnectOptions, linker: Linker) -> Self {
        Self { options, linker, connection: None }
    }

    /// Does `work` on the connection, which is closed if that fails or takes too long.
    async fn on_connection(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<(), sqlx::Error> + Send,
    ) -> Result<(), StoreError> {
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
}

impl Sink for PostgresWriter {
    /// A server that is started again is back by then.
    const PATIENCE: Duration = Duration::from_secs(5);

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let batch = Batch::of(commits)?;
        let links = self.linker.link(commits.iter().copied().flatten());
        let written = self.on_connection(async |connection| statement::write(connection, &batch, &links).await).await;
        self.linker.ended(&written);
        written.map(|()| Outrun::new())
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.on_connection(async |connection| {
            let read_only: bool = sqlx::query_scalar(READ_ONLY).fetch_one(connection).await?;
            if read_only { Err(sqlx::Error::Protocol("the server only reads".to_owned())) } else { Ok(()) }
        })
        .await
    }
}
