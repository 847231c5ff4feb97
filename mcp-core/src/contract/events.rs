//! What [`Events`](crate::store::events::Events) promises.

use bytes::Bytes;
use futures_util::StreamExt;

use super::{Fresh, tenant};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::events::{Event, LARGEST, Listener, Topic};

/// One named test for each promise of [`Events`](crate::store::events::Events), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! events_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            events, $fresh,
            who_listens_is_told_in_order,
            topics_are_apart,
            a_slow_listener_is_told_that_it_missed_some,
            a_payload_is_small,
        }
    };
}

fn topic() -> Topic {
    Topic::of(&tenant(), "topic")
}

async fn listen(fresh: &Fresh, topic: &Topic) -> Listener {
    fresh.stores.events.subscribe(topic).await.expect("one can listen")
}

async fn tell(fresh: &Fresh, topic: &Topic, payload: impl Into<Bytes>) {
    fresh.stores.events.publish(topic, payload.into()).await.expect("it is published");
}

async fn next(listener: &mut Listener) -> Event {
    listener.next().await.expect("a listener has no end")
}

/// All who listen, each once; whoever comes later is told of what is published from then on.
pub async fn who_listens_is_told_in_order(fresh: &Fresh) {
    const EVENTS: usize = 100;
    let mut listeners = [listen(fresh, &topic()).await, listen(fresh, &topic()).await];
    for n in 0..EVENTS {
        tell(fresh, &topic(), n.to_string()).await;
    }
    let mut latecomer = listen(fresh, &topic()).await;
    tell(fresh, &topic(), "last").await;
    for listener in &mut listeners {
        for n in 0..EVENTS {
            assert_eq!(next(listener).await, Event::Told(n.to_string().into()));
        }
        assert_eq!(next(listener).await, Event::Told("last".into()));
    }
    // What was published just before it came may have been on its way.
    while next(&mut latecomer).await != Event::Told("last".into()) {}
}

/// Equal names of two tenants have nothing to do with each other.
pub async fn topics_are_apart(fresh: &Fresh) {
    let others = [
        Topic::of(&tenant(), "Topic"),
        Topic::of(&Tenant::from("another tenant"), "topic"),
        Topic::of(&Tenant::from(""), "topic"),
        Topic::of_the_house("topic"),
        // The end of the tenant's name is the beginning of the topic's.
        Topic::of(&Tenant::from("a "), "tenanttopic"),
        Topic::of(&Tenant::from("a tenant:"), "topic"),
        Topic::of(&tenant(), ":topic"),
        Topic::of(&tenant(), "*"),
        Topic::of_the_house("*"),
    ];
    let mut listener = listen(fresh, &topic()).await;
    let mut elsewhere = Vec::new();
    for other in &others {
        elsewhere.push(listen(fresh, other).await);
    }
    for (n, other) in others.iter().enumerate() {
        tell(fresh, other, n.to_string()).await;
    }
    tell(fresh, &topic(), "here").await;
    assert_eq!(next(&mut listener).await, Event::Told("here".into()));
    for (n, listener) in elsewhere.iter_mut().enumerate() {
        assert_eq!(next(listener).await, Event::Told(n.to_string().into()), "{:?}", others[n]);
    }
}

/// It is one that does not listen while many are published, and then does; others are told meanwhile.
pub async fn a_slow_listener_is_told_that_it_missed_some(fresh: &Fresh) {
    const EVENTS: usize = 20_000;
    let mut slow = listen(fresh, &topic()).await;
    let mut quick = listen(fresh, &topic()).await;
    for n in 0..EVENTS {
        tell(fresh, &topic(), n.to_string()).await;
    }
    let last = Event::Told((EVENTS - 1).to_string().into());
    while next(&mut quick).await != last {}
    let (mut told, mut missed, mut expected) = (0, false, Some(0));
    loop {
        let event = next(&mut slow).await;
        match &event {
            Event::Missed => (missed, expected) = (true, None),
            Event::Told(payload) => {
                let n: usize = std::str::from_utf8(payload).ok().and_then(|n| n.parse().ok()).expect("a number");
                assert!(
                    expected.is_none_or(|expected| expected == n),
                    "{n} follows, and nothing says that some are missing"
                );
                (told, expected) = (told + 1, Some(n + 1));
            }
        }
        if event == last {
            break;
        }
    }
    assert!(missed && told < EVENTS, "all {EVENTS} events were kept for it");
}

/// Nobody is told of one that is refused.
pub async fn a_payload_is_small(fresh: &Fresh) {
    let mut listener = listen(fresh, &topic()).await;
    let refused = fresh.stores.events.publish(&topic(), vec![0; LARGEST + 1].into()).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let largest = Bytes::from(vec![7; LARGEST]);
    tell(fresh, &topic(), largest.clone()).await;
    assert_eq!(next(&mut listener).await, Event::Told(largest));
}
