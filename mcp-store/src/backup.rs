//! A copy of everything, taken while the server serves, and the way back.
//!
//! A backup is a folder: the database as it was at one moment, the blobs to which it refers, and a [`Manifest`] that says what there must be. It is written beside
//! its place under a name that ends in `.partial`, and renamed when all of it is on disk: a folder that bears its own name is whole.

mod blobs;
mod contents;
mod copied;
mod error;
mod folder;
mod manifest;
mod postgres;
mod program;
mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DbErr};

pub use contents::Contents;
pub use error::BackupError;
pub use manifest::{FileSum, Manifest, Source};

use crate::StoreConfig;
use crate::open::{Location, audit_of, migrate};
use crate::progress::Unit;
use crate::sql::keys::{Purpose, sealer_ids};
use blobs::{Kept, nowhere};
use copied::Copied;
use folder::{Draft, Whole};

/// Copies the database behind `config` into `folder`, which must not be there yet. The server may go on serving: what is copied is the
/// database at one moment, and nobody waits for it.
///
/// What an earlier backup into the same folder left, because it did not come to its end, is removed.
///
/// # Errors
/// [`BackupError`], in one line that names what is wrong and how to mend it.
pub async fn backup(config: &StoreConfig, folder: &Path) -> Result<Manifest, BackupError> {
    let draft = Draft::begin(folder)?;
    let source = source(&config.location);
    let progress = &config.progress;
    progress.starts("waiting for who removes files", Unit::Bytes, None);
    let blobs = Kept::begin(config).await?;
    let made = config.clock.now();
    let copy = draft.path(source.file());
    let contents = match &config.location {
        Location::Sqlite(file) => {
            // Without what is free in it the copy is a little smaller.
            progress.starts("copying the database", Unit::Bytes, file.path().metadata().map(|file| file.len()).ok());
            progress.growing(&copy, sqlite::copy(file, &copy)).await?
        }
        Location::Postgres(database) => {
            progress.starts("copying the database", Unit::Bytes, None);
            progress.growing(&copy, postgres::copy(database, &copy)).await?
        }
    };
    match blobs {
        Some(blobs) => blobs.copy(draft.partial(), progress).await?,
        None if contents.tables.get("mcp_contents").is_some_and(|rows| *rows > 0) => return Err(nowhere().into()),
        None => {}
    }
    draft.finish(progress.clone(), move |files| Manifest::new(made, source, contents, files)).await
}

/// Makes the database behind `config`, in which there is nothing of ours yet, what it was in the backup. All of the backup is checked
/// before anything is written, and whether the secret keys open what is in it; and then all of it is written, or nothing.
///
/// # Errors
/// As [`backup`].
pub async fn restore(config: &StoreConfig, folder: &Path) -> Result<Manifest, BackupError> {
    let whole = open(config, folder).await?;
    match &config.location {
        Location::Sqlite(file) => sqlite::check_empty(file)?,
        Location::Postgres(database) => postgres::check_empty(database).await?,
    }
    blobs::check_empty(config, &whole.manifest.files).await?;
    blobs::restore(config, folder, &whole.manifest.files).await?;
    put(config, &whole.database(), &whole.manifest.contents).await?;
    // Whoever did the house's work when the copy was made, such as that backup itself, does it no more.
    let database = config.connect().await?;
    let freed = database.writer().execute_unprepared("UPDATE mcp_leases SET until = 0").await;
    freed.map_err(|error| BackupError::Database {
        action: "free the leases in",
        place: "the restored database".to_owned(),
        source: error.to_string().into(),
    })?;
    Ok(whole.manifest)
}

/// Checks the backup in `folder`, and restores it for a trial: into a file beside it, or a database of its own on the same server.
///
/// # Errors
/// As [`backup`]; [`BackupError::Damaged`] where something else comes out than there was.
pub async fn verify(config: &StoreConfig, folder: &Path) -> Result<Manifest, BackupError> {
    let whole = open(config, folder).await?;
    let (manifest, copy, config) = (whole.manifest.clone(), whole.database(), config.clone());
    match config.location.clone() {
        Location::Sqlite(_) => {
            let at = move |file| StoreConfig { location: Location::Sqlite(file), ..config };
            sqlite::with_scratch(folder, |file| try_out(at(file), copy, whole.manifest).boxed()).await?;
        }
        Location::Postgres(database) => {
            let at = move |there| StoreConfig { location: Location::Postgres(Box::new(there)), ..config };
            postgres::with_scratch(&database, |there| try_out(at(there), copy, whole.manifest).boxed()).await?;
        }
    }
    Ok(manifest)
}

/// The backup in a folder, if it is whole and can be used by whoever has this configuration.
async fn open(config: &StoreConfig, folder: &Path) -> Result<Whole, BackupError> {
    let whole = Whole::open(folder, config.progress.clone()).await?;
    whole.manifest.check_source(source(&config.location))?;
    whole.manifest.check_keys(&sealer_ids(&config.secret_keys))?;
    Ok(whole)
}

/// Puts a copy into an empty place.
async fn put(place: &StoreConfig, copy: &Path, contents: &Contents) -> Result<(), BackupError> {
    const NAME: &str = "restoring the database";
    match &place.location {
        Location::Sqlite(file) => {
            place.progress.starts(NAME, Unit::Bytes, copy.metadata().map(|copy| copy.len()).ok());
            place.progress.growing(&sqlite::partial(file), sqlite::restore(file, copy)).await
        }
        Location::Postgres(database) => {
            // It says nothing of how far it is.
            place.progress.starts(NAME, Unit::Bytes, None);
            postgres::restore(database, copy, contents).await
        }
    }
}

/// Puts a copy into an empty place, and compares what is there with what there was. The audit chains are proven there.
async fn try_out(scratch: StoreConfig, copy: PathBuf, manifest: Manifest) -> Result<(), BackupError> {
    put(&scratch, &copy, &manifest.contents).await?;
    scratch.progress.starts("comparing what came back", Unit::Bytes, None);
    let found = match &scratch.location {
        Location::Sqlite(file) => sqlite::contents(file).await?,
        Location::Postgres(database) => postgres::contents(database).await?,
    };
    if let Some(problem) = manifest.contents.difference(&found) {
        return Err(BackupError::damaged(&copy, problem));
    }
    let failed = |error: DbErr| BackupError::Database {
        action: "read",
        place: copy.display().to_string(),
        source: error.to_string().into(),
    };
    let database = scratch.connect().await?;
    if let Some(problem) = blobs::difference(database.readers(), &found, &manifest.files).await.map_err(failed)? {
        return Err(BackupError::damaged(&copy, problem));
    }
    if !manifest.contents.keys.iter().any(|key| key.purpose == Purpose::Audit.as_str()) {
        return Ok(());
    }
    // Where an older version wrote it, its tables lack what this one verifies.
    migrate(&scratch).await?;
    let copied = Copied::beside(&copy);
    let verified = audit_of(&scratch, database, Some(Arc::new(copied))).await?.0.verify().await.map_err(|error| {
        BackupError::Database {
            action: "verify the audit chains in",
            place: copy.display().to_string(),
            source: error.into(),
        }
    })?;
    match verified.findings.first() {
        None => Ok(()),
        Some(finding) => Err(BackupError::damaged(&copy, format!("has audit chains that are not whole ({finding})"))),
    }
}

fn source(location: &Location) -> Source {
    match location {
        Location::Sqlite(_) => Source::Sqlite,
        Location::Postgres(_) => Source::Postgres,
    }
}
