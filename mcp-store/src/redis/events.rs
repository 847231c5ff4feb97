//! Events between replicas.

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::select;
use mcp_core::memory::MemoryEvents;
use mcp_core::store::StoreError;
use mcp_core::store::events::{Events, LARGEST, Listener, Topic};
use redis::aio::PubSub;
use redis::{Pipeline, RedisError};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::breaker::Contact;
use super::connection::Listening;
use super::{BEAT, CONNECT, Redis, key};

/// [`Events`] by publish and subscribe. One connection hears all events of all topics, and they are shared out in this process; what
/// is published here comes back on that way, too.
///
/// When the connection is lost another one is made, and every listener is told that it missed some.
pub(super) struct RedisEvents {
    redis: Redis,
    here: MemoryEvents,
    /// Ends when this is dropped.
    _hearing: JoinSet<()>,
}

const STORE: &str = "events";

/// How long the connection may be silent before it has to show that it is alive.
const SILENCE: Duration = Duration::from_secs(5);

impl RedisEvents {
    /// Listens on the current tokio runtime. Where Redis is there, it listens already when this returns.
    pub(super) async fn start(redis: Redis, listening: Listening) -> Self {
        let here = MemoryEvents::default();
        let (hears, heard) = oneshot::channel();
        let mut hearing = JoinSet::new();
        let channels = key::events(redis.0.database);
        hearing.spawn(hear(listening, channels, here.clone(), redis.0.breaker.watch(), hears));
        if !redis.0.breaker.is_open() {
            // Otherwise its listeners will be told that they missed some.
            let _ = timeout(CONNECT, heard).await;
        }
        Self { redis, here, _hearing: hearing }
    }

    /// Listens to `topic`.
    pub(super) fn listen(&self, topic: &Topic) -> Listener {
        // In this process a topic goes by the name of its channel.
        self.here.listen(&Topic::of_the_house(key::event(self.redis.0.database, topic)))
    }
}

/// Adds to a pipeline what tells all who listen to `topic`.
pub(super) fn publish(redis: &Redis, pipeline: &mut Pipeline, topic: &Topic, payload: &[u8]) {
    pipeline.cmd("PUBLISH").arg(key::event(redis.0.database, topic)).arg(payload).ignore();
}

/// Hears until contact cannot come back.
async fn hear(
    listening: Listening,
    channels: String,
    here: MemoryEvents,
    mut contact: watch::Receiver<Contact>,
    hears: oneshot::Sender<()>,
) {
    let mut hears = Some(hears);
    while contact.wait_for(|contact| *contact != Contact::Lost).await.is_ok() {
        if let Ok(Ok(connection)) = timeout(CONNECT, listening.connect(&channels)).await {
            here.missed();
            if let Some(hears) = hears.take() {
                // Who started it may not have waited for so long.
                let _ = hears.send(());
            }
            let lost = contact.wait_for(|contact| *contact == Contact::Lost);
            select(pin!(share_out(connection, &here)), pin!(lost)).await;
        }
        tokio::time::sleep(BEAT).await;
    }
}

/// Tells those who listen here what the connection says, for as long as it is alive.
async fn share_out(connection: PubSub, here: &MemoryEvents) -> Result<(), RedisError> {
    let (mut questions, mut messages) = connection.split();
    loop {
        match timeout(SILENCE, messages.next()).await {
            Ok(Some(message)) => {
                let payload = Bytes::copy_from_slice(message.get_payload_bytes());
                here.tell(&Topic::of_the_house(message.get_channel_name()), payload);
            }
            Ok(None) => return Ok(()),
            Err(_) => match timeout(CONNECT, questions.ping()).await {
                Ok(alive) => alive?,
                Err(_) => return Ok(()),
            },
        }
    }
}

#[async_trait]
impl Events for RedisEvents {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), StoreError> {
        if payload.len() > LARGEST {
            return Err(StoreError::Refused { store: STORE, source: None });
        }
        let commands = || {
            let mut pipeline = redis::pipe();
            publish(&self.redis, &mut pipeline, topic, &payload);
            pipeline
        };
        self.redis.run::<()>(STORE, commands).await?;
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Listener, StoreError> {
        Ok(self.listen(topic))
    }
}
