//! Blobs, sealed piece by piece, so that a part of one is got without the rest.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{Blobs, ByteStream};
use ring::aead::{Aad, LessSafeKey, Nonce};

use super::key::TAG;
use super::{Problem, refused};

/// The key of one blob: each of its pieces has a nonce of its own, which is its number, and whether it is the last one.
#[derive(Clone)]
pub(crate) struct BlobKey(Option<Arc<LessSafeKey>>);

/// How many bytes are sealed at once. All pieces but the last have as many.
const PIECE: usize = 64 * 1024;
/// How many bytes such a piece has in its blob.
const SEALED: u64 = (PIECE + TAG) as u64;

impl BlobKey {
    pub(super) fn new(key: Option<LessSafeKey>) -> Self {
        Self(key.map(Arc::new))
    }

    fn seal(&self, number: u64, is_last: bool, mut piece: BytesMut) -> Result<Bytes, StoreError> {
        let key = self.0.as_ref().ok_or_else(|| refused(Problem::Altered))?;
        let tag = key.seal_in_place_separate_tag(nonce(number, is_last), Aad::empty(), &mut piece);
        piece.extend_from_slice(tag.map_err(|_| refused(Problem::Altered))?.as_ref());
        Ok(piece.freeze())
    }

    fn open(&self, number: u64, is_last: bool, mut piece: BytesMut) -> Result<Bytes, StoreError> {
        let key = self.0.as_ref().ok_or_else(|| refused(Problem::Altered))?;
        let opened = key.open_in_place(nonce(number, is_last), Aad::empty(), &mut piece);
        let size = opened.map_err(|_| refused(Problem::Altered))?.len();
        piece.truncate(size);
        Ok(piece.freeze())
    }

    /// A part of a blob whose bytes are `size`; nothing, where there is no blob.
    pub(in crate::sql) async fn get(
        &self,
        blobs: &dyn Blobs,
        blob: &str,
        size: u64,
        range: Range<u64>,
    ) -> Result<Option<ByteStream>, StoreError> {
        let last = last_of(size);
        // An empty part may stand behind the last piece.
        let first = (range.start / PIECE as u64).min(last);
        let end = if range.is_empty() { first } else { (range.end - 1) / PIECE as u64 };
        // An empty part is got as well: it tells whether the blob is there, and an empty blob whether it is sound.
        let part = first * SEALED..((end + 1) * SEALED).min(sealed_size(size));
        let Some(sealed) = blobs.get(blob, Some(part)).await? else { return Ok(None) };
        let reading = Reading { key: self.clone(), sealed, held: BytesMut::new(), number: first, end, last, range };
        Ok(Some(stream::try_unfold(reading, Reading::next).boxed()))
    }
}

/// The number of the last piece of so many bytes: there is always one, which tells the end.
fn last_of(size: u64) -> u64 {
    size.saturating_sub(1) / PIECE as u64
}

/// How many bytes a blob has whose bytes are `size`.
pub(in crate::sql) fn sealed_size(size: u64) -> u64 {
    size + (last_of(size) + 1) * TAG as u64
}

/// How many bytes there are in a sealed blob that has `size`.
pub(in crate::sql) fn plain_size(size: u64) -> u64 {
    size.saturating_sub(size.div_ceil(SEALED).max(1) * TAG as u64)
}

fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

/// Bytes as they are in a sealed blob.
pub(super) fn sealed(key: BlobKey, bytes: ByteStream) -> ByteStream {
    let writing = Writing { key, bytes, held: BytesMut::new(), number: 0, has_ended: false };
    stream::try_unfold(writing, Writing::next).boxed()
}

/// A blob that is being sealed.
struct Writing {
    key: BlobKey,
    bytes: ByteStream,
    /// What came and is not sealed yet: whether a piece is the last is known when more has come, or nothing more.
    held: BytesMut,
    number: u64,
    has_ended: bool,
}

impl Writing {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if self.has_ended {
            return Ok(None);
        }
        while self.held.len() <= PIECE {
            match self.bytes.try_next().await? {
                Some(more) => self.held.extend_from_slice(&more),
                None => {
                    self.has_ended = true;
                    break;
                }
            }
        }
        let piece = if self.has_ended { self.held.split() } else { self.held.split_to(PIECE) };
        let sealed = self.key.seal(self.number, self.has_ended, piece)?;
        self.number += 1;
        Ok(Some((sealed, self)))
    }
}

/// A part of a blob that is being opened.
struct Reading {
    key: BlobKey,
    sealed: ByteStream,
    held: BytesMut,
    number: u64,
    /// The last piece that is needed.
    end: u64,
    /// The last piece that there is.
    last: u64,
    range: Range<u64>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        while self.number <= self.end {
            let most = usize::try_from(SEALED).unwrap_or(usize::MAX);
            while self.held.len() < most {
                match self.sealed.try_next().await? {
                    Some(more) => self.held.extend_from_slice(&more),
                    None => break,
                }
            }
            let size = self.held.len().min(most);
            let piece = self.held.split_to(size);
            let opened = self.key.open(self.number, self.number == self.last, piece)?;
            let begin = self.number * PIECE as u64;
            self.number += 1;
            let within = |at: u64| usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX).min(opened.len());
            let part = opened.slice(within(self.range.start)..within(self.range.end));
            if !part.is_empty() {
                return Ok(Some((part, self)));
            }
        }
        Ok(None)
    }
}
