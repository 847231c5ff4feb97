//! Limits of replicas on one Redis, also while it is away.

use futures_util::future::join_all;
use mcp_core::store::limits::{Decision, Rate};

use super::shared::runs;
use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// One token comes back each hour.
fn hourly(burst: u32) -> Rate {
    Rate { burst, per: HOUR * burst }
}

impl Replica {
    async fn take(&self, rate: Rate) -> Decision {
        self.cost(rate, 1).await
    }

    async fn cost(&self, rate: Rate, cost: u32) -> Decision {
        self.stores.limits.take(&Tenant::from("a"), "key", rate, cost).await.expect("limits always decide")
    }

    /// Takes one at a time until it is refused.
    async fn takes(&self, rate: Rate) -> u32 {
        let mut taken = 0;
        while self.take(rate).await.allowed {
            taken += 1;
            assert!(taken <= rate.burst, "one alone has more than a burst");
        }
        taken
    }
}

fn pass(redis: &RedisServer, replicas: [&Replica; 2], time: Duration) {
    age(&mut commands(&redis.url()), time);
    for replica in replicas {
        replica.clock.advance(time);
    }
}

#[tokio::test]
async fn replicas_have_no_more_together_than_the_rate_and_what_each_has_in_advance() {
    let redis = RedisServer::start();
    let (one, other) = (Replica::on(&redis).await, Replica::on(&redis).await);
    let rate = hourly(160);
    assert!(one.take(rate).await.allowed);
    // A sixteenth of a burst was taken in advance.
    assert_eq!(other.takes(rate).await, 150);
    let refused = other.take(rate).await;
    assert!(refused.retry_after <= HOUR && refused.remaining == 0, "{refused:?}");
    assert_eq!(one.takes(rate).await, 9);

    pass(&redis, [&one, &other], rate.per);
    assert!(one.take(rate).await.allowed);
    pass(&redis, [&one, &other], rate.per);
    assert_eq!((other.takes(rate).await, one.takes(rate).await), (160, 9));
    pass(&redis, [&one, &other], HOUR);
    assert_eq!((one.takes(rate).await, other.takes(rate).await), (1, 0));

    pass(&redis, [&one, &other], rate.per);
    assert!(one.take(rate).await.allowed);
    pass(&redis, [&one, &other], rate.per);
    assert_eq!(one.takes(rate).await, 160, "one alone has no more, with what it has in advance");
}

#[tokio::test]
async fn who_is_refused_much_by_what_others_took_may_yet_have_little() {
    let redis = RedisServer::start();
    let (one, other) = (Replica::on(&redis).await, Replica::on(&redis).await);
    let rate = hourly(10);
    assert!(other.cost(rate, 7).await.allowed);
    for (cost, allowed, hours) in [(5, false, 2), (7, false, 4), (4, false, 1), (2, true, 0), (2, false, 1)] {
        let decision = one.cost(rate, cost).await;
        let (retry, expected) = (decision.retry_after, HOUR * hours);
        assert_eq!(decision.allowed, allowed, "{cost}: {decision:?}");
        assert!(retry <= expected && expected <= retry + HOUR / 2, "{cost}: {decision:?}");
    }
    assert!(other.take(rate).await.allowed, "a refusal takes nothing from others");
}

#[tokio::test]
async fn most_calls_and_most_refusals_cost_no_round_trip() {
    let redis = RedisServer::start();
    let (one, other) = (Replica::on(&redis).await, Replica::on(&redis).await);
    let (rate, mut past) = (hourly(1_600), commands(&redis.url()));
    let first = join_all((0..100).map(|_| one.take(rate))).await;
    assert!(first.iter().all(|decision| decision.allowed));
    assert_eq!(runs(&mut past, "eval"), 1, "of those who come at once, one asks");
    assert_eq!(one.takes(rate).await, 1_500);
    assert_eq!(runs(&mut past, "eval"), 16);
    assert_eq!(other.takes(rate).await, 0);
    for _ in 0..100 {
        assert!(!one.take(rate).await.allowed && !other.take(rate).await.allowed);
    }
    assert_eq!(runs(&mut past, "eval"), 17, "it is known when to ask again");
}

/// Two replicas through an outage in which each counts for itself. What Redis gives and nobody hears of is lost: so many at most.
async fn through(redis: &RedisServer, lost: u32, begins: impl Fn(), ends: impl Fn()) {
    let (one, other) = (Replica::hasty(redis).await, Replica::hasty(redis).await);
    let rate = hourly(10);
    for (replica, calls) in [(&one, 5), (&other, 3)] {
        for _ in 0..calls {
            assert!(replica.take(rate).await.allowed);
        }
    }
    begins();
    assert_eq!(one.takes(rate).await, 5, "with what it had before it has a burst");
    one.notices().await;
    other.notices().await;
    assert_eq!(other.takes(rate).await, 7);
    one.clock.advance(HOUR);
    assert_eq!(one.takes(rate).await, 1, "tokens come back by its own clock");
    one.clock.advance(HOUR);

    ends();
    one.heals().await;
    other.heals().await;
    let new = Replica::on(redis).await;
    let left = new.takes(rate).await;
    assert!((2 - lost..=2).contains(&left), "eight were taken before, and {left} are left");
    assert_eq!(one.takes(rate).await, 0, "it has a token by its own count, and asks again");
    pass(redis, [&one, &other], HOUR);
    assert_eq!((other.takes(rate).await, one.takes(rate).await), (1, 0));
}

#[tokio::test]
async fn redis_is_stopped_and_starts_again() {
    let redis = RedisServer::start();
    through(&redis, 0, || redis.stop(), || redis.restart()).await;
}

#[tokio::test]
async fn redis_is_frozen_and_goes_on() {
    let redis = RedisServer::start();
    through(&redis, 1, || redis.freeze(), || redis.thaw()).await;
}

#[tokio::test]
async fn what_is_under_a_key_ends_by_itself_and_if_it_is_no_limit_is_counted_here() {
    let redis = RedisServer::start();
    let replica = Replica::on(&redis).await;
    let mut past = commands(&redis.url());
    assert!(replica.take(hourly(3)).await.allowed);
    let left: u64 = redis::cmd("PTTL").arg("mcp:limit:1:a:key").query(&mut past).unwrap();
    let hour = u64::try_from(HOUR.as_millis()).unwrap();
    assert!(left <= hour, "{left} ms");
    redis::cmd("LPUSH").arg("mcp:limit:1:b:key").arg("what").exec(&mut past).unwrap();
    let of_b = async || replica.stores.limits.take(&Tenant::from("b"), "key", hourly(2), 1).await.unwrap().allowed;
    assert_eq!((of_b().await, of_b().await, of_b().await), (true, true, false));
}
