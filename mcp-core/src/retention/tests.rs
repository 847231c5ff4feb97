//! One of several replicas removes what is old, in batches, and another one goes on after it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::clock::simulated::SimulatedClock;
use crate::memory::lock;

/// So many records are left; each time something is asked for, it is noted.
struct Counted {
    kind: &'static str,
    left: AtomicU64,
    asked: Mutex<Vec<Keep>>,
    fails: bool,
    /// How long a batch takes.
    slow: Option<(SimulatedClock, Duration)>,
}

impl Counted {
    fn new(kind: &'static str, left: u64) -> Arc<Self> {
        Arc::new(Self { kind, left: left.into(), asked: Mutex::default(), fails: false, slow: None })
    }

    fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    fn remove(&self, batch: u16) -> u64 {
        if let Some((clock, taken)) = &self.slow {
            clock.advance(*taken);
        }
        let removed = self.left().min(batch.into());
        self.left.fetch_sub(removed, Ordering::Relaxed);
        removed
    }
}

#[async_trait]
impl Records for Counted {
    fn kind(&self) -> &'static str {
        self.kind
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        lock(&self.asked).push(keep);
        if self.fails {
            Err(StoreError::Unavailable { store: self.kind, source: None })
        } else {
            Ok(self.remove(batch))
        }
    }

    async fn forget(&self, _: &Tenant, _: &Principal, batch: u16) -> Result<u64, StoreError> {
        Ok(self.remove(batch))
    }
}

fn stores(clock: &SimulatedClock, records: &[Arc<Counted>]) -> Stores {
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.records = records.iter().map(|records| records.clone() as Arc<dyn Records>).collect();
    stores
}

fn tidy(stores: Stores, clock: &SimulatedClock, policy: &Policy) -> BoxFuture<'static, ()> {
    let (clock, policy) = (clock.clone(), policy.clone());
    async move { keep_tidy(&stores, &clock, &policy).await }.boxed()
}

#[tokio::test]
async fn one_replica_removes_a_batch_at_a_time_and_another_one_goes_on_after_it() {
    let clock = SimulatedClock::new();
    let (one, other) = (Counted::new("calls", 2_400), Counted::new("calls", 2_400));
    let mut shared = stores(&clock, std::slice::from_ref(&one));
    let first = shared.clone();
    shared.records = vec![other.clone()];
    let mut tasks = [tidy(first, &clock, &Policy::default()), tidy(shared, &clock, &Policy::default())];
    let poll = |tasks: &mut [BoxFuture<'static, ()>]| {
        for task in tasks {
            assert!(task.now_or_never().is_none(), "it never ends");
        }
    };
    poll(&mut tasks);
    assert_eq!((one.left(), other.left()), (2_400, 2_400), "nothing goes at the start");
    clock.advance(EACH);
    for left in [1_400, 400, 0, 0] {
        poll(&mut tasks);
        assert_eq!((one.left(), other.left()), (left, 2_400), "the other does nothing meanwhile");
        clock.advance(PAUSE[0]);
    }
    // The first is gone, and its lease ends.
    clock.advance(LEASE);
    let [_, mut second] = tasks;
    for left in [1_400, 400, 0] {
        poll(std::slice::from_mut(&mut second));
        assert_eq!((one.left(), other.left()), (0, left));
        clock.advance(PAUSE[0]);
    }
}

#[tokio::test]
async fn each_kind_is_kept_as_the_policy_says_and_a_failure_of_one_is_not_that_of_others() {
    let clock = SimulatedClock::new();
    let broken = Arc::new(Counted { fails: true, ..Arc::into_inner(Counted::new("broken", 1)).unwrap() });
    let kinds = [broken.clone(), Counted::new("calls", 0), Counted::new("notes", 0)];
    let day = Duration::from_secs(86_400);
    let policy = Policy::default()
        .limit("calls", Limit { age: Some(day), most: Some(7) })
        .limit("broken", Limit { age: Some(day * 2), most: None });
    let mut task = tidy(stores(&clock, &kinds), &clock, &policy);
    assert!((&mut task).now_or_never().is_none());
    clock.advance(EACH);
    assert!((&mut task).now_or_never().is_none());
    let (now, asked) = (clock.now(), |kind: &Counted| lock(&kind.asked).clone());
    assert_eq!(asked(&broken), [Keep { since: Some(now.before(day * 2)), most: None }]);
    assert_eq!(asked(&kinds[1]), [Keep { since: Some(now.before(day)), most: Some(7) }]);
    assert_eq!(asked(&kinds[2]), [Keep::default()], "what is not named is kept");
    clock.advance(EACH);
    assert!(task.now_or_never().is_none());
    assert_eq!(asked(&broken).len(), 2, "it is tried again");
}

#[tokio::test]
async fn a_database_has_as_long_for_others_as_a_batch_takes_and_each_kind_has_its_turn() {
    let clock = SimulatedClock::new();
    let taken = Duration::from_millis(40);
    let slow = Some((clock.clone(), taken));
    let slow = Arc::new(Counted { slow, ..Arc::into_inner(Counted::new("calls", 1_000_000_000)).unwrap() });
    let other = Counted::new("notes", 1);
    let task = tidy(stores(&clock, &[slow.clone(), other.clone()]), &clock, &Policy::default());
    // It does more at one go than tokio would allow it.
    let mut task = tokio::task::unconstrained(task);
    let mut removed = |waited| {
        let before = slow.left();
        clock.advance(waited);
        assert!((&mut task).now_or_never().is_none());
        (before - slow.left()) / u64::from(BATCH)
    };
    assert_eq!(removed(Duration::ZERO), 0);
    assert_eq!(removed(EACH), 1);
    assert_eq!(removed(taken - Duration::from_millis(1)), 0);
    assert_eq!(removed(Duration::from_millis(1)), 1);
    let mut batches = 2;
    while other.left() > 0 {
        batches += u128::from(removed(taken));
    }
    assert_eq!(batches, EACH.as_millis() / (taken * 2).as_millis());
    assert_eq!(removed(taken), 1, "what was left is gone on with at once");
}

#[tokio::test]
async fn what_is_forgotten_is_counted_by_kind() {
    let kinds = [Counted::new("calls", 1_700), Counted::new("notes", 0)];
    let stores = stores(&SimulatedClock::new(), &kinds);
    let forgotten = forget(&stores, &Tenant::from("a"), &Principal::from("p")).await.unwrap();
    assert_eq!(forgotten, [("calls", 1_700), ("notes", 0)]);
}
