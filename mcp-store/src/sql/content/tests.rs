//! What is sealed opens where it belongs, and is told from what is plain.

use futures_util::{StreamExt, TryStreamExt, stream};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::memory::MemoryBlobs;
use mcp_core::store::blobs::{Blobs, new_name};

use super::*;
use crate::sql::keys::Purpose;
use crate::sql::tests;

async fn content(database: &Database, secrets: &[[u8; 32]], seals: bool) -> Content {
    let audit = HouseKey::load(database, secrets, Purpose::Audit).await.unwrap();
    Content::load(database, secrets, audit.as_ref(), (seals, false)).await.unwrap()
}

fn place() -> Place {
    Place::of("table.column").text("a").number(1)
}

#[tokio::test]
async fn every_value_comes_back_whether_it_is_sealed_or_looks_as_if_it_were() {
    let (_folder, database) = tests::database().await;
    let (sealing, plain) = (content(&database, &[[1; 32]], true).await, content(&database, &[[1; 32]], false).await);
    for value in [
        &b""[..],
        b"a",
        b"{}",
        &[MARK],
        &[MARK, PLAIN],
        &[MARK, PLAIN, MARK],
        &[MARK, SEALED],
        &[MARK, SEALED, 7, 7, 7],
    ] {
        for content in [&sealing, &plain, &Content::default()] {
            let stored = content.seal(place, value).unwrap().into_owned();
            assert!(content.is_current(&stored), "{value:?}");
            for opening in [&sealing, &plain] {
                assert_eq!(opening.open(place, stored.clone()).await.unwrap(), value);
            }
            if content.seals() && !value.is_empty() {
                assert_eq!(stored.len(), value.len() + OVERHEAD);
                assert_ne!(content.seal(place, value).unwrap(), stored);
                assert!(!plain.is_current(&stored) && Content::default().open(place, stored.clone()).await.is_err());
                for at in 2..stored.len() {
                    let mut altered = stored.clone();
                    altered[at] ^= 1;
                    assert!(content.open(place, altered).await.is_err(), "{value:?}, byte {at}");
                    assert!(content.open(place, stored[..at].to_vec()).await.is_err(), "{value:?}, up to {at}");
                }
            }
        }
    }
    for text in ["", "a", "\u{1}s", "\u{1}sAAAA", "\0", "\u{1}", "ä🦀"] {
        for content in [&sealing, &plain] {
            let held = content.seal_text(place, text).unwrap();
            assert!(!held.contains('\0') && content.is_current_text(&held), "{held:?}");
            for opening in [&sealing, &plain] {
                assert_eq!(opening.open_text(place, held.clone()).await.unwrap(), text);
            }
        }
    }
}

#[tokio::test]
async fn a_value_opens_at_its_own_place_alone() {
    let (_folder, database) = tests::database().await;
    let content = content(&database, &[[1; 32]], true).await;
    let stored = content.seal(place, b"value").unwrap().into_owned();
    let of = |column: &str, text: &str| Place::of(column).text(text);
    let others: [fn() -> Place; 4] = [
        || Place::of("table.column").text("b").number(1),
        || Place::of("table.other").text("a").number(1),
        || Place::of("table.column").text("a").number(2),
        || Place::of("table.column").text("a"),
    ];
    for other in others {
        assert!(content.open(other, stored.clone()).await.is_err());
    }
    assert_ne!(of("ab", "c").bytes(), of("a", "bc").bytes());
    assert!(content.open(place, stored).await.is_ok());
}

#[tokio::test]
async fn a_key_that_another_replica_has_made_is_found() {
    let (_folder, database) = tests::database().await;
    let earlier = content(&database, &[[1; 32], [2; 32]], true).await;
    let later = content(&database, &[[2; 32], [1; 32]], true).await;
    let stored = later.seal(place, b"value").unwrap().into_owned();
    assert!(!earlier.is_current(&stored));
    assert_eq!(earlier.open(place, stored).await.unwrap(), b"value");
    assert_eq!(HouseKey::all_of_content(&database, &[[2; 32]], false).await.unwrap().len(), 2);
}

#[tokio::test]
async fn any_part_of_a_blob_is_got() {
    const PIECE: u64 = 64 * 1024;
    let (_folder, database) = tests::database().await;
    let content = content(&database, &[[1; 32]], true).await;
    let (blobs, tenant) = (MemoryBlobs::new(Arc::new(SimulatedClock::new())), Tenant::from("a"));
    for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7] {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let name = new_name().unwrap();
        let pieces: Vec<_> = bytes.chunks(10_000).map(|piece| Ok(piece.to_vec().into())).collect();
        let (key, sealed) = content.seal_blob(&tenant, &name, stream::iter(pieces).boxed());
        let stored = blobs.put(&name, sealed).await.unwrap();
        assert_eq!((stored, size), (sealed_size(size), plain_size(stored)));
        let key = content.opening_blob(&tenant, &name, &key.unwrap()).await.unwrap();
        for range in
            [0..size, 0..size.min(1), size / 2..size, size.saturating_sub(1)..size, size / 3..size / 2, size..size]
        {
            let part = key.get(&blobs, &name, size, range.clone()).await.unwrap().unwrap();
            let part = part.try_collect::<Vec<_>>().await.unwrap().concat();
            let within = |at: u64| usize::try_from(at).unwrap();
            assert!(part == bytes[within(range.start)..within(range.end)], "{range:?} of {size}");
        }
        let other = content.opening_blob(&Tenant::from("b"), &name, &content.sealing_name().unwrap()).await.unwrap();
        let wrong = other.get(&blobs, &name, size, 0..size).await.unwrap().unwrap();
        assert!(wrong.try_collect::<Vec<_>>().await.is_err());
    }
}
