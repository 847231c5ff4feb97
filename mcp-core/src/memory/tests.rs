//! The memory stores keep what the traits promise, within their bounds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future, stream};

use super::{
    MemoryBlobs, MemoryCache, MemoryFiles, MemoryLeases, MemoryLimits, MemoryPrincipals, MemorySessions,
    MemorySettings, MemoryStore, MemoryThreads,
};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::store::api_keys::{ApiKey, ApiKeys, KeyHash, KeyId};
use crate::store::blobs::{Blobs, ByteStream};
use crate::store::cache::Cache;
use crate::store::files::{Caps, FileError, Files, LONGEST_WRITE, OVERHEAD};
use crate::store::history::{CallQuery, History};
use crate::store::leases::Leases;
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger, Outcome};
use crate::store::limits::Rate;
use crate::store::notes::Notes;
use crate::store::principals::{Principals, User};
use crate::store::sessions::{LARGEST as LARGEST_SESSION, Sessions};
use crate::store::settings::{Key, LARGEST, Settings};
use crate::store::threads::{Message, MessageId, Thread, ThreadId, Threads};
use crate::store::{StoreError, Stores};

async fn fresh() -> Fresh {
    let clock = SimulatedClock::new();
    Fresh::new(Stores::in_memory(Arc::new(clock.clone())), clock)
}

/// With the caps that the suite of files asks for.
async fn fresh_files() -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.files = Some(Arc::new(MemoryFiles::new(Arc::new(clock.clone()), crate::contract::files::CAPS)));
    Fresh::new(stores, clock)
}

/// In the room that the suite of sessions asks for.
async fn fresh_sessions() -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let sessions = MemorySessions::new(Arc::new(clock.clone())).of(crate::contract::sessions::ROOM);
    stores.protocol_sessions = Arc::new(sessions);
    Fresh::new(stores, clock)
}

crate::ledger_contract!(fresh);
crate::history_contract!(fresh);
crate::stats_contract!(fresh);
crate::audit_contract!(fresh);
crate::idempotency_contract!(fresh);
crate::notes_contract!(fresh);
crate::threads_contract!(fresh);
crate::principals_contract!(fresh);
crate::api_keys_contract!(fresh);
crate::records_contract!(fresh);
crate::cache_contract!(fresh);
crate::events_contract!(fresh);
crate::leases_contract!(fresh);
crate::replicas_contract!(fresh);
crate::settings_contract!(fresh);
crate::limits_contract!(fresh);
crate::sessions_contract!(fresh_sessions);
crate::runs_contract!(fresh);
crate::blobs_contract!(fresh);
crate::files_contract!(fresh_files);

const HOUR: Duration = Duration::from_secs(60 * 60);

fn tenant() -> Tenant {
    Tenant::from("a")
}

fn call(id: usize, result: Bytes) -> Entry {
    Entry::Call(CallRecord {
        id: CallId::from_u128(id as u128),
        parent: None,
        tenant: tenant(),
        principal: Principal::from("p"),
        address: None,
        tool: "t".to_owned(),
        arguments: Bytes::from_static(b"{}"),
        outcome: Outcome::Ok,
        result,
        at: Timestamp::default(),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
    })
}

#[tokio::test]
async fn the_oldest_calls_go_when_there_are_too_many() {
    let store = MemoryStore::new(Arc::new(SimulatedClock::new()));
    let calls = (0..MemoryStore::CAPACITY + 5).map(|id| call(id, Bytes::new())).collect();
    store.commit(calls).await.unwrap();
    let query = CallQuery { limit: u16::MAX, ..CallQuery::default() };
    let kept = store.calls(&tenant(), &query).await.unwrap();
    assert_eq!((kept.len(), kept.last().unwrap().id), (MemoryStore::CAPACITY, CallId::from_u128(5)));
}

#[tokio::test]
async fn the_oldest_calls_go_when_they_are_too_large() {
    let store = MemoryStore::new(Arc::new(SimulatedClock::new()));
    let third = Bytes::from(vec![0; MemoryStore::BYTES / 3]);
    for id in 0..6 {
        store.commit(vec![call(id, third.clone())]).await.unwrap();
    }
    let kept = store.calls(&tenant(), &CallQuery::default()).await.unwrap();
    assert_eq!(kept.iter().map(|call| call.id.as_u128()).collect::<Vec<_>>(), [5, 4]);
}

#[tokio::test]
async fn the_oldest_notes_go_when_there_are_too_many() {
    let store = MemoryStore::new(Arc::new(SimulatedClock::new()));
    let owner = Principal::from("p");
    for n in 0..MemoryStore::CAPACITY {
        store.write(&tenant(), &owner, &n.to_string(), "").await.unwrap();
    }
    // The first is written again, so that the second is the oldest.
    store.write(&tenant(), &owner, "0", "again").await.unwrap();
    store.write(&tenant(), &owner, "new", "").await.unwrap();
    let mut kept = Vec::new();
    for name in ["0", "1", "2", "new"] {
        kept.push(store.read(&tenant(), &owner, name).await.unwrap().is_some());
    }
    assert_eq!(kept, [true, false, true, true]);
}

