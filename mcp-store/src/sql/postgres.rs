//! PostgreSQL: a pool for reads and writes, and a connection of its own for what is committed.

#[cfg(test)]
pub(super) mod tests;
pub(crate) mod writer;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, SqlxPostgresConnector, Statement};
use sea_orm_migration::SchemaManager;
use tokio::time::timeout;

use super::Database;
use super::chain::Linker;
use super::error::message;
use super::migration::{self, Plan};
use super::pool::Pool;
use super::repeating::Repeating;
use crate::distrust::Distrust;
use crate::error::OpenError;
use crate::progress::Progress;

/// A database on a PostgreSQL server.
#[derive(Clone)]
pub(crate) struct PostgresDatabase {
    options: PgConnectOptions,
}

/// How many connections a process has at the most, beside that of the writer and that of the check.
pub(super) const CONNECTIONS: u32 = 10;
/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a statement may take.
const STATEMENT: Duration = Duration::from_secs(5);
/// A connection that was not used for so long is tried before it is used: the server may have been started again.
const IDLE: Duration = Duration::from_secs(1);
/// How long it may take to answer. One that takes longer is as good as gone.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a server that starts with this one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A number that nobody else's locks have: `mcp_` and a random rest.
const MIGRATION_LOCK: i64 = 0x6d63_705f_91c4_0b3e;

