//! Events in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver};

use super::lock;
use crate::store::StoreError;
use crate::store::events::{Event, Events, LARGEST, Listener, Topic};

/// [`Events`] between those who share it. A listener may be [`MemoryEvents::BACKLOG`] events behind.
#[derive(Clone, Default)]
pub struct MemoryEvents {
    /// A topic is here for as long as somebody listens to it.
    topics: Arc<Mutex<HashMap<Topic, broadcast::Sender<Event>>>>,
}

impl MemoryEvents {
    /// How many events wait for a listener before it misses the oldest.
    pub const BACKLOG: usize = 256;

    /// Tells all who listen to `topic`.
    pub fn tell(&self, topic: &Topic, payload: Bytes) {
        if let Some(listeners) = lock(&self.topics).get(topic) {
            // Nobody may be left, just now.
            let _ = listeners.send(Event::Told(payload));
        }
    }

    /// Tells all who listen to anything that they may have missed some: for what brings events from elsewhere, and was cut off.
    pub fn missed(&self) {
        for listeners in lock(&self.topics).values() {
            let _ = listeners.send(Event::Missed);
        }
    }

    /// Listens to `topic`.
    pub fn listen(&self, topic: &Topic) -> Listener {
        let mut topics = lock(&self.topics);
        let listeners = topics.entry(topic.clone()).or_insert_with(|| broadcast::Sender::new(Self::BACKLOG));
        let seat = Seat { receiver: Some(listeners.subscribe()), topic: topic.clone(), events: self.clone() };
        unfold(seat, |mut seat| async {
            let told = seat.receiver.as_mut()?.recv().await;
            match told {
                Ok(event) => Some((event, seat)),
                Err(RecvError::Lagged(_)) => Some((Event::Missed, seat)),
                Err(RecvError::Closed) => None,
            }
        })
        .boxed()
    }
}

/// The place of one listener. With the last one the topic is forgotten.
struct Seat {
    receiver: Option<Receiver<Event>>,
    topic: Topic,
    events: MemoryEvents,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut topics = lock(&self.events.topics);
        self.receiver = None;
        if topics.get(&self.topic).is_some_and(|listeners| listeners.receiver_count() == 0) {
            topics.remove(&self.topic);
        }
    }
}

#[async_trait]
impl Events for MemoryEvents {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), StoreError> {
        if payload.len() > LARGEST {
            return Err(StoreError::Refused { store: "events", source: None });
        }
        self.tell(topic, payload);
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Listener, StoreError> {
        Ok(self.listen(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_topic_is_forgotten_with_its_last_listener() {
        let events = MemoryEvents::default();
        let topic = Topic::of_the_house("topic");
        events.tell(&topic, Bytes::new());
        assert!(lock(&events.topics).is_empty());
        let (one, other) = (events.listen(&topic), events.listen(&topic));
        drop(one);
        assert_eq!(lock(&events.topics).len(), 1);
        drop(other);
        assert!(lock(&events.topics).is_empty());
    }
}
