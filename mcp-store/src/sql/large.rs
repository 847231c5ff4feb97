//! Records that are too large for their rows.
//!
//! A record is written into its row, whatever its size: so it is with its link, and with what else it is committed with, and needs no
//! store of blobs. The [`Mover`] takes the bytes of those that are large to blobs later. From then on the row names its blob, and is
//! of another format, which a version that knows nothing of blobs refuses to read. `mcp_contents` names it as well, as it does those
//! of files: then it is not swept, and is in backups, by such a version too.

mod mover;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use mcp_core::store::StoreError;
use mcp_core::store::blobs::Blobs;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::Database;
use super::content::{Content, Place};
use crate::blobs::is_name;
use crate::ledger::ROOM;
pub(crate) use mover::Mover;
pub(super) use mover::lease_is_held;

/// A row whose bytes may be in a blob.
pub(crate) trait Large: Send + Sync {
    /// The name of the blob, where it has the bytes: then the row is told that it has them itself, since it is about to be given them.
    fn take_blob(&mut self) -> Option<String>;

    /// The bytes, in the order in which they are in a blob.
    fn fields(&mut self) -> Vec<&mut Vec<u8>>;

    /// Where one of them belongs, by its place among them.
    fn place(&self, field: usize) -> Place;
}

/// Where the bytes of large records are read, and what opens those that were sealed.
#[derive(Clone, Default)]
pub(crate) struct LargeBytes {
    blobs: Option<Arc<dyn Blobs>>,
    content: Content,
}

/// How many are read at once: each may take as long as the way to a bucket.
const TOGETHER: usize = 8;
/// How many bytes a blob may have: as many as are committed at once, and the lengths of the fields.
const MOST: usize = ROOM + 1024;

impl LargeBytes {
    /// Those in `blobs`.
    pub(crate) fn new(blobs: Option<Arc<dyn Blobs>>) -> Self {
        Self { blobs, content: Content::default() }
    }

    /// The same, which opens what `content` has sealed.
    pub(crate) fn opening(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// What opens what is sealed.
    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// A row with all of its bytes, as they came.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the blob is missing, or has others, or what is sealed cannot be opened;
    /// [`StoreError::Unavailable`] where it cannot be read.
    pub(crate) async fn fill<R: Large>(&self, mut row: R) -> Result<R, StoreError> {
        if let Some(name) = row.take_blob() {
            let bytes = self.read(&name).await?;
            let fields = row.fields();
            let parts = split(&bytes, fields.len()).ok_or_else(|| refused(Problem::Altered(name)))?;
            for (field, part) in fields.into_iter().zip(parts) {
                *field = part.to_vec();
            }
        }
        if !row.fields().iter().any(|field| Content::is_marked(field)) {
            return Ok(row);
        }
        let stored: Vec<Vec<u8>> = row.fields().into_iter().map(std::mem::take).collect();
        for (at, stored) in stored.into_iter().enumerate() {
            let opened = self.content.open(|| row.place(at), stored).await?;
            if let Some(field) = row.fields().into_iter().nth(at) {
                *field = opened;
            }
        }
        Ok(row)
    }

    /// Rows with all of their bytes, in their order.
    pub(crate) async fn fill_all<R: Large>(&self, rows: Vec<R>) -> Result<Vec<R>, StoreError> {
        let filled = rows.into_iter().map(|row| self.fill(row));
        stream::iter(filled).buffered(TOGETHER).try_collect().await
    }

    pub(super) async fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let Some(blobs) = &self.blobs else {
            return Err(StoreError::Unavailable { store: STORE, source: Some(Arc::new(Problem::Nowhere)) });
        };
        let altered = || refused(Problem::Altered(name.to_owned()));
        // What stands in a row is no path.
        if !is_name(name) {
            return Err(altered());
        }
        let pieces = blobs.get(name, None).await?;
        let mut pieces = pieces.ok_or_else(|| refused(Problem::Missing(name.to_owned())))?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            if bytes.len() + piece.len() > MOST {
                return Err(altered());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// Whether any record is in a blob.
pub(crate) async fn is_used(database: &Database) -> Result<bool, DbErr> {
    let any = "SELECT 1 FROM mcp_contents WHERE record IS NOT NULL LIMIT 1";
    let any = database.readers().query_one_raw(Statement::from_string(database.backend(), any)).await?;
    Ok(any.is_some())
}

const STORE: &str = "blobs of large records";

/// Why a row cannot be filled.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the blob {0} of a record is missing: restore it from a backup")]
    Missing(String),
    #[error("the blob {0} is not what was put there: restore it from a backup")]
    Altered(String),
    #[error("the bytes of a record are in a blob, and FILES_URL names no place for blobs")]
    Nowhere,
}

fn refused(problem: Problem) -> StoreError {
    StoreError::Refused { store: STORE, source: Some(Arc::new(problem)) }
}

/// The fields of a row as one blob: each behind its length.
pub(super) fn joined(fields: &[&mut Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(fields.iter().map(|field| size_of::<u64>() + field.len()).sum());
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The fields that were joined, if there are so many and nothing else.
pub(super) fn split(mut bytes: &[u8], count: usize) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, rest) = bytes.split_first_chunk()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        fields.push(field);
        bytes = rest;
    }
    bytes.is_empty().then_some(fields)
}
