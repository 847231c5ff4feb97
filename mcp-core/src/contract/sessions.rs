//! What [`Sessions`] promises.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Fresh, tenant};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::sessions::{LARGEST, Saved, SessionInfo, SessionRoom, Sessions, StoredSession};

/// One named test for each promise of [`Sessions`](crate::store::sessions::Sessions), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`] whose protocol sessions are in the room
/// [`sessions::ROOM`](crate::contract::sessions::ROOM).
#[macro_export]
macro_rules! sessions_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            sessions, $fresh,
            a_saved_session_is_loaded,
            a_session_that_is_idle_for_too_long_is_gone,
            callers_are_apart,
            a_concurrent_change_is_a_conflict,
            a_removed_session_is_gone,
            a_handle_cannot_be_guessed,
            a_session_is_small,
            an_owner_has_few_sessions,
            there_are_few_sessions_in_all,
            rooms_are_apart,
            a_list_shows_the_last_used_first,
            what_there_is_is_counted,
        }
    };
}

/// So small that a case reaches its caps.
pub const ROOM: SessionRoom = SessionRoom { of_owner: 6, in_all: 12, ..SessionRoom::PROTOCOL };

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn ada() -> Principal {
    Principal::from("ada")
}

async fn create(fresh: &Fresh, value: impl Into<Bytes>) -> StoredSession {
    create_for(fresh, value, MINUTE).await
}

async fn create_for(fresh: &Fresh, value: impl Into<Bytes>, idle: Duration) -> StoredSession {
    fresh.stores.protocol_sessions.create(&tenant(), &ada(), value.into(), idle).await.expect("a session is created")
}

async fn load(fresh: &Fresh, handle: &str) -> Option<StoredSession> {
    fresh.stores.protocol_sessions.load(&tenant(), &ada(), handle).await.expect("sessions can be read")
}

async fn save(fresh: &Fresh, session: &StoredSession, value: impl Into<Bytes>) -> Saved {
    let StoredSession { handle, version, .. } = session;
    let saved = fresh.stores.protocol_sessions.save(&tenant(), &ada(), handle, *version, value.into()).await;
    saved.expect("sessions can be saved")
}

async fn remove(fresh: &Fresh, handle: &str) -> bool {
    fresh.stores.protocol_sessions.remove(&tenant(), &ada(), handle).await.expect("sessions can be removed")
}

async fn list(fresh: &Fresh) -> Vec<SessionInfo> {
    fresh.stores.protocol_sessions.list(&tenant(), &ada()).await.expect("sessions can be listed")
}

/// The handles of what is listed.
async fn handles(fresh: &Fresh) -> Vec<String> {
    list(fresh).await.into_iter().map(|info| info.handle).collect()
}

/// To the last byte, and with another version each time it was saved.
pub async fn a_saved_session_is_loaded(fresh: &Fresh) {
    for value in [&b"{}"[..], b"", b"\0\xff\r\n", &[7; LARGEST]] {
        let created = create(fresh, Bytes::copy_from_slice(value)).await;
        assert_eq!(created.value, value);
        assert_eq!(load(fresh, &created.handle).await, Some(created));
    }
    let mut session = create(fresh, "0").await;
    let mut versions = BTreeSet::from([session.version]);
    for n in 1..=5_u32 {
        let Saved::As(version) = save(fresh, &session, n.to_string()).await else { panic!("it is not saved") };
        assert!(versions.insert(version), "version {version} is back");
        session = load(fresh, &session.handle).await.expect("it is there");
        assert_eq!((session.version, &*session.value), (version, n.to_string().as_bytes()));
    }
    assert_eq!(load(fresh, "").await, None);
    assert_eq!(load(fresh, &session.handle.to_uppercase()).await, None);
}

