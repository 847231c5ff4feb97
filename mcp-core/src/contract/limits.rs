//! What [`Limits`](crate::store::limits::Limits) promises.
//!
//! The case that reaches a bound uses 12,000 keys of 500 bytes each: make limits that hold less.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Fresh, tenant};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::limits::{Decision, Rate};

/// One named test for each promise of [`Limits`](crate::store::limits::Limits), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! limits_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            limits, $fresh,
            a_burst_is_allowed_and_no_more,
            tokens_come_back_evenly,
            a_refusal_takes_nothing,
            callers_are_apart,
            the_limits_are_bounded,
        }
    };
}

/// So long that the time which a case itself takes does not matter, where the clock is a server's.
const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// One token comes back each hour.
fn hourly(burst: u32) -> Rate {
    Rate { burst, per: HOUR * burst }
}

async fn take(fresh: &Fresh, key: &str, rate: Rate, cost: u32) -> Decision {
    fresh.stores.limits.take(&tenant(), key, rate, cost).await.expect("limits always decide")
}

/// Takes one at a time until it is refused.
async fn taken(fresh: &Fresh, key: &str, rate: Rate) -> u32 {
    let mut taken = 0;
    while take(fresh, key, rate, 1).await.allowed {
        taken += 1;
        assert!(taken <= rate.burst, "more than {} are allowed", rate.burst);
    }
    taken
}

/// One at a time, several at a time, and of those who ask at once.
pub async fn a_burst_is_allowed_and_no_more(fresh: &Fresh) {
    for burst in [1, 2, 10, 100, 1_000] {
        let (key, rate) = (format!("one at a time {burst}"), hourly(burst));
        for left in (0..burst).rev() {
            let Decision { allowed, remaining, retry_after, reset } = take(fresh, &key, rate, 1).await;
            assert_eq!((allowed, remaining, retry_after), (true, left, Duration::ZERO), "{left} of {burst}");
            let away = HOUR * (burst - left);
            assert!(reset <= away && away <= reset + MINUTE, "{left} of {burst}: it takes {reset:?}");
        }
        let Decision { allowed, remaining, retry_after, reset } = take(fresh, &key, rate, 1).await;
        assert_eq!((allowed, remaining), (false, 0), "{burst}");
        assert!(retry_after <= HOUR && HOUR <= retry_after + MINUTE, "{burst}: it takes {retry_after:?}");
        assert!(reset <= rate.per && rate.per <= reset + MINUTE, "{burst}: it takes {reset:?}");
    }
    let rate = hourly(10);
    for (cost, allowed, remaining) in
        [(0, true, 10), (6, true, 4), (5, false, 4), (4, true, 0), (1, false, 0), (0, true, 0)]
    {
        let decision = take(fresh, "several", rate, cost).await;
        assert_eq!((decision.allowed, decision.remaining), (allowed, remaining), "{cost}");
    }
    let never = fresh.stores.limits.take(&tenant(), "never", rate, 11).await;
    assert!(matches!(never, Err(StoreError::Refused { .. })), "{never:?}");
    assert_eq!(taken(fresh, "never", rate).await, 10);

    for burst in [20, 200] {
        let key = format!("at once {burst}");
        let decisions = join_all((0..burst * 2).map(|_| take(fresh, &key, hourly(burst), 1))).await;
        let allowed = decisions.iter().filter(|decision| decision.allowed).count();
        assert_eq!(allowed, burst as usize);
    }
    let no_limit = Rate { burst: 1, per: Duration::ZERO };
    for _ in 0..10 {
        assert!(take(fresh, "no limit", no_limit, 1).await.allowed);
    }
}

/// One after each interval, and never more than a burst.
pub async fn tokens_come_back_evenly(fresh: &Fresh) {
    let rate = hourly(60);
    assert_eq!(taken(fresh, "key", rate).await, 60);
    for _ in 0..3 {
        fresh.pass(HOUR - MINUTE);
        assert_eq!(taken(fresh, "key", rate).await, 0, "it is too early");
        fresh.pass(MINUTE);
        assert_eq!(taken(fresh, "key", rate).await, 1);
    }
    fresh.pass(HOUR * 10);
    assert_eq!(taken(fresh, "key", rate).await, 10);
    for cost in [1, 7, 60] {
        let refused = take(fresh, "key", rate, cost).await;
        assert!(!refused.allowed);
        fresh.pass(refused.retry_after - MINUTE);
        assert!(!take(fresh, "key", rate, cost).await.allowed, "{cost}: it is too early");
        fresh.pass(MINUTE);
        assert!(take(fresh, "key", rate, cost).await.allowed, "{cost} after {:?}", refused.retry_after);
    }
    for long in [rate.per, rate.per * 100] {
        fresh.pass(long);
        assert_eq!(taken(fresh, "key", rate).await, 60, "after {long:?}");
    }
}

/// However often it is refused, and whatever was asked for.
pub async fn a_refusal_takes_nothing(fresh: &Fresh) {
    let rate = hourly(10);
    assert!(take(fresh, "key", rate, 7).await.allowed);
    for _ in 0..50 {
        for cost in [4, 10] {
            let refused = take(fresh, "key", rate, cost).await;
            assert_eq!((refused.allowed, refused.remaining), (false, 3));
        }
    }
    assert!(take(fresh, "key", rate, 3).await.allowed, "three were left");
    fresh.pass(HOUR / 2);
    assert_eq!(taken(fresh, "key", rate).await, 0);
    fresh.pass(HOUR / 2);
    assert_eq!(taken(fresh, "key", rate).await, 1, "to be refused costs no time");
}

/// Equal keys of two tenants have nothing to do with each other, nor have two keys of one.
pub async fn callers_are_apart(fresh: &Fresh) {
    let keys = [
        ("a tenant", "key"),
        ("a tenant", "Key"),
        ("a tenant", ""),
        ("A tenant", "key"),
        ("another tenant", "key"),
        ("", "key"),
        // The end of the tenant's name is the beginning of the key.
        ("a ", "tenantkey"),
        ("a tenant:", "key"),
        ("a tenant", ":key"),
        ("", "a tenantkey"),
    ];
    for allowed in [true, false] {
        for (tenant, key) in keys {
            let decision = fresh.stores.limits.take(&Tenant::from(tenant), key, hourly(1), 1).await;
            assert_eq!(decision.expect("limits always decide").allowed, allowed, "{tenant:?} {key:?}");
        }
    }
}

/// However many keys there are.
pub async fn the_limits_are_bounded(fresh: &Fresh) {
    const KEYS: usize = 12_000;
    let key = |n: usize| format!("{n:0>500}");
    for n in 0..KEYS {
        assert!(take(fresh, &key(n), hourly(1), 1).await.allowed);
    }
    let mut held = 0;
    for n in 0..KEYS {
        held += usize::from(!take(fresh, &key(n), hourly(1), 1).await.allowed);
    }
    assert!(held < KEYS, "all {KEYS} keys are held");
}
