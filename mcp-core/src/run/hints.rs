//! Telling each other that a run is due, or was told something. They are hints: what is not heard is found at the next look.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::select;

use super::afar::Afar;
use super::watching::Watched;
use crate::clock::Clock;
use crate::memory::MemoryEvents;
use crate::store::events::{Event, Events, Listener, Topic};
use crate::store::runs::RunId;

/// The way of hints: through [`Events`] to every process, and within this one also while those are away.
#[derive(Clone)]
pub(crate) struct Hints {
    near: MemoryEvents,
    far: Arc<dyn Events>,
    watched: Watched,
    afar: Afar,
}

/// About which run a hint is.
pub(super) struct Hint {
    pub(super) run: RunId,
    pub(super) kind: String,
}

impl Hints {
    pub(crate) fn new(far: Arc<dyn Events>) -> Self {
        let afar = Afar::new(far.clone());
        Self { near: MemoryEvents::default(), far, watched: Watched::default(), afar }
    }

    fn topic() -> Topic {
        Topic::of_the_house("runs")
    }

    /// Those in this process who watch a run.
    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// The way to those in other processes who do.
    pub(crate) fn afar(&self) -> &Afar {
        &self.afar
    }

    /// Tells whoever claims runs of this kind, or holds this one.
    pub(crate) async fn tell(&self, run: RunId, kind: &str) {
        let hint = Bytes::from(format!("{run} {kind}"));
        self.near.tell(&Self::topic(), hint.clone());
        if let Err(error) = self.far.publish(&Self::topic(), hint).await {
            tracing::debug!(%run, %error, "other processes were not told of a run, and find it when they look");
        }
    }

    /// Calls `told` with each hint, and without one where some may have been missed; for ever. It listens before it is first
    /// pending, within this process.
    pub(super) async fn listen(&self, clock: &dyn Clock, retry: Duration, told: impl Fn(Option<Hint>)) {
        let near = self.near.listen(&Self::topic());
        let far = async {
            loop {
                match self.far.subscribe(&Self::topic()).await {
                    Ok(mut far) => {
                        // What was published before it listened was missed.
                        told(None);
                        hear(&mut far, &told).await;
                    }
                    Err(error) => tracing::debug!(%error, "nobody tells of runs; they are found by looking"),
                }
                clock.sleep(retry).await;
            }
        };
        let near = async {
            let mut near = select(near, futures_util::stream::pending()).boxed();
            hear(&mut near, &told).await;
        };
        futures_util::future::join(near, far).await;
    }
}

async fn hear(listener: &mut Listener, told: &impl Fn(Option<Hint>)) {
    while let Some(event) = listener.next().await {
        match event {
            Event::Told(payload) => {
                if let Some(hint) = read(&payload) {
                    told(Some(hint));
                }
            }
            Event::Missed => told(None),
        }
    }
}

fn read(payload: &[u8]) -> Option<Hint> {
    let (run, kind) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    Some(Hint { run: run.parse().ok()?, kind: kind.to_owned() })
}