/// To load it and to save it are uses, after which its idle lifetime begins anew.
pub async fn a_session_that_is_idle_for_too_long_is_gone(fresh: &Fresh) {
    let mut session = create(fresh, "used").await;
    let (short, long) = (create(fresh, "short").await, create_for(fresh, "long", MINUTE * 60).await);
    let never = create_for(fresh, "has no time", Duration::ZERO).await;
    assert_eq!(load(fresh, &never.handle).await, None);
    for _ in 0..2 {
        fresh.pass(MINUTE / 2);
        assert_eq!(load(fresh, &session.handle).await.as_ref(), Some(&session), "it was used half a minute ago");
    }
    for n in 0..2 {
        fresh.pass(MINUTE / 2);
        let Saved::As(version) = save(fresh, &session, "saved").await else { panic!("it is not saved the time {n}") };
        session.version = version;
    }
    assert_eq!(load(fresh, &short.handle).await, None, "it was not used for two minutes");
    assert_eq!(save(fresh, &short, "again").await, Saved::Gone);
    assert!(!remove(fresh, &short.handle).await);
    assert_eq!(handles(fresh).await, [session.handle.clone(), long.handle.clone()]);
    fresh.pass(MINUTE);
    assert_eq!(load(fresh, &session.handle).await, None);
    assert_eq!(handles(fresh).await, [&*long.handle], "to be listed is no use, and what has ended is not listed");
    let another = create(fresh, "another").await;
    assert_eq!(handles(fresh).await, [another.handle, long.handle.clone()]);
    fresh.pass(MINUTE * 57);
    assert_eq!(load(fresh, &long.handle).await, None);
}

/// Neither another principal nor another tenant loads, saves, removes or lists a session.
pub async fn callers_are_apart(fresh: &Fresh) {
    let sessions = &fresh.stores.protocol_sessions;
    // Some of them are equal once their two names are put together.
    let callers = [("a", "b"), ("a", "c"), ("b", "a"), ("ab", ""), ("", "ab"), ("a:b", "c"), ("a", "b:c"), ("A", "b")];
    let callers = callers.map(|(tenant, owner)| (Tenant::from(tenant), Principal::from(owner)));
    let mut own = Vec::new();
    for (tenant, owner) in &callers {
        own.push(sessions.create(tenant, owner, "own".into(), MINUTE).await.expect("a session is created"));
    }
    for (n, (tenant, owner)) in callers.iter().enumerate() {
        for StoredSession { handle, version, .. } in own.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, s)| s) {
            assert_eq!(sessions.load(tenant, owner, handle).await.expect("it can be read"), None, "{tenant}:{owner}");
            let saved = sessions.save(tenant, owner, handle, *version, "theirs".into()).await.expect("it can be tried");
            assert_eq!(saved, Saved::Gone, "{tenant}:{owner}");
            assert!(!sessions.remove(tenant, owner, handle).await.expect("it can be tried"), "{tenant}:{owner}");
        }
        let listed = sessions.list(tenant, owner).await.expect("they can be listed");
        assert_eq!(listed.iter().map(|info| &info.handle).collect::<Vec<_>>(), [&own[n].handle]);
    }
    for ((tenant, owner), own) in callers.iter().zip(own) {
        let loaded = sessions.load(tenant, owner, &own.handle).await.expect("it can be read");
        assert_eq!(loaded, Some(own), "nobody has touched it");
    }
    assert_eq!(sessions.list(&Tenant::from("a"), &Principal::from("nobody")).await.expect("they can be listed"), []);
}

/// Of several that save upon the same version one does, and the others are told.
pub async fn a_concurrent_change_is_a_conflict(fresh: &Fresh) {
    let mut session = create(fresh, "first").await;
    for _ in 0..5 {
        let old = session.clone();
        let changes = (0..8).map(async |n: u32| (n, save(fresh, &old, n.to_string()).await));
        let (mut saved, mut conflicts) = (Vec::new(), 0);
        for (n, result) in join_all(changes).await {
            match result {
                Saved::As(version) => saved.push((n, version)),
                Saved::Conflict => conflicts += 1,
                Saved::Gone => panic!("it is there"),
            }
        }
        assert_eq!((saved.len(), conflicts), (1, 7));
        let (winner, version) = saved[0];
        session = load(fresh, &session.handle).await.expect("it is there");
        assert_eq!((session.version, &*session.value), (version, winner.to_string().as_bytes()));
        assert_eq!(save(fresh, &old, "late").await, Saved::Conflict);
        assert_eq!(load(fresh, &session.handle).await.as_ref(), Some(&session), "nothing is changed by it");
    }
}

/// And its owner's others stay.
pub async fn a_removed_session_is_gone(fresh: &Fresh) {
    let (one, other) = (create(fresh, "one").await, create(fresh, "other").await);
    assert!(!remove(fresh, "none").await);
    assert!(remove(fresh, &one.handle).await);
    assert!(!remove(fresh, &one.handle).await, "it was removed before");
    assert_eq!(load(fresh, &one.handle).await, None);
    assert_eq!(save(fresh, &one, "again").await, Saved::Gone);
    assert_eq!(handles(fresh).await, [&*other.handle]);
    assert_eq!(load(fresh, &other.handle).await, Some(other));
}

