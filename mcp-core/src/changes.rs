//! Telling clients what has changed, those of every replica (basic/patterns/subscriptions).

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, select};

use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::events::{self, Event, Events, Topic};
use crate::store::runs::RunId;

/// Something that clients may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources, or that of templates.
    Resources,
    /// What is in the resource with this URI.
    Resource(String),
    /// What becomes of the task with this id.
    Task(RunId),
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Change(Change),
    /// There may have been any, in this place.
    Missed,
}

/// The way on which changes are told.
#[derive(Clone)]
pub(crate) struct Changes(Arc<dyn Events>);

impl Changes {
    pub(crate) fn new(events: Arc<dyn Events>) -> Self {
        Self(events)
    }

    fn topic(tenant: Option<&Tenant>) -> Topic {
        match tenant {
            Some(tenant) => Topic::of(tenant, "changes"),
            None => Topic::of_the_house("changes"),
        }
    }

    /// Tells who listens: the callers of a tenant, or all of them.
    pub(crate) async fn tell(&self, tenant: Option<&Tenant>, change: &Change) -> Result<(), StoreError> {
        let payload = change.encode();
        if payload.len() > events::LARGEST {
            return Err(StoreError::Refused { store: "events", source: None });
        }
        self.0.publish(&Self::topic(tenant), payload).await
    }

    /// Listens to what concerns the callers of a tenant, as far as one of them `may_know`.
    pub(crate) async fn listen(
        &self,
        tenant: &Tenant,
        may_know: impl Fn(&Change) -> bool + Send + 'static,
    ) -> Result<BoxStream<'static, Heard>, StoreError> {
        let own = self.0.subscribe(&Self::topic(Some(tenant))).await?;
        let house = self.0.subscribe(&Self::topic(None)).await?;
        let heard = move |event| {
            ready(match event {
                Event::Missed => Some(Heard::Missed),
                Event::Told(payload) => Change::decode(&payload).filter(&may_know).map(Heard::Change),
            })
        };
        Ok(select(own, house).filter_map(heard).boxed())
    }
}

impl Change {
    /// A letter, and behind it the URI of a resource, or the id of a task.
    fn encode(&self) -> Bytes {
        match self {
            Self::Tools => Bytes::from_static(b"t"),
            Self::Prompts => Bytes::from_static(b"p"),
            Self::Resources => Bytes::from_static(b"r"),
            Self::Resource(uri) => format!("u{uri}").into(),
            Self::Task(id) => format!("k{id}").into(),
        }
    }

    /// What a later version tells, and this one does not know, is nothing.
    fn decode(payload: &[u8]) -> Option<Self> {
        match payload {
            b"t" => Some(Self::Tools),
            b"p" => Some(Self::Prompts),
            b"r" => Some(Self::Resources),
            [b'u', uri @ ..] => Some(Self::Resource(String::from_utf8(uri.to_vec()).ok()?)),
            [b'k', id @ ..] => Some(Self::Task(std::str::from_utf8(id).ok()?.parse().ok()?)),
            _ => None,
        }
    }
}
