//! Many rows in one statement.

mod steps;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::store::StoreError;
use mcp_core::store::ledger::{CallRecord, Entry};
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions};

use super::READ_ONLY;
use crate::ledger::{Outrun, Sink};
use crate::sql::batch::Batch;
use crate::sql::entity::call::{FORMAT, micros, uuid};
use crate::sql::error::sqlx_error;
use crate::sql::standing::{Asked, Standing};
use crate::sql::text::stored;

/// Writes what is committed into PostgreSQL, on a connection of its own: no pool stands between, and whoever reads much does not
/// hold it up. One statement is one transaction; where more are needed, a connection whose transaction does not end is closed.
pub(crate) struct PostgresWriter {
    options: PgConnectOptions,
    /// Nothing, while it is in use, and when it has failed.
    connection: Option<PgConnection>,
}

/// How long connecting or writing may take. A server that is cut off says nothing.
const DEADLINE: Duration = Duration::from_secs(5);

impl PostgresWriter {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, connection: None }
    }

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
}

impl Sink for PostgresWriter {
    /// A server that is started again is back by then.
    const PATIENCE: Duration = Duration::from_secs(5);

    async fn write(&mut self, commits: &[&[Entry]]) -> Result<Outrun, StoreError> {
        let asked = Asked::of(commits)?;
        if asked.is_empty() {
            let (batch, outrun) = Batch::of(commits, Standing::default())?;
            self.on_connection(async |connection| insert(connection, &batch.calls).await).await?;
            return Ok(outrun);
        }
        self.on_connection(async |connection| {
            sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
            let written = write_runs(connection, &asked, commits).await;
            let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
            sqlx::raw_sql(end).execute(connection).await?;
            written
        })
        .await
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.on_connection(async |connection| {
            let read_only: bool = sqlx::query_scalar(READ_ONLY).fetch_one(connection).await?;
            if read_only { Err(sqlx::Error::Protocol("the server only reads".to_owned())) } else { Ok(()) }
        })
        .await
    }
}

/// Writes a batch in which there are steps or turns of runs, inside of a transaction.
async fn write_runs(connection: &mut PgConnection, asked: &Asked, commits: &[&[Entry]]) -> Result<Outrun, sqlx::Error> {
    let standing = steps::lock(connection, asked).await?;
    let refused = |error: StoreError| sqlx::Error::Encode(error.into());
    let (batch, outrun) = Batch::of(commits, standing).map_err(refused)?;
    if !batch.calls.is_empty() {
        insert(connection, &batch.calls).await?;
    }
    steps::insert(connection, &batch.steps).await?;
    steps::turn(connection, &batch.turns).await?;
    Ok(outrun)
}

/// A call whose id is there already is left as it is.
const INSERT: &str = "INSERT INTO mcp_calls \
    (tenant, id, format, parent, principal, tool, outcome, at, duration, arguments, result) \
    SELECT tenant, id, $1, parent, principal, tool, outcome, at, duration, arguments, result \
    FROM UNNEST($2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], \
                $10::bytea[], $11::bytea[]) \
    AS call (tenant, id, parent, principal, tool, outcome, at, duration, arguments, result) \
    ON CONFLICT (tenant, id) DO NOTHING";

async fn insert(connection: &mut PgConnection, calls: &[&CallRecord]) -> Result<(), sqlx::Error> {
    fn column<'c, T>(calls: &[&'c CallRecord], value: impl Fn(&'c CallRecord) -> T) -> Vec<T> {
        calls.iter().map(|call| value(call)).collect()
    }
    sqlx::query(INSERT)
        .bind(FORMAT)
        .bind(column::<Cow<'_, str>>(calls, |call| stored(call.tenant.as_str())))
        .bind(column::<Uuid>(calls, |call| uuid(call.id)))
        .bind(column::<Option<Uuid>>(calls, |call| call.parent.map(uuid)))
        .bind(column::<Cow<'_, str>>(calls, |call| stored(call.principal.as_str())))
        .bind(column::<Cow<'_, str>>(calls, |call| stored(&call.tool)))
        .bind(column::<&str>(calls, |call| call.outcome.as_str()))
        .bind(column::<i64>(calls, |call| call.at.as_micros()))
        .bind(column::<i64>(calls, |call| micros(call.duration)))
        .bind(column::<&[u8]>(calls, |call| &call.arguments))
        .bind(column::<&[u8]>(calls, |call| &call.result))
        .execute(connection)
        .await?;
    Ok(())
}