/// It has at least 128 random bits, in letters, digits, `-` and `_`.
pub async fn a_handle_cannot_be_guessed(fresh: &Fresh) {
    const HANDLES: usize = 64;
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        let handle = create(fresh, "same").await.handle;
        assert!(handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{handle}");
        handles.push(handle);
    }
    // In a place that is random, 64 handles have hardly ever fewer than 16 characters of the 64 that there are; a place tells
    // as many bits as its characters do.
    let length = handles.iter().map(String::len).min().unwrap_or_default();
    let bits: f64 = (0..length)
        .map(|place| handles.iter().map(|handle| handle.as_bytes()[place]).collect::<BTreeSet<_>>().len())
        .filter(|different| *different >= 16)
        .map(|_| 6.0)
        .sum();
    assert!(bits >= 128.0, "only {bits} bits differ: {handles:?}");
}

/// A value of more than [`LARGEST`] bytes is refused, and changes nothing.
pub async fn a_session_is_small(fresh: &Fresh) {
    let too_large = Bytes::from(vec![0; LARGEST + 1]);
    let refused = fresh.stores.protocol_sessions.create(&tenant(), &ada(), too_large.clone(), MINUTE).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert_eq!(list(fresh).await, []);
    let session = create(fresh, "small").await;
    let refused =
        fresh.stores.protocol_sessions.save(&tenant(), &ada(), &session.handle, session.version, too_large).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert_eq!(load(fresh, &session.handle).await.as_ref(), Some(&session));
    assert!(matches!(save(fresh, &session, vec![1; LARGEST]).await, Saved::As(_)));
}

/// At most [`SessionRoom::of_owner`]; when one more is created, the one that is idle longest goes.
pub async fn an_owner_has_few_sessions(fresh: &Fresh) {
    let bob = Principal::from("bob");
    let bobs = fresh.stores.protocol_sessions.create(&tenant(), &bob, "bob's".into(), MINUTE * 60).await;
    let bobs = bobs.expect("a session is created").handle;
    let mut own = Vec::new();
    for n in 0..ROOM.of_owner {
        own.push(create_for(fresh, n.to_string(), MINUTE * 60).await.handle);
        if n < 3 {
            fresh.pass(SECOND);
        }
    }
    // The first is used again, so that the second is idle longest, and then the third.
    assert!(load(fresh, &own[0]).await.is_some());
    assert_eq!(list(fresh).await.len(), ROOM.of_owner as usize);
    for idle_longest in [1, 2] {
        fresh.pass(SECOND);
        own.push(create_for(fresh, "one more", MINUTE * 60).await.handle);
        let kept: BTreeSet<_> = handles(fresh).await.into_iter().collect();
        assert_eq!(kept.len(), ROOM.of_owner as usize);
        for (n, handle) in own.iter().enumerate() {
            assert_eq!(kept.contains(handle), !(1..=idle_longest).contains(&n), "session {n}");
        }
    }
    assert_eq!(load(fresh, &own[1]).await, None);
    let still = fresh.stores.protocol_sessions.load(&tenant(), &bob, &bobs).await.expect("sessions can be read");
    assert!(still.is_some(), "another owner's are not counted");
}

/// At most [`SessionRoom::in_all`]; when one more is created, the one that is idle longest goes, whosever it is.
pub async fn there_are_few_sessions_in_all(fresh: &Fresh) {
    let sessions = &fresh.stores.protocol_sessions;
    // As many owners in two tenants as none of them comes near to what one may have.
    let begin = async |n: u32| {
        let (tenant, owner) = (Tenant::from(["one", "two"][n as usize % 2]), Principal::from((n / 4).to_string()));
        let created = sessions.create(&tenant, &owner, "own".into(), MINUTE * 60).await.expect("a session is created");
        (tenant, owner, created.handle)
    };
    let mut all = Vec::new();
    for n in 0..ROOM.in_all {
        all.push(begin(n).await);
        if n < 3 {
            fresh.pass(SECOND);
        }
    }
    // The first is used again, so that the second is idle longest, and then the third.
    let (tenant, owner, handle) = &all[0];
    assert!(sessions.load(tenant, owner, handle).await.expect("sessions can be read").is_some());
    for idle_longest in [1, 2] {
        fresh.pass(SECOND);
        all.push(begin(ROOM.in_all - 1 + idle_longest).await);
        let mut kept = BTreeSet::new();
        for owner in all.iter().map(|(tenant, owner, _)| (tenant, owner)).collect::<BTreeSet<_>>() {
            let listed = sessions.list(owner.0, owner.1).await.expect("sessions can be listed");
            kept.extend(listed.into_iter().map(|info| info.handle));
        }
        assert_eq!(kept.len(), ROOM.in_all as usize);
        for (n, (_, _, handle)) in (0..).zip(&all) {
            assert_eq!(kept.contains(handle), !(1..=idle_longest).contains(&n), "session {n}");
        }
    }
    let (tenant, owner, handle) = &all[1];
    assert_eq!(sessions.load(tenant, owner, handle).await.expect("sessions can be read"), None);
}

