//! From a URL to stores.

use std::fmt;
use std::sync::Arc;

use mcp_core::Stores;
use mcp_core::clock::Clock;

use crate::cache::LocalCache;
use crate::ledger::QueuedLedger;
use crate::sql::calls::SqlCalls;
use crate::sql::check::SqliteCheck;
use crate::sql::notes::SqlNotes;
use crate::sql::sqlite::SqliteFile;

/// What to open.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Where the data is: `sqlite:PATH`, such as `sqlite:./data/mcp.db` or `sqlite:///var/lib/mcp.db?mode=rw`.
    pub url: String,
    /// Tells when a note was written and when a cached value is too old.
    pub clock: Arc<dyn Clock>,
    /// How many bytes the cache holds at the most (64 MiB).
    pub cache_bytes: u64,
}

impl StoreConfig {
    /// The stores behind `url`, with a cache of 64 MiB.
    pub fn new(url: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { url: url.into(), clock, cache_bytes: 64 * 1024 * 1024 }
    }
}

impl fmt::Debug for StoreConfig {
    /// Shows of the URL its scheme alone, since the rest may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split(':').next().filter(|scheme| scheme.len() < self.url.len()).unwrap_or_default();
        f.debug_struct("StoreConfig")
            .field("url", &format_args!("{scheme}:…"))
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

/// Opens the stores, makes the file and its folder where they are missing, and brings the tables to this version.
///
/// To be called on the tokio runtime that is to write: it stops writing when that runtime ends. An empty
/// [`commit`](mcp_core::store::ledger::Ledger::commit) waits until all is written.
///
/// # Errors
/// [`OpenError`], in one line that names what is wrong and how to mend it.
pub async fn open(config: &StoreConfig) -> Result<Stores, OpenError> {
    let file = SqliteFile::parse(&config.url)?;
    file.migrate().await?;
    let database = file.connect().await?;
    let calls = SqlCalls::new(database.clone());
    let ledger = Arc::new(QueuedLedger::start(calls.clone()));
    let mut stores = Stores::new(
        ledger.clone(),
        Arc::new(calls),
        Arc::new(SqlNotes::new(database.clone(), config.clock.clone())),
        Arc::new(LocalCache::new(config.clock.clone(), config.cache_bytes)),
    );
    stores.checks.push(Arc::new(SqliteCheck::new(database, ledger.clone())));
    stores.collectors.push(ledger);
    Ok(stores)
}

/// Brings the tables behind `url` to this version, and tells which migrations that took.
///
/// # Errors
/// As [`open`].
pub async fn migrate(url: &str) -> Result<Vec<String>, OpenError> {
    SqliteFile::parse(url)?.migrate().await
}

/// Which migrations [`migrate`] would run. It changes nothing, and makes no file.
///
/// # Errors
/// As [`open`].
pub async fn pending_migrations(url: &str) -> Result<Vec<String>, OpenError> {
    SqliteFile::parse(url)?.pending_migrations().await
}

/// Why the stores cannot be opened. No message shows more of the URL than its scheme or a file's path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names a database of a kind that this version does not know.
    #[error(
        "this version stores in SQLite, not in {scheme:?}: set DATABASE_URL to sqlite:PATH, such as sqlite:./data/mcp.db"
    )]
    Unsupported {
        /// What stands before the colon.
        scheme: String,
    },
    /// The URL cannot be read.
    #[error("{problem}: set DATABASE_URL to sqlite:PATH, such as sqlite:./data/mcp.db")]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// The folder or the file cannot be made, read or written.
    #[error(
        "cannot {action} {path}: {source}; see that the folder may be written to, or name another file in DATABASE_URL"
    )]
    File {
        /// What was tried.
        action: &'static str,
        /// On which folder or file.
        path: String,
        /// What the system or the database said.
        source: Cause,
    },
    /// The file is no database, or its tables are not what this version expects.
    #[error("cannot bring {path} to this version: {source}; name another file in DATABASE_URL, or restore a backup")]
    Migration {
        /// The file.
        path: String,
        /// What the database said.
        source: Cause,
    },
    /// A newer version has changed the tables.
    #[error(
        "{path} was written by a newer version, which made {migration:?}; start that version, or name another file in DATABASE_URL"
    )]
    Newer {
        /// The file.
        path: String,
        /// A migration that this version does not know.
        migration: String,
    },
}

type Cause = Box<dyn std::error::Error + Send + Sync>;
