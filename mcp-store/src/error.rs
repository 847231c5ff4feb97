//! Why stores cannot be opened.

use mcp_core::store::StoreError;

/// Why the stores cannot be opened. No message shows more of the URL than its scheme or a file's path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL of Redis cannot be used.
    #[error(
        "{problem}: set REDIS_URL to redis://HOST:PORT, such as redis://127.0.0.1:6379, to rediss://HOST:PORT for TLS, or leave it out"
    )]
    Redis {
        /// What is wrong with it.
        problem: String,
    },
    /// The authority that vouches for Redis cannot be read.
    #[error(
        "cannot take the authority of Redis from {path}: {source}; set REDIS_CA to a file with its certificate in PEM"
    )]
    RedisAuthority {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: Cause,
    },
    /// The place for files cannot be used.
    #[error("{problem}: set FILES_URL to file:PATH, such as file:./data/files, to s3://BUCKET/PREFIX, or leave it out")]
    Files {
        /// What is wrong with it.
        problem: String,
    },
    /// The bucket for files cannot be reached, is not there, or does not let us in.
    #[error(
        "cannot use the bucket {bucket}: {source}; see that FILES_URL names it, and that AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of one who may list it"
    )]
    Bucket {
        /// Its name.
        bucket: String,
        /// What the system or the bucket said.
        source: Cause,
    },
    /// The URL names a database of a kind that this version does not know.
    #[error("data is kept in SQLite or PostgreSQL, not in {scheme:?}: {EXPECTED}")]
    Unsupported {
        /// What stands before the colon.
        scheme: String,
    },
    /// The URL cannot be read.
    #[error("{problem}: {EXPECTED}")]
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
    /// The server cannot be reached, or does not let us in.
    #[error(
        "cannot reach {place}: {source}; see that the server runs, and that DATABASE_URL names it, a user and a password"
    )]
    Unreachable {
        /// The database and its server.
        place: String,
        /// What the system or the server said.
        source: Cause,
    },
    /// The server is not known to be the one that the URL names.
    #[error(
        "no TLS with {place}: {source}; see that DATABASE_URL names its host as its certificate does, and its authority by sslrootcert=FILE"
    )]
    Untrusted {
        /// The database and its server.
        place: String,
        /// What does not fit.
        source: Cause,
    },
    /// The server acknowledges what it has not written yet.
    #[error(
        "{place} has synchronous_commit = off, so that a crash would take back what was acknowledged; run `ALTER DATABASE \"{database}\" SET synchronous_commit = on`"
    )]
    Forgetful {
        /// The database and its server.
        place: String,
        /// The name of the database.
        database: String,
    },
    /// It is no database, or its tables are not what this version expects.
    #[error(
        "cannot bring {place} to this version: {source}; name another database in DATABASE_URL, or restore a backup"
    )]
    Migration {
        /// The file, or the database and its server.
        place: String,
        /// What the database said.
        source: Cause,
    },
    /// The tables were changed by another version, and not by all that this one needs: neither is the newer.
    #[error(
        "{place} was changed by another version, which made {migration:?}; start that version, or name another database in DATABASE_URL"
    )]
    Foreign {
        /// The file, or the database and its server.
        place: String,
        /// A migration that this version does not know.
        migration: String,
    },
    /// A key that the house keeps in the database cannot be opened.
    #[error(
        "the key {id} for {purpose} in the database was sealed under the secret key {sealer}, and SECRET_KEYS has only {given}: add the one that is missing, behind the newest"
    )]
    Sealed {
        /// What the key is for.
        purpose: &'static str,
        /// Which key it is.
        id: String,
        /// Which secret key would open it.
        sealer: String,
        /// Which there are.
        given: String,
    },
    /// What callers keep cannot be encrypted anew.
    #[error("what is kept cannot be encrypted anew: {source}")]
    Content {
        /// What is wrong.
        source: Cause,
    },
    /// A key that the house keeps in the database cannot be made or read.
    #[error(
        "cannot use the key for {purpose} in the database: {source}; see that the database takes writes, or restore a backup"
    )]
    Key {
        /// What the key is for.
        purpose: &'static str,
        /// What is wrong.
        source: Cause,
    },
}

impl OpenError {
    pub(crate) fn redis(problem: impl Into<String>) -> Self {
        Self::Redis { problem: problem.into() }
    }
}

/// What a URL looks like.
const EXPECTED: &str =
    "set DATABASE_URL to sqlite:PATH, such as sqlite:./data/mcp.db, or to postgres://USER:PASSWORD@HOST:PORT/DATABASE";

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a store said, and why.
pub(crate) fn reason(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
