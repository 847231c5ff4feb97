//! Answers of clients, and the wish to end a request, on their way to the replica that waits for them. A client is asked by one
//! replica, and what it sends then may arrive at another.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::select;
use tokio::sync::OnceCell;

use crate::ask::in_place::{Answer, Answers};
use crate::context::{Cancellation, Context};
use crate::memory::lock;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::events::{Event, Events, LARGEST, Topic};

/// What waits in this process for word of a client, and how others are told.
pub(crate) struct Mail {
    events: Arc<dyn Events>,
    pub(super) answers: Arc<Answers>,
    /// The calls under way, by session and id of the request.
    under_way: Mutex<HashMap<String, Context>>,
    listening: OnceCell<()>,
    ended: Arc<Cancellation>,
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// How many bytes of an answer go with one event: with what stands before them, fewer than it may have.
const PIECE: usize = LARGEST / 2;

/// How many bytes an answer has at the most, in all its pieces.
const MOST: usize = 4 * 1024 * 1024;

impl Mail {
    pub(crate) fn new(events: Arc<dyn Events>) -> Self {
        let (under_way, ended) = (Mutex::default(), Arc::default());
        Self { events, answers: Arc::default(), under_way, listening: OnceCell::new(), ended }
    }

    /// How replicas tell each other.
    pub(super) fn events(&self) -> &dyn Events {
        &*self.events
    }

    fn topic() -> Topic {
        Topic::of_the_house("answers")
    }

    /// Hears from here on what arrives at other replicas. Where that cannot be heard, it is tried again with the next request.
    pub(super) async fn listen(self: &Arc<Self>, server: &Server) {
        let heard = self.listening.get_or_try_init(async || {
            let mut heard = self.events.subscribe(&Self::topic()).await?;
            // It ends with the server, which it does not keep alive.
            let (here, ended) = (Arc::downgrade(self), self.ended.clone());
            server.spawn(async move {
                let hear = async {
                    let mut parts = HashMap::<String, Vec<u8>>::new();
                    while let Some(event) = heard.next().await {
                        let Some(mail) = here.upgrade() else { return };
                        match event {
                            Event::Told(payload) => mail.take(&payload, &mut parts),
                            // What is not whole by now never will be.
                            Event::Missed => parts.clear(),
                        }
                    }
                };
                select(pin!(hear), pin!(ended.cancelled())).await;
            });
            Ok::<_, StoreError>(())
        });
        if let Err(error) = heard.await {
            tracing::warn!(%error, "what clients answer to other replicas is not heard");
        }
    }

    /// Gives an answer to whoever waits for it, here or elsewhere.
    pub(super) async fn deliver(&self, id: &str, answer: Answer) -> Result<(), StoreError> {
        if self.answers.is_expected(id) {
            self.answers.deliver(id, answer);
            return Ok(());
        }
        let encoded = serde_json::to_vec(&answer).unwrap_or_default();
        if encoded.len() > MOST {
            return Err(StoreError::Refused { store: "events", source: None });
        }
        let pieces = encoded.len().div_ceil(PIECE);
        for (n, piece) in encoded.chunks(PIECE).enumerate() {
            let last = if n + 1 == pieces { '.' } else { '+' };
            let payload = [format!("a{last}{id}\n").as_bytes(), piece].concat();
            self.events.publish(&Self::topic(), payload.into()).await?;
        }
        Ok(())
    }

    /// Ends a call of this session, wherever it runs.
    pub(super) async fn cancel(&self, session: &str, request: &str) {
        let call = format!("{session} {request}");
        if !self.cancel_here(&call) {
            // A hint: what is not heard goes on to its end.
            let _ = self.events.publish(&Self::topic(), format!("c{call}").into()).await;
        }
    }

    fn cancel_here(&self, call: &str) -> bool {
        let call = lock(&self.under_way).get(call).cloned();
        call.inspect(|cx| cx.inner().cancellation.cancel()).is_some()
    }

    /// A call of this session begins here; it can be ended as long as what is returned lives.
    pub(super) fn begin(self: &Arc<Self>, session: &str, request: &str, cx: Context) -> UnderWay {
        let call = format!("{session} {request}");
        lock(&self.under_way).insert(call.clone(), cx);
        UnderWay { mail: self.clone(), call }
    }

    fn take(&self, payload: &Bytes, parts: &mut HashMap<String, Vec<u8>>) {
        match &payload[..] {
            [b'c', call @ ..] => {
                if let Ok(call) = std::str::from_utf8(call) {
                    self.cancel_here(call);
                }
            }
            [b'a', last, rest @ ..] => {
                let Some(at) = rest.iter().position(|byte| *byte == b'\n') else { return };
                let Ok(id) = std::str::from_utf8(&rest[..at]) else { return };
                // What nobody waits for here, or no longer, is not kept.
                parts.retain(|id, _| self.answers.is_expected(id));
                if !self.answers.is_expected(id) {
                    return;
                }
                let whole = parts.entry(id.to_owned()).or_default();
                whole.extend_from_slice(&rest[at + 1..]);
                let (is_last, is_long) = (*last == b'.', whole.len() > MOST);
                if !is_last && !is_long {
                    return;
                }
                let whole = parts.remove(id).unwrap_or_default();
                if let Ok(answer) = serde_json::from_slice(&whole) {
                    self.answers.deliver(id, answer);
                }
            }
            _ => {}
        }
    }
}

/// A call of an older client that is under way here.
pub(crate) struct UnderWay {
    mail: Arc<Mail>,
    call: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.mail.under_way).remove(&self.call);
    }
}
