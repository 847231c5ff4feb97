//! Events that break their promises.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::caller::Tenant;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::{MemoryEvents, lock};
use crate::store::events::{Event, Events, LARGEST, Listener, Topic};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    LosesOne,
    TellsOneTwice,
    SwapsTwo,
    TellsOneListener,
    TellsNoLatecomer,
    SharedNames,
    SharedTenants,
    JoinsTheNames,
    TheHouseIsATenant,
    MissesInSilence,
    KeepsAll,
    TakesAnySize,
    RefusesTheLargest,
}

/// Sound events, but for a flaw.
struct Broken {
    flaw: Flaw,
    sound: MemoryEvents,
    listeners: Mutex<usize>,
    held: Mutex<Option<Bytes>>,
    endless: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.events = Arc::new(Broken {
        flaw,
        sound: MemoryEvents::default(),
        listeners: Mutex::default(),
        held: Mutex::default(),
        endless: Mutex::default(),
    });
    Fresh::new(stores, clock)
}

impl Broken {
    fn topic(&self, topic: &Topic) -> Topic {
        let tenant = topic.tenant().map_or("", Tenant::as_str);
        match self.flaw {
            Flaw::SharedNames => Topic::of(&Tenant::from(tenant), topic.name().to_lowercase()),
            Flaw::SharedTenants => Topic::of_the_house(topic.name()),
            Flaw::JoinsTheNames => Topic::of_the_house(format!("{tenant}{}", topic.name())),
            Flaw::TheHouseIsATenant => Topic::of(&Tenant::from(tenant), topic.name()),
            _ => topic.clone(),
        }
    }
}

#[async_trait]
impl Events for Broken {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), StoreError> {
        let largest = if self.flaw == Flaw::RefusesTheLargest { LARGEST - 1 } else { LARGEST };
        if payload.len() > largest && self.flaw != Flaw::TakesAnySize {
            return Err(StoreError::Refused { store: "events", source: None });
        }
        let topic = self.topic(topic);
        let is_chosen = payload == "50";
        match self.flaw {
            Flaw::LosesOne if is_chosen => return Ok(()),
            Flaw::TellsOneTwice if is_chosen => self.sound.tell(&topic, payload.clone()),
            Flaw::SwapsTwo if is_chosen => {
                *lock(&self.held) = Some(payload);
                return Ok(());
            }
            Flaw::KeepsAll => {
                lock(&self.endless).retain(|all| all.send(Event::Told(payload.clone())).is_ok());
            }
            _ => {}
        }
        self.sound.tell(&topic, payload);
        if let Some(held) = lock(&self.held).take() {
            self.sound.tell(&topic, held);
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Listener, StoreError> {
        let place = {
            let mut listeners = lock(&self.listeners);
            *listeners += 1;
            *listeners
        };
        let listener = self.sound.listen(&self.topic(topic));
        Ok(match self.flaw {
            Flaw::TellsOneListener if place == 2 => stream::empty().boxed(),
            Flaw::TellsNoLatecomer if place == 3 => stream::empty().boxed(),
            Flaw::MissesInSilence => listener.filter(|event| std::future::ready(*event != Event::Missed)).boxed(),
            Flaw::KeepsAll => {
                let (all, kept) = mpsc::unbounded_channel();
                lock(&self.endless).push(all);
                stream::unfold(kept, async |mut kept| Some((kept.recv().await?, kept))).boxed()
            }
            _ => listener,
        })
    }
}

super::each_case_fails! {
    events, broken,
    who_listens_is_told_in_order: [
        Flaw::LosesOne,
        Flaw::TellsOneTwice,
        Flaw::SwapsTwo,
        Flaw::TellsOneListener,
        Flaw::TellsNoLatecomer,
    ],
    topics_are_apart: [Flaw::SharedNames, Flaw::SharedTenants, Flaw::JoinsTheNames, Flaw::TheHouseIsATenant],
    a_slow_listener_is_told_that_it_missed_some: [Flaw::MissesInSilence, Flaw::KeepsAll],
    a_payload_is_small: [Flaw::TakesAnySize, Flaw::RefusesTheLargest],
}
