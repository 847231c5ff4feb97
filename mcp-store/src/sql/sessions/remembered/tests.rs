//! What is remembered, by whom it is found, and what is put out of it.

use std::cell::Cell;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::sessions::LARGEST;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn found(version: u64, lasts: Duration) -> Found {
    Found { session: StoredSession { handle: "h".to_owned(), version, value: Bytes::new() }, lasts }
}

/// What the owner finds, where the database has that.
async fn load(remembered: &Remembered, owner: &str, there: Option<Found>) -> Option<u64> {
    let find = async { Ok(there) };
    let loaded = remembered.load(&Tenant::from("a"), &Principal::from(owner), "h", find).await;
    loaded.unwrap().map(|session| session.version)
}

#[tokio::test]
async fn what_was_found_is_not_looked_for_again_as_long_as_it_lasts() {
    let clock = SimulatedClock::new();
    let remembered = Remembered::new(Arc::new(clock.clone()));
    assert_eq!(load(&remembered, "p", None).await, None);
    assert_eq!(
        load(&remembered, "p", Some(found(1, Duration::ZERO))).await,
        Some(1),
        "that there is none does not last"
    );
    assert_eq!(load(&remembered, "p", Some(found(2, SECOND))).await, Some(2), "nor what lasts no time");
    assert_eq!(load(&remembered, "p", Some(found(3, SECOND))).await, Some(2));
    clock.advance(SECOND);
    assert_eq!(load(&remembered, "p", Some(found(4, SECOND))).await, Some(4));
    clock.advance(SECOND);
    assert_eq!(load(&remembered, "p", None).await, None);
}

#[tokio::test]
async fn what_is_remembered_is_found_by_its_owner_alone() {
    let remembered = Remembered::new(Arc::new(SimulatedClock::new()));
    load(&remembered, "p", Some(found(1, SECOND))).await;
    assert_eq!(load(&remembered, "q", None).await, None);
    let (tenant, owner) = (Tenant::from("b"), Principal::from("p"));
    assert_eq!(remembered.load(&tenant, &owner, "h", async { Ok(None) }).await.unwrap(), None);
    assert_eq!(
        load(&remembered, "p", None).await,
        Some(1),
        "who has presented what is not theirs has pushed nothing out"
    );
}

#[tokio::test]
async fn of_those_who_look_at_once_one_asks() {
    let (remembered, asked) = (Remembered::new(Arc::new(SimulatedClock::new())), Cell::new(0));
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    let loads = (0..8).map(|_| {
        remembered.load(&tenant, &owner, "h", async {
            asked.set(asked.get() + 1);
            yield_now().await;
            Ok(Some(found(1, SECOND)))
        })
    });
    for loaded in join_all(loads).await {
        assert_eq!(loaded.unwrap().unwrap().version, 1);
    }
    assert_eq!(asked.get(), 1);
}

#[tokio::test]
async fn what_was_found_before_a_change_is_not_remembered_after_it() {
    let remembered = Remembered::new(Arc::new(SimulatedClock::new()));
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    let (tell, told) = oneshot::channel();
    let mut load_before = remembered
        .load(&tenant, &owner, "h", async {
            told.await.unwrap();
            Ok(Some(found(1, SECOND)))
        })
        .boxed();
    assert!((&mut load_before).now_or_never().is_none(), "it has asked, and the answer is on its way");
    let mut forget = remembered.forget("h").boxed();
    assert!((&mut forget).now_or_never().is_none(), "it waits for that answer");
    tell.send(()).unwrap();
    let (before, ()) = join(load_before, forget).await;
    assert_eq!(before.unwrap().unwrap().version, 1);
    assert_eq!(load(&remembered, "p", Some(found(2, SECOND))).await, Some(2));
}

#[tokio::test]
async fn who_leaves_while_they_look_stops_nobody() {
    let remembered = Remembered::new(Arc::new(SimulatedClock::new()));
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    let mut left = remembered.load(&tenant, &owner, "h", std::future::pending()).boxed();
    assert!((&mut left).now_or_never().is_none());
    drop(left);
    assert_eq!(load(&remembered, "p", Some(found(1, SECOND))).await, Some(1));
    remembered.forget("h").await;
    assert_eq!(load(&remembered, "p", None).await, None);
}

#[tokio::test]
async fn it_is_bounded_by_its_bytes() {
    let remembered = Remembered::new(Arc::new(SimulatedClock::new()));
    let (tenant, owner, value) = (Tenant::from("a"), Principal::from("p"), Bytes::from(vec![0; LARGEST]));
    for n in 0..BYTES / LARGEST as u64 + 20 {
        let handle = n.to_string();
        let session = StoredSession { handle: handle.clone(), version: n, value: value.clone() };
        let find = async { Ok(Some(Found { session, lasts: SECOND })) };
        remembered.load(&tenant, &owner, &handle, find).await.unwrap();
    }
    remembered.by_handle.run_pending_tasks().await;
    let held = remembered.by_handle.weighted_size();
    assert!((BYTES / 2..=BYTES).contains(&held), "{held} bytes");
}
