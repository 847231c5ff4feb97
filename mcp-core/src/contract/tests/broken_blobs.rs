//! Blobs that break their promises.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};

use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::MemoryBlobs;
use crate::store::blobs::{BlobInfo, Blobs, ByteStream};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    LosesTheLastPiece,
    CountsPieces,
    IgnoresRanges,
    IncludesTheEnd,
    HidesWhatEndsTooSoon,
    KeepsWhatBroke,
    KeepsWhatWasLeft,
    KeepsWhatIsDeleted,
    DeletesOnce,
    DeletesAll,
    HidesTheEmpty,
    KnowsNoSizes,
    KnowsNoTimes,
    ListsAFew,
}

/// Blobs in memory; sound, but for the flaw.
struct Broken {
    flaw: Flaw,
    sound: MemoryBlobs,
    deleted: AtomicUsize,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let sound = MemoryBlobs::new(Arc::new(clock.clone()));
    stores.blobs = Some(Arc::new(Broken { flaw, sound, deleted: AtomicUsize::new(0) }));
    Fresh::new(stores, clock)
}

#[async_trait]
impl Blobs for Broken {
    async fn put(&self, name: &str, mut bytes: ByteStream) -> Result<u64, StoreError> {
        match self.flaw {
            Flaw::LosesTheLastPiece => {
                let mut pieces: Vec<Bytes> = bytes.try_collect().await?;
                let size = pieces.concat().len() as u64;
                pieces.pop();
                self.sound.put(name, stream::iter(pieces).map(Ok).boxed()).await?;
                Ok(size)
            }
            Flaw::CountsPieces => {
                let pieces: Vec<Bytes> = bytes.try_collect().await?;
                let count = pieces.len() as u64;
                self.sound.put(name, stream::iter(pieces).map(Ok).boxed()).await?;
                Ok(count)
            }
            Flaw::KeepsWhatBroke | Flaw::KeepsWhatWasLeft => {
                let mut whole = Vec::new();
                let keep = async |whole: &[u8]| {
                    let bytes = Bytes::copy_from_slice(whole);
                    self.sound.put(name, stream::once(future::ready(Ok(bytes))).boxed()).await
                };
                loop {
                    match bytes.next().await {
                        Some(Ok(piece)) => whole.extend_from_slice(&piece),
                        None => return keep(&whole).await,
                        Some(Err(error)) => {
                            if self.flaw == Flaw::KeepsWhatBroke {
                                keep(&whole).await?;
                            }
                            return Err(error);
                        }
                    }
                    if self.flaw == Flaw::KeepsWhatWasLeft {
                        keep(&whole).await?;
                    }
                }
            }
            _ => self.sound.put(name, bytes).await,
        }
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError> {
        let range = match self.flaw {
            Flaw::IgnoresRanges => None,
            Flaw::IncludesTheEnd => range.map(|range| range.start..range.end.saturating_add(1)),
            _ => range,
        };
        let found = self.sound.get(name, range.clone()).await?;
        let Some(found) = found.filter(|_| self.flaw == Flaw::HidesWhatEndsTooSoon) else {
            return self.sound.get(name, range).await;
        };
        let size = found.try_fold(0, |size, piece| future::ready(Ok(size + piece.len() as u64))).await?;
        match range {
            Some(range) if size < range.end - range.start => Ok(None),
            range => self.sound.get(name, range).await,
        }
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let before = self.deleted.fetch_add(1, Ordering::Relaxed);
        match self.flaw {
            Flaw::KeepsWhatIsDeleted => Ok(()),
            Flaw::DeletesOnce if before > 0 => Err(StoreError::Refused { store: "blobs", source: None }),
            Flaw::DeletesAll => {
                for info in self.sound.list().try_collect::<Vec<_>>().await? {
                    self.sound.delete(&info.name).await?;
                }
                Ok(())
            }
            _ => self.sound.delete(name).await,
        }
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>> {
        let (flaw, sound) = (self.flaw, self.sound.list());
        let sound = sound.map_ok(move |info| match flaw {
            Flaw::KnowsNoSizes => BlobInfo { size: 0, ..info },
            Flaw::KnowsNoTimes => BlobInfo { put: Timestamp::default(), ..info },
            _ => info,
        });
        match flaw {
            Flaw::HidesTheEmpty => sound.try_filter(|info| future::ready(info.size > 0)).boxed(),
            Flaw::ListsAFew => sound.take(40).boxed(),
            _ => sound.boxed(),
        }
    }
}

super::each_case_fails! {
    blobs, broken,
    a_put_blob_is_got: [Flaw::LosesTheLastPiece, Flaw::CountsPieces],
    a_range_is_got_alone: [Flaw::IgnoresRanges, Flaw::IncludesTheEnd, Flaw::HidesWhatEndsTooSoon],
    a_blob_that_is_cut_off_is_not_there: [Flaw::KeepsWhatBroke, Flaw::KeepsWhatWasLeft],
    a_deleted_blob_is_gone: [Flaw::KeepsWhatIsDeleted, Flaw::DeletesOnce, Flaw::DeletesAll],
    a_list_shows_every_blob: [Flaw::HidesTheEmpty, Flaw::KnowsNoSizes, Flaw::KnowsNoTimes, Flaw::ListsAFew],
}