impl PostgresDatabase {
    /// Reads a URL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters of libpq, such as `?sslmode=verify-full`, and
    /// `?statement-cache-capacity=0` for a pooler between here and there that knows no prepared statements.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| OpenError::Url { problem: "the database's URL cannot be read".to_owned() })?;
        Ok(Self::with(options))
    }

    /// The database to which `options` lead.
    pub(crate) fn with(options: PgConnectOptions) -> Self {
        let options = options.disable_statement_logging();
        let is_named = options.get_application_name().is_some();
        Self { options: if is_named { options } else { options.application_name("mcp") } }
    }

    /// Brings the tables to this version, in one transaction, and under a lock, so that of several processes that start at once
    /// the others wait. Tells which migrations that took.
    pub(crate) async fn migrate(&self, progress: &Progress) -> Result<Vec<String>, OpenError> {
        self.wait().await?;
        // A pool of its own, closed again: migrations begin transactions as they like, and take as long as they take.
        let connection = Self::pool(1, self.options.clone());
        let plan = migration::plan(&SchemaManager::new(&connection.pool.current())).await;
        let migrated = match plan {
            Ok(Plan::Run(missing)) if !missing.is_empty() => {
                let database = Database::new(connection.clone(), connection.clone()).patient();
                let progress = progress.clone();
                let migrated = database.transaction(|transaction| {
                    async move {
                        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
                        transaction.execute_unprepared(&lock).await?;
                        migration::run(transaction, &progress).await
                    }
                    .boxed()
                });
                migrated.await
            }
            done => done,
        };
        // What was migrated is committed; that the connection does not close well changes nothing.
        let _ = connection.pool.current().close().await;
        self.names(migrated)
    }

    /// Which migrations [`PostgresDatabase::migrate`] would run.
    pub(crate) async fn pending_migrations(&self) -> Result<Vec<String>, OpenError> {
        self.wait().await?;
        let connection = Self::pool(1, self.options.clone());
        let plan = migration::plan(&SchemaManager::new(&connection.pool.current())).await;
        let _ = connection.pool.current().close().await;
        self.names(plan)
    }

    /// Connects, once the tables are there. Refuses a server that forgets what it has acknowledged.
    pub(crate) async fn connect(&self) -> Result<Database, OpenError> {
        let pool = Self::pool(CONNECTIONS, self.bounded());
        let database = Database::new(pool.clone(), pool).probed(Self::pool(1, self.bounded()));
        let setting = "SELECT current_setting('synchronous_commit')";
        let row = database.readers().query_one_raw(Statement::from_string(DbBackend::Postgres, setting)).await;
        let setting = row.and_then(|row| row.map(|row| row.try_get_by_index::<String>(0)).transpose());
        match setting {
            Ok(setting) if setting.as_deref() == Some("off") => Err(OpenError::Forgetful {
                place: self.to_string(),
                database: self.options.get_database().unwrap_or("the database").to_owned(),
            }),
            Ok(_) => Ok(database),
            Err(error) => Err(OpenError::Unreachable { place: self.to_string(), source: message(&error).into() }),
        }
    }

    /// How it is connected to.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// One connection, once the server is there, on which statements and transactions may take as long as they take.
    pub(crate) async fn alone(&self) -> Result<Database, OpenError> {
        self.wait().await?;
        let connection = Self::pool(1, self.options.clone());
        Ok(Database::new(connection.clone(), connection).patient())
    }

    /// Where what is committed is written.
    pub(crate) fn writer(&self, linker: Linker) -> writer::PostgresWriter {
        writer::PostgresWriter::new(self.by_keys(), linker)
    }

    /// Waits for a server that is starting.
    async fn wait(&self) -> Result<(), OpenError> {
        let begun = tokio::time::Instant::now();
        loop {
            let error = match timeout(ACQUIRE, self.options.connect()).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            if begun.elapsed() > PATIENCE || !is_starting(&error) {
                return Err(self.unreachable(&error));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn pool(connections: u32, options: PgConnectOptions) -> Repeating {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    let is_good = async { timeout(ANSWER, connection.ping()).await.is_ok_and(|answer| answer.is_ok()) };
                    Ok(meta.idle_for < IDLE || is_good.await)
                })
            });
        let next =
            move || SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone().connect_lazy_with(options.clone()));
        Repeating::new(Pool::renewed(connections, next))
    }

    /// Options under which nothing takes for ever, neither a statement nor a transaction that somebody forgot. No statement is worth being
    /// compiled: that takes longer than the longest of them.
    fn bounded(&self) -> PgConnectOptions {
        let millis = |time: Duration| time.as_millis().to_string();
        let times = [("statement_timeout", STATEMENT), ("idle_in_transaction_session_timeout", STATEMENT * 2)];
        self.options.clone().options(times.map(|(name, time)| (name, millis(time)))).options([("jit", "off")])
    }

    /// Those of who writes, by few statements, and finds rows by their keys alone. Each is planned once, for all values: planning them takes
    /// longer than most of what they do. It may be planned while tables have few rows, so no plan is taken that reads all there are.
    fn by_keys(&self) -> PgConnectOptions {
        self.bounded().options([
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
        ])
    }

    fn names(&self, plan: Result<Plan, DbErr>) -> Result<Vec<String>, OpenError> {
        let plan =
            plan.map_err(|error| OpenError::Migration { place: self.to_string(), source: message(&error).into() });
        plan?.into_names(&self.to_string())
    }

    fn unreachable(&self, error: &sqlx::Error) -> OpenError {
        if let Some(source) = distrust(error) {
            return OpenError::Untrusted { place: self.to_string(), source: source.into() };
        }
        let said = error.as_database_error().map(|error| error.message().to_owned());
        OpenError::Unreachable { place: self.to_string(), source: said.unwrap_or_else(|| error.to_string()).into() }
    }
}

impl fmt::Display for PostgresDatabase {
    /// Where it is, without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        match self.options.get_database() {
            Some(database) => write!(f, "the database {database} on {host}:{port}"),
            None => write!(f, "the database on {host}:{port}"),
        }
    }
}

/// Whether it is worth trying again: the server does not listen yet, or says that it is starting.
fn is_starting(error: &sqlx::Error) -> bool {
    const CANNOT_CONNECT_NOW: &str = "57P03";
    match error {
        sqlx::Error::Io(_) => distrust(error).is_none(),
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == CANNOT_CONNECT_NOW),
        _ => false,
    }
}

/// What does not fit, where a connection was not made because of whom the server is.
fn distrust(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Tls(cause) => Some(cause.to_string()),
        sqlx::Error::Io(cause) => Distrust::of(cause).map(|why| why.to_string()),
        _ => None,
    }
}

/// Finds out whether the server takes writes: one that only follows another does not.
pub(super) async fn probe(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, READ_ONLY)).await?;
    let read_only = row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?;
    if read_only == Some(false) {
        Ok(())
    } else {
        Err(DbErr::Conn(RuntimeErr::Internal("the server only reads".to_owned())))
    }
}

const READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::bool";
