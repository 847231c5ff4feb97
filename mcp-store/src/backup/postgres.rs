//! PostgreSQL: its own programs write and read the dump; the moment is ours.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::contents::{Contents, names, query, quote};
use super::error::BackupError;
use super::program::Program;
use crate::sql::error::message;
use crate::sql::postgres::PostgresDatabase;

/// All that is read sees the database as it is at the first statement, however long that takes.
const ONE_MOMENT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
                          SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Writes our tables, as they are at one moment, into a file. Who writes meanwhile does not wait.
pub(super) async fn copy(postgres: &PostgresDatabase, to: &Path) -> Result<Contents, BackupError> {
    let dump = Program::find("pg_dump").await?;
    let (source, to) = (postgres.clone(), to.to_owned());
    let database = postgres.alone().await?;
    let copied = database.transaction(move |transaction| {
        async move {
            transaction.execute_unprepared(ONE_MOMENT).await?;
            let contents = Contents::read(transaction).await?;
            let Some(schema) = &contents.schema else {
                return Ok(Err(BackupError::Empty { place: source.to_string() }));
            };
            let snapshot = snapshot(transaction).await?;
            let mut dump = dump.on(&source);
            dump.args(["--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"]);
            dump.arg(format!("--snapshot={snapshot}")).arg(format!("--table={}.mcp_*", quote(schema)));
            dump.arg("--file").arg(to);
            Ok(dump.run().await.map(|()| contents))
        }
        .boxed()
    });
    let copied = copied.await;
    // What was copied is in the file; that the connection does not close well changes nothing.
    let _ = database.connection().close().await;
    copied.map_err(failed("copy", postgres))?
}

async fn snapshot(transaction: &DatabaseTransaction) -> Result<String, DbErr> {
    let rows = query(transaction, "SELECT pg_export_snapshot()").await?;
    let row = rows.first().ok_or_else(|| DbErr::Custom("there is no snapshot".to_owned()))?;
    row.try_get_by_index(0)
}

/// What is in the database.
pub(super) async fn contents(database: &PostgresDatabase) -> Result<Contents, BackupError> {
    let connection = database.alone().await?.connection();
    let read = Contents::read(&connection).await;
    let _ = connection.close().await;
    read.map_err(failed("read", database))
}

/// Refuses a database with any of our tables, whoever made them.
pub(super) async fn check_empty(database: &PostgresDatabase) -> Result<(), BackupError> {
    let connection = database.alone().await?.connection();
    let found = names(&connection).await;
    let _ = connection.close().await;
    match found.map_err(failed("read", database))?.first() {
        None => Ok(()),
        Some((table, _)) => Err(BackupError::NotEmpty {
            place: database.to_string(),
            found: format!("there is {table}"),
            mend: "a new database, such as `createdb` makes,",
        }),
    }
}

/// Makes our tables what they were in a dump: all of them, or nothing.
pub(super) async fn restore(database: &PostgresDatabase, from: &Path, contents: &Contents) -> Result<(), BackupError> {
    let restore = Program::find("pg_restore").await?;
    check_empty(database).await?;
    if let Some(schema) = contents.schema.as_deref().filter(|schema| *schema != "public") {
        run(database, &format!("CREATE SCHEMA IF NOT EXISTS {}", quote(schema))).await?;
    }
    let mut restore = restore.on(database);
    restore.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    restore.arg(format!("--dbname={}", name(database))).arg(from);
    restore.run().await
}

/// A database of its own on the same server. It is removed when the work is done, however that ends; where this process is ended before,
/// the next trial does it.
pub(super) async fn with_scratch<T: Send + 'static>(
    database: &PostgresDatabase,
    work: impl FnOnce(PostgresDatabase) -> BoxFuture<'static, Result<T, BackupError>> + Send + 'static,
) -> Result<T, BackupError> {
    let database = database.clone();
    let done = tokio::spawn(async move {
        let mut scratch = format!("mcp_verify_{}", name(&database));
        while scratch.len() > LONGEST {
            scratch.pop();
        }
        let remove = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(&scratch));
        run(&database, &remove).await?;
        run(&database, &format!("CREATE DATABASE {} TEMPLATE template0", quote(&scratch))).await?;
        let there = PostgresDatabase::with(database.options().clone().database(&scratch));
        let worked = tokio::spawn(work(there)).await.unwrap_or_else(|ended| Err(BackupError::ended(&ended)));
        let removed = run(&database, &remove).await;
        worked.and_then(|worked| removed.map(|()| worked))
    });
    done.await.unwrap_or_else(|ended| Err(BackupError::ended(&ended)))
}

/// How many bytes a name has at the most.
const LONGEST: usize = 63;

fn name(database: &PostgresDatabase) -> &str {
    // Without a name it is that of the user.
    database.options().get_database().unwrap_or(database.options().get_username())
}

async fn run(database: &PostgresDatabase, sql: &str) -> Result<(), BackupError> {
    let connection = database.alone().await?.connection();
    let ran = connection.execute_unprepared(sql).await;
    let _ = connection.close().await;
    ran.map(drop).map_err(failed("prepare", database))
}

fn failed(action: &'static str, database: &PostgresDatabase) -> impl Fn(DbErr) -> BackupError {
    move |error| BackupError::Database { action, place: database.to_string(), source: message(&error).into() }
}