/// A session is neither found nor listed in another room, and pushes none out of it.
pub async fn rooms_are_apart(fresh: &Fresh) {
    let (application, protocol) = (&*fresh.stores.sessions, &*fresh.stores.protocol_sessions);
    let begin = async |room: &dyn Sessions| {
        let begun = room.create(&tenant(), &ada(), "own".into(), MINUTE).await;
        begun.expect("a session is created")
    };
    let listed = async |room: &dyn Sessions| {
        let listed = room.list(&tenant(), &ada()).await.expect("sessions can be listed");
        listed.into_iter().map(|info| info.handle).collect::<Vec<_>>()
    };
    let rooms = [application, protocol];
    let own = [begin(application).await, begin(protocol).await];
    for (room, [mine, other]) in rooms.into_iter().zip([[&own[0], &own[1]], [&own[1], &own[0]]]) {
        assert_eq!(listed(room).await, [&*mine.handle]);
        let found = room.load(&tenant(), &ada(), &other.handle).await;
        assert_eq!(found.expect("sessions can be read"), None);
        let saved = room.save(&tenant(), &ada(), &other.handle, other.version, "theirs".into()).await;
        assert_eq!(saved.expect("it can be tried"), Saved::Gone);
        assert!(!room.remove(&tenant(), &ada(), &other.handle).await.expect("it can be tried"));
        assert_eq!(listed(room).await, [&*mine.handle]);
    }
    // One room is more than full, and the other keeps what it has.
    for _ in 0..=ROOM.in_all {
        begin(protocol).await;
    }
    assert_eq!(listed(application).await, [&*own[0].handle]);
    let mine = listed(protocol).await;
    for _ in 0..=ROOM.in_all {
        begin(application).await;
    }
    assert_eq!(listed(protocol).await, mine);
}

/// And all of them, with what is known of them.
pub async fn a_list_shows_the_last_used_first(fresh: &Fresh) {
    assert_eq!(list(fresh).await, []);
    let mut own = Vec::new();
    for value in ["1", "22", "333"] {
        own.push(create(fresh, value).await);
        fresh.pass(SECOND);
    }
    let [first, second, third] = [0, 1, 2].map(|n: usize| own[n].handle.clone());
    assert_eq!(handles(fresh).await, [third.clone(), second.clone(), first.clone()]);
    let created = list(fresh).await.into_iter().map(|info| info.created).collect::<Vec<_>>();
    assert_eq!(save(fresh, &own[0], "4444").await, Saved::As(load(fresh, &first).await.expect("it is there").version));
    fresh.pass(SECOND);
    load(fresh, &second).await.expect("it is there");
    let listed = list(fresh).await;
    let order = [(&second, created[1], 2), (&first, created[2], 4), (&third, created[0], 3)];
    assert_eq!(listed.iter().map(|info| (&info.handle, info.created, info.bytes)).collect::<Vec<_>>(), order);
    assert_eq!(listed[0].used, listed[1].used.after(SECOND));
    assert_eq!(listed[2].used, listed[2].created, "it was not used since");
    assert_eq!((created[0], created[1]), (created[1].after(SECOND), created[2].after(SECOND)));
}

/// All of the room, whosever they are.
pub async fn what_there_is_is_counted(fresh: &Fresh) {
    let count = async || fresh.stores.protocol_sessions.count().await.expect("sessions can be counted");
    assert_eq!(count().await, 0);
    let own = create(fresh, "own").await;
    let another =
        fresh.stores.protocol_sessions.create(&Tenant::from("another"), &ada(), "theirs".into(), MINUTE).await;
    another.expect("a session is created");
    fresh.stores.sessions.create(&tenant(), &ada(), "a tool's".into(), MINUTE).await.expect("a session is created");
    assert_eq!(count().await, 2, "whosever they are, and those of the room alone");
    load(fresh, &own.handle).await.expect("it is there");
    save(fresh, &own, "again").await;
    assert_eq!(count().await, 2, "it is still one");
    fresh.stores.protocol_sessions.remove(&tenant(), &ada(), &own.handle).await.expect("it can be removed");
    assert_eq!(count().await, 1);
}
