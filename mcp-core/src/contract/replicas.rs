//! What [`Replicas`](crate::store::replicas::Replicas) promises.

use std::time::Duration;

use futures_util::future::join_all;

use super::Fresh;
use crate::clock::Timestamp;
use crate::store::replicas::{Living, Replica, ReplicaId};

/// One named test for each promise of [`Replicas`](crate::store::replicas::Replicas), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! replicas_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            replicas, $fresh,
            a_replica_lives_until_its_time_is_over,
            a_replica_that_leaves_is_gone_at_once,
            all_that_live_are_listed,
            nobody_joins_one_that_is_alone,
        }
    };
}

/// So long that the time which a case itself takes does not matter, where the clock is a database's.
const HOUR: Duration = Duration::from_secs(60 * 60);

fn replica(id: u64) -> Replica {
    let (id, started) = (ReplicaId::from_u64(id), Timestamp::from_micros(7));
    Replica { id, host: "a machine".to_owned(), version: "1.0.0".to_owned(), started, alone: false }
}

fn alone(id: u64) -> Replica {
    Replica { alone: true, ..replica(id) }
}

/// The one that is in the way, if it does not join.
async fn ask(fresh: &Fresh, replica: &Replica, time: Duration) -> Option<Living> {
    fresh.stores.replicas.join(replica, time).await.expect("one can join")
}

async fn join(fresh: &Fresh, replica: &Replica, time: Duration) {
    assert_eq!(ask(fresh, replica, time).await, None, "{replica:?} is in nobody's way");
}

async fn leave(fresh: &Fresh, replica: &Replica) {
    fresh.stores.replicas.leave(replica.id).await.expect("one can leave");
}

async fn list(fresh: &Fresh) -> Vec<Living> {
    fresh.stores.replicas.list().await.expect("replicas can be listed")
}

async fn living(fresh: &Fresh) -> Vec<Replica> {
    list(fresh).await.into_iter().map(|living| living.replica).collect()
}

/// From when it last joined, be it for a shorter time; after its end, until it joins again.
pub async fn a_replica_lives_until_its_time_is_over(fresh: &Fresh) {
    let (one, other) = (replica(1), replica(2));
    join(fresh, &one, HOUR).await;
    join(fresh, &other, HOUR * 3).await;
    let until = list(fresh).await[0].until;
    fresh.pass(HOUR / 2);
    assert_eq!(living(fresh).await, [one.clone(), other.clone()]);
    join(fresh, &one, HOUR).await;
    assert!(list(fresh).await[0].until > until, "it lives on");
    fresh.pass(HOUR / 2);
    assert_eq!(living(fresh).await, [one.clone(), other.clone()]);
    fresh.pass(HOUR / 2);
    assert_eq!(living(fresh).await, std::slice::from_ref(&other), "the first was not heard for an hour");
    join(fresh, &one, HOUR).await;
    assert_eq!(living(fresh).await, [one.clone(), other.clone()], "it has come back");
    join(fresh, &one, Duration::ZERO).await;
    assert_eq!(living(fresh).await, [other]);
    let endless = replica(3);
    join(fresh, &endless, Duration::MAX).await;
    fresh.pass(HOUR * 24 * 365);
    assert_eq!(living(fresh).await, std::slice::from_ref(&endless));
    join(fresh, &endless, Duration::MAX).await;
}

/// Nobody waits for it, it alone is gone, and it may come back.
pub async fn a_replica_that_leaves_is_gone_at_once(fresh: &Fresh) {
    let (one, other) = (replica(1), replica(2));
    join(fresh, &one, HOUR).await;
    join(fresh, &other, HOUR).await;
    leave(fresh, &one).await;
    leave(fresh, &one).await;
    leave(fresh, &replica(3)).await;
    assert_eq!(living(fresh).await, std::slice::from_ref(&other));
    assert!(ask(fresh, &alone(3), HOUR).await.is_some(), "the other lives");
    join(fresh, &one, HOUR).await;
    assert_eq!(living(fresh).await, [one, other]);
}

/// To the last byte, those that began first before the others.
pub async fn all_that_live_are_listed(fresh: &Fresh) {
    assert_eq!(list(fresh).await, []);
    let began = |id, micros| Replica { started: Timestamp::from_micros(micros), ..replica(id) };
    let (host, version) = ("Ünï\0code' \" % _ \\ \u{1}".to_owned(), String::new());
    let odd = Replica { host, version, ..began(u64::MAX, -1) };
    let late = began(1, 9);
    for replica in [&late, &began(3, 8), &odd, &began(2, 8)] {
        join(fresh, replica, HOUR).await;
    }
    assert_eq!(living(fresh).await, [odd, began(2, 8), began(3, 8), late]);
    assert!(list(fresh).await.iter().all(|living| living.until > Timestamp::from_micros(9)));
}

/// Nor joins it others. However many ask at once, and once it is gone, others may.
pub async fn nobody_joins_one_that_is_alone(fresh: &Fresh) {
    let many: Vec<_> = (1..=16).map(alone).collect();
    let asked = join_all(many.iter().map(|replica| ask(fresh, replica, HOUR))).await;
    let joined = living(fresh).await;
    let [first] = &joined[..] else { panic!("{} are alone", joined.len()) };
    for (replica, in_the_way) in many.iter().zip(asked) {
        let expected = (replica != first).then_some(first);
        assert_eq!(in_the_way.as_ref().map(|living| &living.replica), expected, "{replica:?}");
    }
    for other in [replica(17), alone(18)] {
        let in_the_way = ask(fresh, &other, HOUR).await.map(|living| living.replica);
        assert_eq!(in_the_way.as_ref(), Some(first), "{other:?}");
    }
    join(fresh, first, HOUR).await;
    assert_eq!(
        living(fresh).await,
        std::slice::from_ref(first),
        "it is not in its own way, and others have changed nothing"
    );
    fresh.pass(HOUR);
    let shares = replica(19);
    join(fresh, &shares, HOUR).await;
    let in_the_way = ask(fresh, first, HOUR).await.map(|living| living.replica);
    assert_eq!(in_the_way, Some(shares.clone()), "its time was over, and it must be alone");
    join(fresh, &replica(20), HOUR).await;
    leave(fresh, &replica(20)).await;
    leave(fresh, &shares).await;
    join(fresh, first, HOUR).await;
}
