//! Blobs in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};

use super::lock;
use crate::clock::{Clock, Timestamp};
use crate::store::StoreError;
use crate::store::blobs::{BlobInfo, Blobs, ByteStream};

/// [`Blobs`] in memory, of [`MemoryBlobs::BYTES`] together. What was put is not forgotten to make room: when it is full it takes no
/// more.
pub struct MemoryBlobs {
    clock: Arc<dyn Clock>,
    by_name: Mutex<BTreeMap<String, (Bytes, Timestamp)>>,
}

impl MemoryBlobs {
    /// How many bytes it holds at the most.
    pub const BYTES: usize = 64 * 1024 * 1024;

    /// What a blob takes beside its bytes.
    const OVERHEAD: usize = 256;

    /// No blobs yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, by_name: Mutex::default() }
    }

    /// As much of a stream as there could be room for.
    async fn collect(mut bytes: ByteStream) -> Result<Bytes, StoreError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = bytes.try_next().await? {
            if whole.len() + piece.len() > Self::BYTES {
                return Err(full());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

fn full() -> StoreError {
    StoreError::Unavailable { store: "store of blobs", source: None }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, name: &str, bytes: ByteStream) -> Result<u64, StoreError> {
        let bytes = Self::collect(bytes).await?;
        let mut by_name = lock(&self.by_name);
        let held: usize = by_name.values().map(|(bytes, _)| bytes.len() + Self::OVERHEAD).sum();
        if held + bytes.len() + Self::OVERHEAD > Self::BYTES {
            return Err(full());
        }
        let size = bytes.len() as u64;
        by_name.insert(name.to_owned(), (bytes, self.clock.now()));
        Ok(size)
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError> {
        let bytes = lock(&self.by_name).get(name).map(|(bytes, _)| bytes.clone());
        Ok(bytes.map(|bytes| once(range.map_or(bytes.clone(), |range| part(&bytes, range)))))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        lock(&self.by_name).remove(name);
        Ok(())
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>> {
        let info = |(name, (bytes, put)): (&String, &(Bytes, Timestamp))| {
            Ok(BlobInfo { name: name.clone(), size: bytes.len() as u64, put: *put })
        };
        let all: Vec<_> = lock(&self.by_name).iter().map(info).collect();
        stream::iter(all).boxed()
    }
}

/// All bytes at once.
pub(super) fn once(bytes: Bytes) -> ByteStream {
    stream::once(future::ready(Ok(bytes))).boxed()
}

/// The bytes of a range, as far as they are there.
pub(super) fn part(bytes: &Bytes, range: Range<u64>) -> Bytes {
    let place = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (place(range.start), place(range.end));
    bytes.slice(start..end.max(start))
}
