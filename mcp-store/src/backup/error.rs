//! Why there is no backup, or no way back.

use crate::error::OpenError;

/// Why a backup cannot be made, believed or restored. Each is told in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something in the folder's place already.
    #[error("{path} is there already: name a folder that is not there yet, such as one with the day in its name")]
    Exists {
        /// The folder.
        path: String,
    },
    /// Another backup is being written into the same folder.
    #[error("another backup is being written into {path}: wait for its end, or name another folder")]
    Busy {
        /// The folder.
        path: String,
    },
    /// A file or a folder cannot be made, read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database did not do what it was asked.
    #[error("cannot {action} {place}: {source}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// On which database.
        place: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One of PostgreSQL's own programs is missing, or failed.
    #[error("{program} {problem}")]
    Program {
        /// Which one.
        program: &'static str,
        /// What is wrong with it, or what it said.
        problem: String,
    },
    /// It is no backup, or not all of it, or it is not as it was written.
    #[error("{path} {problem}: take another backup; from this one nothing was restored")]
    Damaged {
        /// The folder or the file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A newer version wrote it.
    #[error("{path} was written by version {version}, which {problem}: restore it with that version or a newer one")]
    Newer {
        /// The folder.
        path: String,
        /// Which one.
        version: String,
        /// What this version does not know.
        problem: String,
    },
    /// It is of a database of another kind.
    #[error("the backup is of {expected}: name a database of that kind in DATABASE_URL")]
    Kind {
        /// Which kind.
        expected: &'static str,
    },
    /// There is nothing of ours in the database.
    #[error("there is nothing in {place}: name the database of the server in DATABASE_URL")]
    Empty {
        /// The database.
        place: String,
    },
    /// None of the secret keys opens a key that is in the backup.
    #[error(
        "the key for {purpose} in the backup ({id}) was sealed under the secret key {sealer}, and there {given}: set SECRET_KEYS to those of the server that was backed up, on SQLite to what is in its secret.key"
    )]
    Sealed {
        /// What the key is for.
        purpose: String,
        /// Which key it is.
        id: String,
        /// Under which secret key it was sealed.
        sealer: String,
        /// Which secret keys there are.
        given: String,
    },
    /// There is something of ours where it would be restored.
    #[error("{place} is not empty ({found}): name {mend} in DATABASE_URL")]
    NotEmpty {
        /// The database.
        place: String,
        /// What is there.
        found: String,
        /// What to name instead.
        mend: &'static str,
    },
    /// There are bytes of files where those of the backup would be restored.
    #[error(
        "the place for files is not empty (there is {found}): name an empty one in FILES_URL, such as file:./restored/files"
    )]
    FilesNotEmpty {
        /// One that is there.
        found: String,
    },
}

impl BackupError {
    pub(super) fn file(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.display().to_string(), source }
    }

    /// Work that did not come to its end.
    pub(super) fn ended(ended: &tokio::task::JoinError) -> Self {
        Self::File { action: "finish", path: "the work".to_owned(), source: std::io::Error::other(ended.to_string()) }
    }

    pub(super) fn damaged(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.display().to_string(), problem: problem.into() }
    }
}
