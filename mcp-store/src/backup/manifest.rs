//! What is in a backup.

use std::path::{Component, Path};

use mcp_core::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::error::BackupError;
use crate::sql::keys::KeyId;
use crate::sql::migration;

/// What there must be in a backup, and what it takes to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// How the folder is to be read. This version writes 1, and reads no other.
    pub format: u32,
    /// The version of the program that wrote it.
    pub version: String,
    /// When it was begun.
    pub made: Timestamp,
    /// Of which kind the database is.
    pub source: Source,
    /// What is in the database.
    #[serde(flatten)]
    pub contents: Contents,
    /// The files, the manifest aside.
    pub files: Vec<FileSum>,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// A file of SQLite.
    Sqlite,
    /// A dump of PostgreSQL, in the custom format of `pg_dump`.
    Postgres,
}

/// A file, and how to tell that it is as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileSum {
    /// Its place in the folder, with slashes.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-256, as hexadecimal digits.
    pub sha256: String,
}

/// How the folders are laid out that this version writes, and the only way that it reads.
pub(super) const FORMAT: u32 = 1;
/// The name of the manifest's file.
pub(super) const FILE: &str = "manifest.json";

impl Manifest {
    pub(super) fn new(made: Timestamp, source: Source, contents: Contents, files: Vec<FileSum>) -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), made, source, contents, files }
    }

    /// Reads the manifest of the backup in `folder`, and refuses what this version would not understand.
    pub(super) fn decode(folder: &Path, text: &[u8]) -> Result<Self, BackupError> {
        /// As much as all formats have.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            version: String,
        }
        let file = folder.join(FILE);
        let bad = |error: serde_json::Error| BackupError::damaged(&file, format!("cannot be read ({error})"));
        let head: Head = serde_json::from_slice(text).map_err(bad)?;
        let newer = |problem| BackupError::Newer { path: folder.display().to_string(), version: head.version, problem };
        if head.format != FORMAT {
            return Err(newer(format!("writes format {}, where this version reads {FORMAT}", head.format)));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(bad)?;
        let known = migration::all();
        if let Some(unknown) = manifest.contents.migrations.iter().find(|name| !known.contains(name)) {
            return Err(newer(format!("has run the migration {unknown:?}")));
        }
        let inside =
            |file: &FileSum| Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if let Some(outside) = manifest.files.iter().find(|file| !inside(file)) {
            return Err(BackupError::damaged(
                &file,
                format!("names a file outside of the folder ({:?})", outside.path),
            ));
        }
        if !manifest.files.iter().any(|file| file.path == manifest.source.file()) {
            return Err(BackupError::damaged(&file, "names no copy of the database"));
        }
        Ok(manifest)
    }

    /// Refuses a database of another kind.
    pub(super) fn check_source(&self, source: Source) -> Result<(), BackupError> {
        if self.source == source { Ok(()) } else { Err(BackupError::Kind { expected: self.source.name() }) }
    }

    /// Refuses a backup with keys that none of the secret keys of these names opens.
    pub(super) fn check_keys(&self, sealers: &[String]) -> Result<(), BackupError> {
        match self.contents.keys.iter().find(|key| !sealers.contains(&key.sealer)) {
            None => Ok(()),
            Some(KeyId { purpose, id, sealer }) => Err(BackupError::Sealed {
                purpose: purpose.clone(),
                id: id.clone(),
                sealer: sealer.clone(),
                given: if sealers.is_empty() { "is none".to_owned() } else { format!("is {}", sealers.join(", ")) },
            }),
        }
    }
}

impl Source {
    /// The name of the database's copy in the folder.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Sqlite => "database.sqlite",
            Self::Postgres => "database.dump",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}