#[tokio::test]
async fn the_oldest_notes_go_when_they_are_too_large() {
    let store = MemoryStore::new(Arc::new(SimulatedClock::new()));
    let (owner, third) = (Principal::from("p"), "x".repeat(MemoryStore::BYTES / 3));
    for name in ["a", "b", "c"] {
        store.write(&tenant(), &owner, name, &third).await.unwrap();
    }
    assert_eq!(store.read(&tenant(), &owner, "a").await.unwrap(), None);
    assert!(store.read(&tenant(), &owner, "b").await.unwrap().is_some());
}

#[tokio::test]
async fn a_cache_is_bounded_in_bytes() {
    let cache = MemoryCache::new(Arc::new(SimulatedClock::new()));
    let (lifetime, half) = (Duration::from_secs(1), Bytes::from(vec![0; MemoryCache::BYTES / 2]));
    let too_large = Bytes::from(vec![0; MemoryCache::BYTES + 1]);
    for (key, value) in [("a", &half), ("b", &half), ("b", &half)] {
        cache.store(&tenant(), key, value.clone(), lifetime).await.unwrap();
    }
    assert!(cache.load(&tenant(), "a").await.unwrap().is_some(), "what is replaced takes no room");
    cache.store(&tenant(), "c", half.clone(), lifetime).await.unwrap();
    cache.store(&tenant(), "d", too_large, lifetime).await.unwrap();
    for key in ["a", "b", "d"] {
        assert_eq!(cache.load(&tenant(), key).await.unwrap(), None, "{key}");
    }
}

#[tokio::test]
async fn too_many_leases_are_not_given_and_those_that_ended_make_room() {
    let clock = SimulatedClock::new();
    let (leases, time) = (MemoryLeases::new(Arc::new(clock.clone())), Duration::from_secs(1));
    for n in 0..MemoryLeases::CAPACITY {
        assert!(leases.acquire(&n.to_string(), time).await.unwrap().is_some());
    }
    let refused = leases.acquire("one more", time).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    clock.advance(time);
    let lease = leases.acquire("one more", time).await.unwrap().unwrap();
    assert!(leases.renew(&lease, time).await.unwrap());
}

fn is_full<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

#[tokio::test]
async fn settings_are_not_forgotten_when_there_are_too_many() {
    let store = MemorySettings::default();
    let key = |n: usize| Key::of_the_house(n.to_string());
    let mut versions = Vec::new();
    for n in 0..MemorySettings::CAPACITY {
        versions.push(store.store(&key(n), Bytes::new(), None).await.unwrap());
    }
    let new = key(MemorySettings::CAPACITY);
    assert!(is_full(&store.store(&new, Bytes::new(), None).await));
    let changed = store.store(&key(0), Bytes::from_static(b"changed"), Some(versions[0])).await.unwrap();
    store.remove(&key(0), changed).await.unwrap();
    store.store(&new, Bytes::new(), None).await.unwrap();
}

#[tokio::test]
async fn settings_are_not_forgotten_when_they_are_too_large() {
    let store = MemorySettings::default();
    let (key, large) = (|n: usize| Key::of_the_house(format!("{n:3}")), Bytes::from(vec![0; LARGEST - 3]));
    let most = MemorySettings::BYTES / LARGEST;
    let mut versions = Vec::new();
    for n in 0..most {
        versions.push(store.store(&key(n), large.clone(), None).await.unwrap());
    }
    assert!(is_full(&store.store(&key(most), Bytes::new(), None).await));
    versions[0] = store.store(&key(0), large.clone(), Some(versions[0])).await.unwrap();
    store.remove(&key(0), versions[0]).await.unwrap();
    store.store(&key(most), large, None).await.unwrap();
}

#[tokio::test]
async fn the_keys_that_have_all_their_tokens_are_forgotten_first_and_then_those_that_have_them_soonest() {
    let clock = SimulatedClock::new();
    let limits = MemoryLimits::new(Arc::new(clock.clone()));
    let second = Duration::from_secs(1);
    let fill = |kind: &str, keys: usize, per: Duration| {
        for n in 0..keys {
            limits.decide(&tenant(), &format!("{kind} {n}"), Rate { burst: 1, per }, 1).unwrap();
        }
    };
    let is_held =
        |key: &str| limits.decide(&tenant(), key, Rate { burst: 1, per: second * 9 }, 0).unwrap().remaining == 0;
    let half = MemoryLimits::CAPACITY / 2;
    fill("late", half, second * 9);
    fill("soon", half, second);
    clock.advance(second);
    fill("new", half, second * 5);
    let held = |kind: &str| (0..half).filter(|n| is_held(&format!("{kind} {n}"))).count();
    assert_eq!((held("late"), held("soon"), held("new")), (half, 0, half));
    fill("newest", 1, second * 9);
    assert_eq!((held("late"), held("new"), is_held("newest 0")), (half, half / 2, true));
}

