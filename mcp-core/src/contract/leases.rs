//! What [`Leases`](crate::store::leases::Leases) promises.

use std::time::Duration;

use futures_util::future::join_all;

use super::Fresh;
use crate::store::leases::Lease;

/// One named test for each promise of [`Leases`](crate::store::leases::Leases), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! leases_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            leases, $fresh,
            one_holder_at_a_time,
            a_lease_ends_by_itself,
            each_holder_has_a_greater_epoch_than_all_before,
            only_its_holder_renews_or_releases,
        }
    };
}

/// So long that the time which a case itself takes does not matter, where the clock is a database's.
const HOUR: Duration = Duration::from_secs(60 * 60);

async fn acquire(fresh: &Fresh, name: &str, time: Duration) -> Option<Lease> {
    fresh.stores.leases.acquire(name, time).await.expect("one can ask for it")
}

async fn held(fresh: &Fresh, name: &str, time: Duration) -> Lease {
    acquire(fresh, name, time).await.unwrap_or_else(|| panic!("nobody has {name:?}"))
}

async fn renew(fresh: &Fresh, lease: &Lease, time: Duration) -> bool {
    fresh.stores.leases.renew(lease, time).await.expect("one can renew")
}

async fn release(fresh: &Fresh, lease: &Lease) {
    fresh.stores.leases.release(lease.clone()).await.expect("one can release");
}

/// Of each name, whether it was never held, was released, or has ended; however many ask at once.
pub async fn one_holder_at_a_time(fresh: &Fresh) {
    for round in ["new", "released", "ended"] {
        let asked = join_all((0..16).map(|_| acquire(fresh, "work", HOUR))).await;
        let holders: Vec<_> = asked.into_iter().flatten().collect();
        let [holder] = &holders[..] else { panic!("{round}: there are {} holders", holders.len()) };
        assert_eq!(holder.name, "work");
        assert_eq!(acquire(fresh, "work", HOUR).await, None, "{round}: its holder has it already");
        match round {
            "new" => release(fresh, holder).await,
            _ => fresh.pass(HOUR),
        }
    }
    let mut others = Vec::new();
    for name in ["work", "Work", "", "work ", "wo\0rk", "wo\u{1}rk", "wo\u{1}0rk", "w%", "🦀"] {
        others.push(held(fresh, name, HOUR).await);
    }
    for other in others {
        assert_eq!(acquire(fresh, &other.name, HOUR).await, None);
        assert!(renew(fresh, &other, HOUR).await, "{:?}", other.name);
    }
}

/// When its time is over, counted from the last renewal, and not before.
pub async fn a_lease_ends_by_itself(fresh: &Fresh) {
    let first = held(fresh, "work", HOUR).await;
    fresh.pass(HOUR / 2);
    assert!(renew(fresh, &first, HOUR).await);
    fresh.pass(HOUR / 2);
    assert_eq!(acquire(fresh, "work", HOUR).await, None, "it was renewed");
    fresh.pass(HOUR / 2);
    assert!(!renew(fresh, &first, HOUR).await, "it has ended");
    let second = held(fresh, "work", HOUR * 2).await;
    fresh.pass(HOUR);
    assert!(renew(fresh, &second, HOUR / 2).await, "a renewal may make it shorter");
    fresh.pass(HOUR / 2);
    held(fresh, "work", Duration::ZERO).await;
    let endless = held(fresh, "work", Duration::MAX).await;
    fresh.pass(HOUR * 24 * 365);
    assert_eq!(acquire(fresh, "work", HOUR).await, None);
    assert!(renew(fresh, &endless, Duration::MAX).await);
}

/// However the one before came to its end.
pub async fn each_holder_has_a_greater_epoch_than_all_before(fresh: &Fresh) {
    let mut last = held(fresh, "work", HOUR).await;
    for round in 0..10 {
        match round % 3 {
            0 => release(fresh, &last).await,
            1 => fresh.pass(HOUR),
            _ => {
                assert!(renew(fresh, &last, HOUR / 2).await);
                fresh.pass(HOUR / 2);
            }
        }
        let elsewhere = held(fresh, "other work", HOUR).await;
        let next = held(fresh, "work", HOUR).await;
        assert!(next.epoch > last.epoch, "round {round}: {} follows {}", next.epoch, last.epoch);
        last = next;
        release(fresh, &elsewhere).await;
    }
}

/// Neither an earlier holder nor that of another work, and nobody once it is released.
pub async fn only_its_holder_renews_or_releases(fresh: &Fresh) {
    let old = held(fresh, "work", HOUR).await;
    fresh.pass(HOUR);
    let new = held(fresh, "work", HOUR).await;
    let future = Lease { epoch: new.epoch + 1, ..new.clone() };
    let nobody = Lease { name: "no work".to_owned(), ..new.clone() };
    for stranger in [&old, &future, &nobody] {
        assert!(!renew(fresh, stranger, HOUR * 2).await, "{stranger:?} is not {new:?}");
        release(fresh, stranger).await;
        assert_eq!(acquire(fresh, "work", HOUR).await, None, "{stranger:?} has released {new:?}");
    }
    assert!(renew(fresh, &new, HOUR).await);
    fresh.pass(HOUR / 2);
    release(fresh, &new).await;
    assert!(!renew(fresh, &new, HOUR).await, "it was released");
    release(fresh, &new).await;
    let last = held(fresh, "work", HOUR).await;
    release(fresh, &new).await;
    assert!(renew(fresh, &last, HOUR).await);
}
