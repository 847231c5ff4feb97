//! The bytes of files and of large records, beside the copy of the database that refers to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{Blobs, REMOVAL};
use mcp_core::store::leases::{Lease, Leases};
use sea_orm::{ConnectionTrait, DbErr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::contents::{Contents, query};
use super::error::BackupError;
use super::manifest::FileSum;
use crate::StoreConfig;
use crate::error::{OpenError, reason};
use crate::progress::{Progress, Unit};
use crate::sql::leases::SqlLeases;

/// The folder in a backup in which they are, each under its name.
pub(super) const FOLDER: &str = "blobs";
/// For how long nobody removes one, unless that is renewed.
const LEASE: Duration = Duration::from_secs(10 * 60);
/// How often to ask for the right, while a replica removes what nothing refers to.
const AGAIN: Duration = Duration::from_millis(200);
const TRIES: usize = 600;
/// How many bytes are written at once.
const PIECE: usize = 256 * 1024;

/// Sees to it that no blob is removed, from before the database is copied until all of them are.
pub(super) struct Kept {
    blobs: Arc<dyn Blobs>,
    leases: SqlLeases,
    lease: Lease,
}

impl Kept {
    /// Nothing, where there is no place for files.
    pub(super) async fn begin(config: &StoreConfig) -> Result<Option<Self>, BackupError> {
        let Some(place) = config.place_of_files()? else { return Ok(None) };
        let blobs = place.open(&config.aws).await?.blobs;
        let leases = SqlLeases::new(config.connect().await?, config.clock.clone());
        for _ in 0..TRIES {
            if let Some(lease) = leases.acquire(REMOVAL, LEASE).await.map_err(failed("hold back removals in"))? {
                return Ok(Some(Self { blobs, leases, lease }));
            }
            tokio::time::sleep(AGAIN).await;
        }
        let busy = StoreError::Unavailable { store: "lease of blobs", source: None };
        Err(failed("hold back removals in")(busy))
    }

    /// Copies all blobs into the backup: those to which the copy of the database refers were there before it.
    pub(super) async fn copy(self, folder: &Path, progress: &Progress) -> Result<(), BackupError> {
        progress.starts("copying files", Unit::Bytes, None);
        let copied = self.copy_all(&folder.join(FOLDER), progress).await;
        // It ends by itself, where it cannot be given back.
        let _ = self.leases.release(self.lease).await;
        copied
    }

    async fn copy_all(&self, folder: &Path, progress: &Progress) -> Result<(), BackupError> {
        let failed_at = |error| BackupError::file("write", folder, error);
        tokio::fs::create_dir(folder).await.map_err(failed_at)?;
        let mut renewed = tokio::time::Instant::now();
        let mut all = self.blobs.list();
        while let Some(blob) = all.try_next().await.map_err(failed("list"))? {
            if renewed.elapsed() > LEASE / 4 {
                renewed = tokio::time::Instant::now();
                if !self.leases.renew(&self.lease, LEASE).await.map_err(failed("hold back removals in"))? {
                    let lost = StoreError::Conflict { store: "lease of blobs" };
                    return Err(failed("hold back removals in")(lost));
                }
            }
            let Some(mut bytes) = self.blobs.get(&blob.name, None).await.map_err(failed("read"))? else { continue };
            let mut file = tokio::fs::File::create_new(folder.join(&blob.name)).await.map_err(failed_at)?;
            while let Some(piece) = bytes.try_next().await.map_err(failed("read"))? {
                file.write_all(&piece).await.map_err(failed_at)?;
                progress.add(piece.len() as u64);
            }
            file.flush().await.map_err(failed_at)?;
        }
        Ok(())
    }
}

/// Refuses a place for files in which there are others than those of the backup; nothing is needed where the backup has none.
pub(super) async fn check_empty(config: &StoreConfig, files: &[FileSum]) -> Result<(), BackupError> {
    let expected = of(files);
    let Some(place) = config.place_of_files()? else {
        return if expected.is_empty() { Ok(()) } else { Err(nowhere().into()) };
    };
    let mut all = place.open(&config.aws).await?.blobs.list();
    while let Some(blob) = all.try_next().await.map_err(failed("list"))? {
        // An earlier try may have come so far.
        if expected.get(&*blob.name) != Some(&blob.size) {
            return Err(BackupError::FilesNotEmpty { found: blob.name });
        }
    }
    Ok(())
}

/// Puts the blobs of a backup into the place for files.
pub(super) async fn restore(config: &StoreConfig, folder: &Path, files: &[FileSum]) -> Result<(), BackupError> {
    let Some(place) = config.place_of_files()? else { return Ok(()) };
    let blobs = place.open(&config.aws).await?.blobs;
    let files = of(files);
    config.progress.starts("restoring files", Unit::Bytes, Some(files.values().sum()));
    for (name, size) in files {
        let path = folder.join(FOLDER).join(name);
        let file = tokio::fs::File::open(&path).await.map_err(|error| BackupError::file("read", &path, error))?;
        let pieces = stream::try_unfold(file, async |mut file| {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await;
            let read =
                read.map_err(|error| StoreError::Unavailable { store: "backup", source: Some(Arc::new(error)) })?;
            Ok((read > 0).then(|| (piece.into(), file)))
        });
        blobs.put(name, pieces.boxed()).await.map_err(failed("write"))?;
        config.progress.add(size);
    }
    Ok(())
}

/// In which way the blobs of a backup are not those to which its copy of the database refers, if they are not.
pub(super) async fn difference(
    connection: &impl ConnectionTrait,
    contents: &Contents,
    files: &[FileSum],
) -> Result<Option<String>, DbErr> {
    if contents.tables.get("mcp_contents").is_none_or(|rows| *rows == 0) {
        return Ok(None);
    }
    let there = of(files);
    for row in query(connection, "SELECT blob, size FROM mcp_contents").await? {
        let (blob, size): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if there.get(&*blob).copied() != u64::try_from(size).ok() {
            return Ok(Some(format!("refers to a blob that is not in the backup ({blob})")));
        }
    }
    Ok(None)
}

/// The blobs among the files of a backup, and their sizes.
fn of(files: &[FileSum]) -> BTreeMap<&str, u64> {
    let parts = files.iter().filter_map(|file| Some((file.path.split_once('/')?, file.bytes)));
    parts.filter(|((folder, _), _)| *folder == FOLDER).map(|((_, name), bytes)| (name, bytes)).collect()
}

/// What is said where there are files and no place for them.
pub(super) fn nowhere() -> OpenError {
    OpenError::Files { problem: "there are blobs, and it names no place for them".to_owned() }
}

fn failed(action: &'static str) -> impl Fn(StoreError) -> BackupError {
    move |error| BackupError::Database {
        action,
        place: "the place for files".to_owned(),
        source: reason(&error).into(),
    }
}