#[tokio::test]
async fn the_sessions_that_are_idle_longest_go_when_there_are_too_many() {
    let sessions = MemorySessions::new(Arc::new(SimulatedClock::new()));
    let owner = |n: usize| Principal::from((n / 50).to_string());
    let mut handles = Vec::new();
    for n in 0..MemorySessions::CAPACITY {
        handles.push(sessions.create(&tenant(), &owner(n), "".into(), HOUR).await.unwrap().handle);
    }
    // The first is used again, so that the second is idle longest.
    sessions.load(&tenant(), &owner(0), &handles[0]).await.unwrap();
    sessions.create(&tenant(), &Principal::from("p"), "".into(), HOUR).await.unwrap();
    let mut kept = Vec::new();
    for handle in &handles[..3] {
        kept.push(sessions.load(&tenant(), &owner(0), handle).await.unwrap().is_some());
    }
    assert_eq!(kept, [true, false, true]);
}

#[tokio::test]
async fn the_sessions_that_are_idle_longest_go_when_they_are_too_large() {
    let clock = SimulatedClock::new();
    let store = MemorySessions::new(Arc::new(clock.clone()));
    let largest = Bytes::from(vec![0; LARGEST_SESSION]);
    let owner = |n: usize| Principal::from((n / 50).to_string());
    let is_there =
        async |owner: &Principal, handle: &str| store.load(&tenant(), owner, handle).await.unwrap().is_some();
    let first = store.create(&tenant(), &owner(0), "".into(), HOUR).await.unwrap();
    let mut handles = vec![first.handle.clone()];
    for n in 1..MemorySessions::BYTES / LARGEST_SESSION + 1 {
        handles.push(store.create(&tenant(), &owner(n), largest.clone(), HOUR).await.unwrap().handle);
    }
    assert!(is_there(&owner(0), &handles[0]).await);
    // It grows, and another has to go for it.
    store.save(&tenant(), &owner(0), &first.handle, first.version, largest.clone()).await.unwrap();
    assert!(!is_there(&owner(0), &handles[1]).await);
    assert!(is_there(&owner(0), &handles[2]).await && is_there(&owner(0), &handles[0]).await);

    // What has ended takes no room.
    clock.advance(HOUR);
    let first = store.create(&tenant(), &owner(0), largest.clone(), HOUR).await.unwrap();
    for n in 1..MemorySessions::BYTES / LARGEST_SESSION {
        store.create(&tenant(), &owner(n), largest.clone(), HOUR).await.unwrap();
    }
    assert!(is_there(&owner(0), &first.handle).await);
}

/// Appends the `n`th message to the `thread`th thread.
async fn append(store: &MemoryThreads, thread: u128, n: usize, text: &str) {
    let (owner, id, at) = (Principal::from("p"), ThreadId::from_u128(thread), Timestamp::default());
    store.create(&tenant(), &owner, &Thread { id, title: String::new(), created: at }).await.unwrap();
    let message = Message { id: MessageId::from_u128(n as u128), role: String::new(), text: text.to_owned(), at };
    assert!(store.append(&tenant(), &owner, id, &message).await.unwrap());
}

/// The messages of the `thread`th thread.
async fn messages(store: &MemoryThreads, thread: u128) -> Vec<u128> {
    let messages = store.messages(&tenant(), &Principal::from("p"), ThreadId::from_u128(thread), None, u16::MAX).await;
    messages.unwrap().into_iter().map(|placed| placed.message.id.as_u128()).collect()
}

#[tokio::test]
async fn the_oldest_messages_and_threads_go_when_there_are_too_many() {
    let store = MemoryThreads::default();
    for n in 0..MemoryThreads::CAPACITY + 5 {
        append(&store, u128::MAX, n, "").await;
    }
    let kept = messages(&store, u128::MAX).await;
    assert_eq!((kept.len(), kept.first()), (MemoryThreads::CAPACITY, Some(&5)));
    // With the first thread, which is the oldest whatever its id, all of these go.
    for n in 0..MemoryThreads::CAPACITY {
        append(&store, n as u128, n, "").await;
    }
    assert!(messages(&store, u128::MAX).await.is_empty());
    let threads = store.list(&tenant(), &Principal::from("p"), None, u16::MAX).await.unwrap();
    assert_eq!((threads.len(), messages(&store, 0).await), (MemoryThreads::CAPACITY, vec![0]));
}

