//! Opaque bytes that are too many for a row.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::StoreError;
use super::sessions::fill;
use crate::clock::Timestamp;

/// Keeps bytes under names that the house makes, each used once: what is under a name never changes. It concerns no caller: who may
/// have which bytes is kept elsewhere, and whatever nothing refers to any more is removed by whoever holds the lease [`REMOVAL`].
///
/// # Promises
/// - **a put blob is got**: to the last byte, from the moment at which it was put, and after a power cut.
/// - **a range is got alone**: as much of it as there is.
/// - **a blob that is cut off is not there**: whether its stream ends by an error or nobody waits for it any more.
/// - **a deleted blob is gone**: and may be deleted again.
/// - **a list shows every blob**: with its size, and when it was put.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps what comes under `name`, which was never used before (see [`new_name`]), and tells how many bytes that were.
    ///
    /// Not cancel safe: a dropped future has put nothing, or all of it.
    ///
    /// # Errors
    /// That of the stream. [`StoreError::Unavailable`]: it may have been put, and nobody knows of it.
    async fn put(&self, name: &str, bytes: ByteStream) -> Result<u64, StoreError>;

    /// What is under `name`, or the bytes of it that are in `range`. Who has begun to read reads to the end, also when it is deleted
    /// meanwhile.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], here and in the stream.
    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError>;

    /// Removes what is under `name`, if anything is.
    ///
    /// Not cancel safe: a dropped future may or may not have deleted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been deleted.
    async fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// All blobs, in no order. What is put or deleted meanwhile may be among them or not.
    ///
    /// Cancel safe: it only reads.
    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>>;
}

/// Pieces of bytes, as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// Whoever holds the [lease](super::leases) of this name is the only one who removes blobs: one replica, which looks for those that
/// nothing refers to, or a backup, which removes none and so finds all that its copy of the database refers to.
pub const REMOVAL: &str = "blobs";

/// A blob, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was put, by the clock of where it is kept.
    pub put: Timestamp,
}

/// A name that was never there before: 128 bits of the system's randomness, as 32 lower-case digits and letters up to `f`.
///
/// # Errors
/// [`StoreError::Unavailable`] where the system has no randomness.
pub fn new_name() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
