//! The same rows by the bare driver, into a table that is made as that of calls is.

use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use mcp_core::store::ledger::CallRecord;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{self, PgPool, QueryBuilder, Sqlite, SqlitePool};
use uuid::Uuid;

use crate::load::Load;

/// A table `raw_calls` beside the one that is measured.
pub enum Raw {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// How many connections write one by one: as many as a server has.
const CONNECTIONS: u32 = 10;
const COLUMNS: &str = "(tenant, id, format, parent, principal, tool, outcome, at, duration, arguments, result)";

impl Raw {
    /// Makes the table; the stores in the database must have been opened.
    pub async fn open(url: &str) -> io::Result<Self> {
        if url.starts_with("postgres:") {
            let pool =
                PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.map_err(io::Error::other)?;
            let make = "CREATE TABLE raw_calls (LIKE mcp_calls INCLUDING ALL)";
            sqlx::query(make).execute(&pool).await.map_err(io::Error::other)?;
            return Ok(Self::Postgres(pool));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(io::Error::other)?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(60))
            .connect_with(options)
            .await
            .map_err(io::Error::other)?;
        let schema = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'mcp_calls' AND type <> 'trigger' \
                      AND sql IS NOT NULL ORDER BY type DESC";
        let made: Vec<String> = sqlx::query_scalar(schema).fetch_all(&pool).await.map_err(io::Error::other)?;
        for sql in made {
            let sql = sqlx::AssertSqlSafe(sql.replace("mcp_calls", "raw_calls"));
            sqlx::query(sql).execute(&pool).await.map_err(io::Error::other)?;
        }
        Ok(Self::Sqlite(pool))
    }

    /// Writes one call in a transaction of its own.
    pub async fn insert(&self, call: CallRecord) -> Result<(), sqlx::Error> {
        self.write(std::slice::from_ref(&call)).await
    }

    /// Batches of this size, one after the other, for so long; in rows a second.
    pub async fn batches(&self, load: &Load, size: usize, time: Duration) -> io::Result<f64> {
        let (begun, mut rows) = (Instant::now(), 0.0);
        while begun.elapsed() < time {
            let calls: Vec<_> = (0..size).map(|_| load.call()).collect();
            self.write(&calls).await.map_err(io::Error::other)?;
            #[expect(clippy::cast_precision_loss, reason = "at most 512")]
            let written = size as f64;
            rows += written;
        }
        Ok(rows / begun.elapsed().as_secs_f64())
    }

    /// Writes all of them by one statement.
    async fn write(&self, calls: &[CallRecord]) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(pool) => postgres(pool, calls).await,
            Self::Sqlite(pool) => sqlite(pool, calls).await,
        }
    }
}

async fn postgres(pool: &PgPool, calls: &[CallRecord]) -> Result<(), sqlx::Error> {
    fn column<'c, T>(calls: &'c [CallRecord], value: impl Fn(&'c CallRecord) -> T) -> Vec<T> {
        calls.iter().map(value).collect()
    }
    let insert = format!(
        "INSERT INTO raw_calls {COLUMNS} SELECT tenant, id, 1, parent, principal, tool, outcome, at, duration, arguments, result \
         FROM UNNEST($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], \
                     $9::bytea[], $10::bytea[]) \
         AS call (tenant, id, parent, principal, tool, outcome, at, duration, arguments, result)"
    );
    let insert = sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(column(calls, |call| call.tenant.as_str()))
        .bind(column(calls, |call| Uuid::from_u128(call.id.as_u128())))
        .bind(column(calls, |call| call.parent.map(|parent| Uuid::from_u128(parent.as_u128()))))
        .bind(column(calls, |call| call.principal.as_str()))
        .bind(column(calls, |call| call.tool.as_str()))
        .bind(column(calls, |call| call.outcome.as_str()))
        .bind(column(calls, |call| call.at.as_micros()))
        .bind(column(calls, |call| micros(call.duration)))
        .bind(column(calls, |call| &call.arguments[..]))
        .bind(column(calls, |call| &call.result[..]));
    insert.execute(pool).await.map(drop)
}

async fn sqlite(pool: &SqlitePool, calls: &[CallRecord]) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(format!("INSERT INTO raw_calls {COLUMNS} "));
    insert.push_values(calls, |mut row, call| {
        row.push_bind(call.tenant.as_str())
            .push_bind(call.id.as_u128().to_be_bytes().to_vec())
            .push_bind(1)
            .push_bind(call.parent.map(|parent| parent.as_u128().to_be_bytes().to_vec()))
            .push_bind(call.principal.as_str())
            .push_bind(call.tool.as_str())
            .push_bind(call.outcome.as_str())
            .push_bind(call.at.as_micros())
            .push_bind(micros(call.duration))
            .push_bind(&call.arguments[..])
            .push_bind(&call.result[..]);
    });
    insert.build().execute(pool).await.map(drop)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