#[tokio::test]
async fn the_oldest_messages_go_when_they_are_too_large() {
    let (store, third) = (MemoryThreads::default(), "x".repeat(MemoryThreads::BYTES / 3));
    for n in 0..6 {
        append(&store, n as u128 % 2, n, &third).await;
    }
    assert_eq!((messages(&store, 0).await, messages(&store, 1).await), (vec![4], vec![3, 5]));
}

#[tokio::test]
async fn nobody_is_forgotten_when_there_are_too_many() {
    let (store, at) = (MemoryPrincipals::default(), Timestamp::default());
    let user = |n: usize| User {
        principal: Principal::from(n.to_string()),
        display_name: String::new(),
        disabled: false,
        created: at,
        roles: Default::default(),
    };
    let key = |n: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        ApiKey {
            id: KeyId::from_u128(n as u128),
            principal: Principal::from("0"),
            name: String::new(),
            hash: KeyHash(hash),
            scopes: Default::default(),
            roles: Default::default(),
            created: at,
            expires: None,
            revoked: None,
            used: None,
            replaces: None,
        }
    };
    for n in 0..MemoryPrincipals::CAPACITY {
        Principals::create(&store, &tenant(), &user(n)).await.unwrap();
        ApiKeys::create(&store, &tenant(), &key(n)).await.unwrap();
    }
    let new = MemoryPrincipals::CAPACITY;
    assert!(is_full(&Principals::create(&store, &tenant(), &user(new)).await));
    assert!(is_full(&ApiKeys::create(&store, &tenant(), &key(new)).await));
    ApiKeys::create(&store, &tenant(), &key(0)).await.unwrap();
    ApiKeys::remove(&store, &tenant(), KeyId::from_u128(0)).await.unwrap();
    ApiKeys::create(&store, &tenant(), &key(new)).await.unwrap();
    Principals::remove(&store, &tenant(), &Principal::from("1")).await.unwrap();
    Principals::create(&store, &tenant(), &user(new)).await.unwrap();
}

fn stream_of(bytes: Bytes) -> ByteStream {
    stream::once(future::ready(Ok(bytes))).boxed()
}

#[tokio::test]
async fn blobs_are_not_forgotten_to_make_room() {
    let blobs = MemoryBlobs::new(Arc::new(SimulatedClock::new()));
    let quarter = Bytes::from(vec![0; MemoryBlobs::BYTES / 4]);
    for name in ["1", "2", "3"] {
        blobs.put(name, stream_of(quarter.clone())).await.unwrap();
    }
    for too_large in [quarter.clone(), Bytes::from(vec![0; MemoryBlobs::BYTES + 1])] {
        let full = blobs.put("4", stream_of(too_large)).await;
        assert!(matches!(full, Err(StoreError::Unavailable { .. })), "{full:?}");
    }
    blobs.delete("1").await.unwrap();
    blobs.put("4", stream_of(quarter)).await.unwrap();
    assert_eq!(blobs.list().count().await, 3);
}

#[tokio::test]
async fn files_are_not_forgotten_to_make_room() {
    let files = MemoryFiles::new(Arc::new(SimulatedClock::new()), Caps { file: u64::MAX, owner: u64::MAX });
    let write = async |name: &str, owner: &str, size: u64| {
        let bytes = Bytes::from(vec![0; usize::try_from(size).unwrap()]);
        files.write(&tenant(), &Principal::from(owner), name, "", stream_of(bytes)).await.map(|file| file.size)
    };
    assert_eq!(
        write("one", "ada", MemoryFiles::BYTES - 2 * OVERHEAD - 1).await.unwrap(),
        MemoryFiles::BYTES - 2 * OVERHEAD - 1
    );
    assert!(matches!(write("one", "bob", 2).await, Err(FileError::Store(StoreError::Unavailable { .. }))));
    write("one", "bob", 1).await.unwrap();
    write("one", "ada", 0).await.unwrap();
    write("two", "bob", 1_000).await.unwrap();
}

#[tokio::test]
async fn a_file_that_comes_too_slowly_is_not_written() {
    let clock = SimulatedClock::new();
    let files = MemoryFiles::new(Arc::new(clock.clone()), Caps::default());
    let bytes = stream_of(Bytes::from_static(b"first")).chain(stream::pending()).boxed();
    let (of, owner) = (tenant(), Principal::from("p"));
    let mut write = std::pin::pin!(files.write(&of, &owner, "slow", "", bytes));
    assert!((&mut write).now_or_never().is_none());
    clock.advance(LONGEST_WRITE);
    assert!(matches!(write.await, Err(FileError::TooSlow)));
    assert_eq!(files.find(&of, &owner, "slow").await.unwrap(), None);
}
