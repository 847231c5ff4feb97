//! Events between replicas.

use futures_util::StreamExt;
use mcp_core::store::events::{Event, Listener, Topic};

use super::outages::until;
use super::*;

/// What comes by itself.
async fn next(listener: &mut Listener) -> Event {
    let told = tokio::time::timeout(Duration::from_secs(30), listener.next()).await;
    told.expect("it is told").expect("a listener has no end")
}

#[tokio::test]
async fn another_replica_is_told() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    let topic = Topic::of(&Tenant::from("a"), "topic");
    let mut listeners =
        [one.stores.events.subscribe(&topic).await.unwrap(), other.stores.events.subscribe(&topic).await.unwrap()];
    for (replica, payload) in [(&one, "from one"), (&other, "from the other")] {
        replica.stores.events.publish(&topic, payload.into()).await.unwrap();
        for listener in &mut listeners {
            assert_eq!(next(listener).await, Event::Told(payload.into()));
        }
    }
}

#[tokio::test]
async fn a_change_is_heard_of_before_the_lease_is_over() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    let old = other.version().await.unwrap();
    one.invalidate().await.unwrap();
    // Time stands still.
    until("it is heard of", async || other.version().await.unwrap() != old).await;
}

#[tokio::test]
async fn who_listens_through_an_outage_is_told_that_it_missed_some_and_goes_on() {
    for is_frozen in [false, true] {
        let server = RedisServer::start();
        let replica = Replica::hasty(&server).await;
        let topic = Topic::of_the_house("topic");
        let mut listener = replica.stores.events.subscribe(&topic).await.unwrap();
        if is_frozen {
            server.freeze()
        } else {
            server.kill()
        }
        assert!(replica.stores.events.publish(&topic, "lost".into()).await.is_err());
        replica.notices().await;
        if is_frozen {
            server.thaw()
        } else {
            server.restart()
        }
        // One that was on its way may come first.
        let mut told = next(&mut listener).await;
        if told == Event::Told("lost".into()) {
            told = next(&mut listener).await;
        }
        assert_eq!(told, Event::Missed);
        until("it is published", async || replica.stores.events.publish(&topic, "found".into()).await.is_ok()).await;
        until("it is told", async || next(&mut listener).await == Event::Told("found".into())).await;
    }
}

#[tokio::test]
async fn who_listens_while_redis_is_away_is_told_when_it_is_there() {
    let server = RedisServer::start();
    server.stop();
    let replica = Replica::with_deadline(&server.url(), Duration::from_millis(150)).await;
    let topic = Topic::of_the_house("topic");
    let mut listener = replica.stores.events.subscribe(&topic).await.unwrap();
    server.restart();
    assert_eq!(next(&mut listener).await, Event::Missed);
    replica.stores.events.publish(&topic, "here".into()).await.unwrap();
    assert_eq!(next(&mut listener).await, Event::Told("here".into()));
}
