//! Following what is changed on other replicas.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, select};

use super::Server;
use crate::store::StoreError;
use crate::store::events::Topic;

/// How long a change may go unnoticed by a replica that was not told of it.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Looks at something of a server that may have changed.
type Look = for<'s> fn(&'s Server) -> BoxFuture<'s, Result<(), StoreError>>;

impl Server {
    /// Looks, and from then on whenever somebody tells of this topic, as long as the server lives. `what` it is is told where it cannot be
    /// looked at.
    pub(super) async fn follow(&self, what: &'static str, topic: Topic, look: Look) -> Result<(), StoreError> {
        let events = self.events().clone();
        // Whatever is changed from here on is heard.
        let mut heard = events.subscribe(&topic).await.ok();
        look(self).await?;
        // It ends with the server, which it does not keep alive.
        let (server, clock) = (self.weak(), self.shared_clock());
        self.spawn(async move {
            loop {
                match &mut heard {
                    Some(listener) => {
                        let told = select(listener.next(), clock.sleep(LOOK_AGAIN)).await;
                        if matches!(told, Either::Left((None, _))) {
                            heard = None;
                        }
                    }
                    None => clock.sleep(LOOK_AGAIN).await,
                }
                let Some(server) = server() else { return };
                if heard.is_none() {
                    heard = events.subscribe(&topic).await.ok();
                }
                if let Err(error) = look(&server).await {
                    tracing::warn!(%error, what, "it is not known whether something was changed");
                }
            }
        });
        Ok(())
    }

    /// Tells those on other replicas who follow this topic to look.
    pub(crate) async fn tell_followers(&self, what: &'static str, topic: &Topic) {
        if let Err(error) = self.events().publish(topic, Bytes::new()).await {
            tracing::warn!(%error, what, "other replicas find out later that something was changed");
        }
    }
}
