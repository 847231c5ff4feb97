//! SQLite in a file: one connection that writes, and a few that read.

pub(super) mod rows;
pub(crate) mod writer;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr};
use sea_orm_migration::SchemaManager;

use super::Database;
use super::error::message;
use super::migration::{self, Plan};
use super::pool::Pool;
use super::repeating::Repeating;
use crate::error::OpenError;
use crate::progress::Progress;

/// A file that is, or will be, a database.
#[derive(Clone)]
pub(crate) struct SqliteFile {
    path: PathBuf,
    create: bool,
}

const READERS: u32 = 4;
/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for one of our own connections.
const ACQUIRE: Duration = Duration::from_secs(3);

impl SqliteFile {
    /// Reads a URL: `sqlite:PATH` or `sqlite://PATH`, with `?mode=rw` where the file must be there and `?mode=rwc`, or
    /// nothing, where it may be made.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |problem: &str| OpenError::Url { problem: problem.to_owned() };
        let (_, rest) = url.split_once(':').unwrap_or_default();
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let create = match query {
            None | Some("" | "mode=rwc") => true,
            Some("mode=rw") => false,
            Some("mode=ro") => return Err(bad("a database that may only be read (mode=ro) keeps no records")),
            Some("mode=memory") => return Err(bad("a database in memory (mode=memory) keeps nothing")),
            Some(_) => return Err(bad("after the path, only ?mode=rw and ?mode=rwc are known")),
        };
        // The parser of the driver knows how a path is written in a URL.
        let parsed: SqliteConnectOptions =
            format!("sqlite:{path}").parse().map_err(|_| bad("the database's path cannot be read"))?;
        let path = parsed.get_filename().to_path_buf();
        match path.to_str() {
            _ if rest.trim_start_matches('/').starts_with(":memory:") => {
                Err(bad("a database in memory (:memory:) keeps nothing"))
            }
            None | Some("") => Err(bad("the database's URL has no path")),
            Some(_) => Ok(Self { path, create }),
        }
    }

    /// A database that is there.
    pub(crate) fn existing(path: &Path) -> Self {
        Self { path: path.to_owned(), create: false }
    }

    /// The folder in which it is.
    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Brings the tables to this version, in one transaction, so that of two processes that start at once one waits. Tells which
    /// migrations that took.
    pub(crate) async fn migrate(&self, progress: &Progress) -> Result<Vec<String>, OpenError> {
        self.make()?;
        // A connection of its own, closed again: migrations begin transactions as they like.
        let writer = self.writer().await?;
        let database = Database::new(writer.clone(), writer.clone()).patient();
        let progress = progress.clone();
        let migrated = database
            .transaction(|transaction| async move { migration::run(transaction, &progress).await }.boxed())
            .await;
        // What was migrated is committed; that the connection does not close well changes nothing.
        let _ = writer.pool.current().close().await;
        self.names(migrated)
    }

    /// Which migrations [`SqliteFile::migrate`] would run.
    pub(crate) async fn pending_migrations(&self) -> Result<Vec<String>, OpenError> {
        if !self.is_there()? {
            return Ok(migration::all());
        }
        let reader = self.reader(1).await?;
        let plan = migration::plan(&SchemaManager::new(&reader.pool.current())).await;
        let _ = reader.pool.current().close().await;
        self.names(plan)
    }

    fn names(&self, plan: Result<Plan, DbErr>) -> Result<Vec<String>, OpenError> {
        plan.map_err(|error| self.migration_error(&error))?.into_names(&self.to_string())
    }

    /// Connects, once the tables are there.
    pub(crate) async fn connect(&self) -> Result<Database, OpenError> {
        Ok(Database::new(self.writer().await?, self.reader(READERS).await?))
    }

    /// SQLite lets one connection write at a time: with one, they queue up here and not inside of the database.
    async fn writer(&self) -> Result<Repeating, OpenError> {
        self.open(1, |options| {
            options
                .journal_mode(SqliteJournalMode::Wal)
                // Under NORMAL, a power cut takes back what was acknowledged.
                .synchronous(SqliteSynchronous::Full)
                // All of `Rows` that a writer may use, and what else is written.
                .statement_cache_capacity(256)
        })
        .await
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// One connection that reads, and may take as long as it takes.
    pub(crate) async fn alone(&self) -> Result<DatabaseConnection, OpenError> {
        Ok(self.reader(1).await?.pool.current())
    }

    async fn reader(&self, connections: u32) -> Result<Repeating, OpenError> {
        self.open(connections, |options| options.read_only(true)).await
    }

    async fn open(
        &self,
        connections: u32,
        set: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
    ) -> Result<Repeating, OpenError> {
        let path = self.path.clone();
        let mut options = ConnectOptions::new("sqlite:");
        options
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .sqlx_logging(false)
            .map_sqlx_sqlite_opts(move |options| set(options.filename(&path).foreign_keys(true).busy_timeout(BUSY)));
        let connected = sea_orm::Database::connect(options).await;
        let connection = connected.map_err(|error| self.error("open", &self.path, message(&error)))?;
        Ok(Repeating::new(Pool::new(connections, connection)))
    }

    /// Makes the folder and the file where they are missing. What callers send is nobody else's business, so both are their
    /// owner's alone.
    fn make(&self) -> Result<(), OpenError> {
        // To close a file gives up every lock that this process has on it, those of SQLite as well
        // (<https://sqlite.org/howtocorrupt.html>). So only a file that is new is opened here, and none of us uses it meanwhile.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_there()? {
            return Ok(());
        }
        if !self.create {
            return Err(self.error("open", &self.path, "there is no such file, and mode=rw makes none"));
        }
        let mut file = OpenOptions::new();
        file.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        let folder = above(&self.path);
        make_folder(folder).map_err(|error| self.error("make the folder", folder, error))?;
        match file.open(&self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(self.error("make", &self.path, error)),
            _ => keep_names(folder).map_err(|error| self.error("make", &self.path, error)),
        }
    }

    fn is_there(&self) -> Result<bool, OpenError> {
        match self.path.metadata() {
            Ok(found) if found.is_file() => Ok(true),
            Ok(_) => Err(self.error("open", &self.path, "it is no file")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.error("open", &self.path, error)),
        }
    }

    fn error(
        &self,
        action: &'static str,
        path: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> OpenError {
        OpenError::File { action, path: path.display().to_string(), source: source.into() }
    }

    fn migration_error(&self, error: &DbErr) -> OpenError {
        OpenError::Migration { place: self.to_string(), source: message(error).into() }
    }
}

/// Makes a folder and those above it where they are missing, its owner's alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make_folder(above(folder))?;
    let mut private = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
    match private.create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => keep_names(above(folder)),
    }
}

/// Makes the names in a folder outlive a power cut: what is synced of a file is lost with its name.
fn keep_names(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The folder in which it is.
fn above(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl fmt::Display for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.path.display(), f)
    }
}
