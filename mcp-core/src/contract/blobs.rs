//! What [`Blobs`] promises.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, pending, select};
use futures_util::{FutureExt, StreamExt, TryStreamExt, future, stream};
use tokio::sync::oneshot;

use super::Fresh;
use crate::store::StoreError;
use crate::store::blobs::{BlobInfo, Blobs, ByteStream, new_name};

/// One named test for each promise of [`Blobs`](crate::store::blobs::Blobs), on stores from `$fresh`: an async function or closure
/// without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! blobs_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            blobs, $fresh,
            a_put_blob_is_got,
            a_range_is_got_alone,
            a_blob_that_is_cut_off_is_not_there,
            a_deleted_blob_is_gone,
            a_list_shows_every_blob,
        }
    };
}

fn blobs(fresh: &Fresh) -> &Arc<dyn Blobs> {
    fresh.stores.blobs.as_ref().expect("there are blobs")
}

fn name() -> String {
    new_name().expect("the system has randomness")
}

/// Pieces of these sizes, none of which is like another.
pub(super) fn pieces(sizes: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut n = 0_usize;
    let mut piece = |size| {
        // No period of these bytes is one of a disk or of a network.
        let bytes: Vec<u8> = (n..n + size).map(|n| (n % 251) as u8 ^ (n / 65_521) as u8).collect();
        n += size;
        Bytes::from(bytes)
    };
    sizes.into_iter().map(&mut piece).collect()
}

/// A stream of these, and then its end.
pub(super) fn stream_of(pieces: &[Bytes]) -> ByteStream {
    stream::iter(pieces.to_vec()).map(Ok).boxed()
}

/// A stream of these, and then an error.
pub(super) fn broken_after(pieces: &[Bytes]) -> ByteStream {
    let error = StoreError::Conflict { store: "stream that broke" };
    stream_of(pieces).chain(stream::once(future::ready(Err(error)))).boxed()
}

/// Whether this is the error of [`broken_after`].
pub(super) fn broke(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { store: "stream that broke" })
}

/// Gives a future a stream of these and then nothing more, and drops it when it waits for that.
pub(super) async fn leave_after<T>(pieces: &[Bytes], begin: impl AsyncFnOnce(ByteStream) -> T) {
    let (asked, waits) = oneshot::channel();
    let stopped = async move {
        // Whoever asks is still there.
        let _ = asked.send(());
        pending().await
    };
    let bytes = stream_of(pieces).chain(stopped.into_stream()).boxed();
    if let Either::Left(_) = select(std::pin::pin!(begin(bytes)), waits).await {
        panic!("it ends before its stream does");
    }
}

/// All that a stream gives.
pub(super) async fn whole(bytes: ByteStream) -> Vec<u8> {
    bytes.try_collect::<Vec<_>>().await.expect("it can be read to its end").concat()
}

async fn put(fresh: &Fresh, pieces: &[Bytes]) -> String {
    let name = name();
    let size = blobs(fresh).put(&name, stream_of(pieces)).await.expect("a blob is put");
    assert_eq!(size, pieces.concat().len() as u64);
    name
}

async fn get(fresh: &Fresh, name: &str, range: Option<Range<u64>>) -> Option<Vec<u8>> {
    let bytes = blobs(fresh).get(name, range).await.expect("blobs can be read")?;
    Some(whole(bytes).await)
}

async fn list(fresh: &Fresh) -> Vec<BlobInfo> {
    let mut all: Vec<BlobInfo> = blobs(fresh).list().try_collect().await.expect("blobs can be listed");
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// To the last byte.
pub async fn a_put_blob_is_got(fresh: &Fresh) {
    const MIB: usize = 1024 * 1024;
    for sizes in [vec![], vec![0], vec![1], vec![0, 3, 0, 70_000, 1], vec![MIB; 12], vec![17 * MIB + 1]] {
        let pieces = pieces(sizes);
        let name = put(fresh, &pieces).await;
        assert!(get(fresh, &name, None).await == Some(pieces.concat()), "{} bytes", pieces.concat().len());
    }
    assert_eq!(get(fresh, &name(), None).await, None);
}

/// As much of it as there is.
pub async fn a_range_is_got_alone(fresh: &Fresh) {
    let pieces = pieces([100_000]);
    let (name, empty) = (put(fresh, &pieces).await, put(fresh, &[]).await);
    for (range, expected) in [
        (0..1, 0..1),
        (0..100_000, 0..100_000),
        (99_999..100_000, 99_999..100_000),
        (65_530..65_540, 65_530..65_540),
        (50_000..u64::MAX, 50_000..100_000),
        (100_000..100_001, 0..0),
        (200_000..300_000, 0..0),
        (7..7, 0..0),
    ] {
        let found = get(fresh, &name, Some(range.clone())).await.expect("it is there");
        assert!(found == pieces[0].slice(expected), "{range:?} is {} bytes", found.len());
    }
    assert_eq!(get(fresh, &empty, Some(0..10)).await, Some(Vec::new()));
    assert_eq!(get(fresh, &self::name(), Some(0..10)).await, None);
}

/// Whether its stream ends by an error or nobody waits for it any more.
pub async fn a_blob_that_is_cut_off_is_not_there(fresh: &Fresh) {
    for sizes in [vec![], vec![1_000], vec![6 * 1024 * 1024; 2]] {
        let pieces = pieces(sizes);
        let (broken, left) = (name(), name());
        let error = blobs(fresh).put(&broken, broken_after(&pieces)).await.expect_err("its stream broke");
        assert!(broke(&error), "{error}");
        leave_after(&pieces, async |bytes| blobs(fresh).put(&left, bytes).await).await;
        for name in [broken, left] {
            assert_eq!(get(fresh, &name, None).await, None);
        }
    }
    assert_eq!(list(fresh).await, []);
}

/// And may be deleted again.
pub async fn a_deleted_blob_is_gone(fresh: &Fresh) {
    let (one, other) = (put(fresh, &pieces([1_000])).await, put(fresh, &pieces([2_000])).await);
    let begun = blobs(fresh).get(&one, None).await.expect("blobs can be read").expect("it is there");
    for _ in 0..2 {
        blobs(fresh).delete(&one).await.expect("blobs can be deleted");
        assert_eq!(get(fresh, &one, None).await, None);
    }
    assert_eq!(whole(begun).await, pieces([1_000]).concat(), "who has begun to read reads to the end");
    assert_eq!(get(fresh, &other, None).await, Some(pieces([2_000]).concat()));
    assert_eq!(list(fresh).await.into_iter().map(|info| info.name).collect::<Vec<_>>(), [other]);
}

/// With its size, and when it was put.
pub async fn a_list_shows_every_blob(fresh: &Fresh) {
    assert_eq!(list(fresh).await, []);
    let mut all = Vec::new();
    for size in 0..50 {
        all.push((put(fresh, &pieces([size])).await, size as u64));
    }
    all.sort();
    let listed = list(fresh).await;
    assert_eq!(listed.iter().map(|info| (info.name.clone(), info.size)).collect::<Vec<_>>(), all);
    let times: Vec<_> = listed.iter().map(|info| info.put).collect();
    assert!(times.iter().all(|time| time.as_micros() >= 1_767_225_600_000_000), "{times:?}");
}
