//! A process knows when it may be taken for dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{JoinError, Presence};
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::memory::MemoryReplicas;
use crate::spawn::Spawner;
use crate::store::StoreError;
use crate::store::replicas::{Living, Replica, ReplicaId, Replicas};
use crate::tokio_runtime::TokioSpawner;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(9);

/// Replicas that may be out of reach.
struct House {
    clock: SimulatedClock,
    replicas: MemoryReplicas,
    away: AtomicBool,
}

#[async_trait]
impl Replicas for House {
    async fn join(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { store: "replicas", source: None });
        }
        self.replicas.join(replica, time).await
    }

    async fn leave(&self, id: ReplicaId) -> Result<(), StoreError> {
        self.replicas.leave(id).await
    }

    async fn list(&self) -> Result<Vec<Living>, StoreError> {
        self.replicas.list().await
    }
}

impl House {
    fn new() -> Arc<Self> {
        let clock = SimulatedClock::new();
        let replicas = MemoryReplicas::new(Arc::new(clock.clone()));
        Arc::new(Self { clock, replicas, away: AtomicBool::new(false) })
    }

    fn replica(self: &Arc<Self>, alone: bool) -> Presence {
        let replica = Replica { alone, ..Replica::new("a machine", "1.0.0", Timestamp::default()) };
        Presence::new(replica, LEASE, self.clone(), Arc::new(self.clock.clone()))
    }

    /// Lets time pass second by second, with all that is to be done in it.
    async fn pass(&self, seconds: u32) {
        for _ in 0..seconds {
            settle().await;
            self.clock.advance(SECOND);
        }
        settle().await;
    }

    async fn lives(&self, presence: &Presence) -> bool {
        let living = self.replicas.list().await.unwrap();
        living.iter().any(|living| living.replica == *presence.replica())
    }
}

/// Lets every task go on as far as it can by itself.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn spawner() -> TokioSpawner {
    TokioSpawner::current()
}

/// Joins beside everything else.
fn begin_to_join(presence: Presence) -> oneshot::Receiver<Result<(), JoinError>> {
    let (done, joined) = oneshot::channel();
    spawner().spawn(Box::pin(async move {
        let _ = done.send(presence.join(&spawner()).await);
    }));
    joined
}

#[tokio::test]
async fn it_lives_on_until_nobody_needs_it() {
    let house = House::new();
    let presence = house.replica(false);
    assert!(!presence.is_alive() && !house.lives(&presence).await, "nothing is registered before it joins");
    presence.join(&spawner()).await.unwrap();
    presence.join(&spawner()).await.unwrap();
    house.pass(60).await;
    assert!(presence.is_alive() && house.lives(&presence).await);
    let id = presence.replica().id;
    assert_eq!(presence.clone().alive(&spawner()).await.unwrap(), id);
    drop(presence);
    house.pass(10).await;
    assert_eq!(house.replicas.list().await.unwrap(), [], "{id} lives for nobody");
}

#[tokio::test]
async fn it_joins_when_it_is_first_needed() {
    let house = House::new();
    let presence = house.replica(false);
    assert_eq!(presence.alive(&spawner()).await.unwrap(), presence.replica().id);
    house.pass(60).await;
    assert!(presence.is_alive() && house.lives(&presence).await);
}

#[tokio::test]
async fn one_that_is_not_heard_knows_it_before_others_do_and_comes_back() {
    let house = House::new();
    let presence = house.replica(false);
    presence.join(&spawner()).await.unwrap();
    house.pass(1).await;
    house.away.store(true, Ordering::Relaxed);
    while presence.is_alive() {
        assert!(house.lives(&presence).await, "others take it for dead, and it does not know");
        house.pass(1).await;
    }
    let refused = presence.alive(&spawner()).await;
    assert!(matches!(refused, Err(JoinError::Store(StoreError::Unavailable { .. }))), "{refused:?}");
    house.away.store(false, Ordering::Relaxed);
    house.pass(4).await;
    assert!(presence.is_alive() && house.lives(&presence).await);
}

#[tokio::test]
async fn one_that_was_stopped_knows_it_before_it_does_anything_else() {
    let house = House::new();
    let presence = house.replica(false);
    presence.join(&spawner()).await.unwrap();
    settle().await;
    house.clock.advance(LEASE);
    assert!(!presence.is_alive(), "no task has run since");
}

#[tokio::test]
async fn one_that_leaves_is_gone_for_good() {
    let house = House::new();
    let (never, presence) = (house.replica(false), house.replica(false));
    never.leave().await;
    presence.join(&spawner()).await.unwrap();
    presence.leave().await;
    house.pass(10).await;
    for left in [never, presence] {
        assert!(!left.is_alive() && !house.lives(&left).await);
        assert!(left.alive(&spawner()).await.is_err());
        assert!(!house.lives(&left).await);
    }
}

#[tokio::test]
async fn one_that_must_be_alone_waits_for_the_dead_and_not_for_the_living() {
    let house = House::new();
    let killed = house.replica(true);
    killed.join(&spawner()).await.unwrap();
    drop(killed);
    let first = house.replica(true);
    let mut joining = begin_to_join(first.clone());
    house.pass(5).await;
    assert!(joining.try_recv().is_err(), "the one that was killed may still live");
    let impatient = house.replica(true);
    assert!(matches!(impatient.alive(&spawner()).await, Err(JoinError::Alone(_))), "it waits for nobody");
    house.pass(10).await;
    joining.try_recv().expect("its time is over").unwrap();

    for alone in [true, false] {
        let second = house.replica(alone);
        let mut joining = begin_to_join(second.clone());
        house.pass(4).await;
        let refused = joining.try_recv().expect("the first has been heard since").unwrap_err();
        let JoinError::Alone(other) = &refused else { panic!("{refused}") };
        assert_eq!(**other, *first.replica());
        assert_eq!(
            refused.to_string(),
            "another replica serves already, on a machine since 1970-01-01T00:00:00.000000Z"
        );
    }
    assert!(first.is_alive());
}
