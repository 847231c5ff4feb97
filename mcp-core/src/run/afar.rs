//! Watching a run that another process holds: whoever watches says so, and whoever holds the run tells them for as long as they say so. Nothing
//! of it is kept, and what is not heard of what is recorded is found by looking.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, pending};

use super::watching::News;
use crate::caller::Tenant;
use crate::clock::Clock;
use crate::store::events::{Event, Events, Topic};
use crate::store::runs::RunId;

/// The way between processes that watch runs and those that hold them.
#[derive(Clone)]
pub(crate) struct Afar {
    events: Arc<dyn Events>,
    /// By which this process is known: what it has published itself it does not hear.
    process: Arc<str>,
}

/// How often it is said that a run is watched.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);

impl Afar {
    pub(super) fn new(events: Arc<dyn Events>) -> Self {
        let mut process = [0; 8];
        // Without chance, processes do not know each other apart, and tell each other nothing.
        let _ = getrandom::fill(&mut process);
        Self { events, process: format!("{:016x}", u64::from_ne_bytes(process)).into() }
    }

    /// Where it is said which runs are watched.
    fn watched() -> Topic {
        Topic::of_the_house("watched runs")
    }

    /// Where it is told of a run to those who watch it: its tenant's callers alone.
    fn of(tenant: &Tenant, run: RunId) -> Topic {
        Topic::of(tenant, format!("run {run}"))
    }

    /// Says that somebody watches a run here.
    pub(crate) async fn announce(&self, run: RunId) {
        self.publish(&Self::watched(), run.to_string()).await;
    }

    /// Calls `watched` with each run of which it is said elsewhere that somebody watches it; for ever.
    pub(super) async fn hear(&self, clock: &dyn Clock, retry: Duration, watched: impl Fn(RunId)) {
        loop {
            match self.events.subscribe(&Self::watched()).await {
                Ok(mut listener) => {
                    while let Some(event) = listener.next().await {
                        if let Some(run) = self.read(&event).and_then(|run| run.parse().ok()) {
                            watched(run);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "nobody says which runs are watched elsewhere"),
            }
            clock.sleep(retry).await;
        }
    }

    /// Tells those who watch a run elsewhere.
    pub(super) async fn tell(&self, tenant: &Tenant, run: RunId, news: &News) {
        let said = match news {
            News::Recorded => String::new(),
            News::Said(delta) => serde_json::to_string(delta).unwrap_or_default(),
        };
        self.publish(&Self::of(tenant, run), said).await;
    }

    /// Listens to what is told of a run elsewhere; without end.
    pub(crate) async fn listen(&self, tenant: &Tenant, run: RunId) -> BoxStream<'static, News> {
        let listener = match self.events.subscribe(&Self::of(tenant, run)).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::debug!(%run, %error, "what is said for a run elsewhere is not heard");
                return pending().boxed();
            }
        };
        let afar = self.clone();
        let news = move |event| {
            ready(match &event {
                Event::Missed => Some(News::Recorded),
                told => match afar.read(told) {
                    Some("") => Some(News::Recorded),
                    // What a later version says, and this one does not know, is nothing.
                    said => said.and_then(|said| serde_json::from_str(said).ok()).map(News::Said),
                },
            })
        };
        listener.filter_map(news).chain(pending()).boxed()
    }

    async fn publish(&self, topic: &Topic, what: String) {
        let payload = Bytes::from(format!("{} {what}", self.process));
        if let Err(error) = self.events.publish(topic, payload).await {
            tracing::debug!(%error, "other processes are not told of a run that is watched");
        }
    }

    /// What another process has published.
    fn read<'e>(&self, event: &'e Event) -> Option<&'e str> {
        let Event::Told(payload) = event else { return None };
        let (process, what) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
        (*process != *self.process).then_some(what)
    }
}
