//! Questions that are requests to the client, whose answers are waited for (2025-11-25, client/elicitation, client/sampling,
//! client/roots).

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::question::Asked;
use super::rounds::use_key;
use crate::capability::ClientCapabilities;
use crate::clock::Clock;
use crate::context::Outbox;
use crate::memory::lock;
use crate::store::sessions::new_handle;
use crate::tool::error::ToolError;

/// For how long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The client of a call that is asked while the call waits.
pub(crate) struct InPlace {
    client: ClientCapabilities,
    outbox: Arc<Outbox>,
    answers: Arc<Answers>,
    clock: Arc<dyn Clock>,
    used: Mutex<BTreeSet<String>>,
    waits: Mutex<Waits>,
}

/// For how long a call has waited for answers.
#[derive(Default)]
struct Waits {
    open: usize,
    since: Duration,
    before: Duration,
}

/// For how long a call was not to be blamed for its time.
pub(crate) type Paused = Duration;

impl InPlace {
    pub(crate) fn new(
        client: ClientCapabilities,
        outbox: Arc<Outbox>,
        answers: Arc<Answers>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { client, outbox, answers, clock, used: Mutex::default(), waits: Mutex::default() }
    }

    pub(super) fn client(&self) -> &ClientCapabilities {
        &self.client
    }

    pub(super) fn use_key(&self, key: &str) -> Result<(), ToolError> {
        use_key(&mut lock(&self.used), key)
    }

    pub(super) fn has_used(&self, prefix: &str) -> bool {
        lock(&self.used).iter().any(|key| key.starts_with(prefix))
    }

    pub(super) fn paused(&self) -> Paused {
        let waits = lock(&self.waits);
        let now = if waits.open > 0 { self.clock.monotonic().saturating_sub(waits.since) } else { Duration::ZERO };
        waits.before + now
    }

    /// Sends the question and waits for its answer.
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Value, ToolError> {
        let waiting = self.answers.expect()?;
        let mut params = asked.params.clone();
        // What is done elsewhere has an id in this era, by which the client could be told that it is done.
        if params.get("mode").is_some_and(|mode| mode == "url") {
            params["elicitationId"] = waiting.id.clone().into();
        }
        let request = json!({"jsonrpc": "2.0", "id": waiting.id, "method": asked.method, "params": params});
        self.outbox.send(request.to_string().into_bytes());
        let _pause = Pause::begin(self);
        let answer = pin!(waiting.answer());
        match select(answer, self.clock.sleep(PATIENCE)).await {
            Either::Left((Ok(value), _)) => Ok(value),
            Either::Left((Err(told), _)) => Err(ToolError::failed(format!("the client did not answer: {told}"))),
            Either::Right(_) => Err(ToolError::failed("the client did not answer in an hour")),
        }
    }
}

/// As long as it lives, the time of the call stands still.
struct Pause<'a>(&'a InPlace);

impl<'a> Pause<'a> {
    fn begin(of: &'a InPlace) -> Self {
        let now = of.clock.monotonic();
        let mut waits = lock(&of.waits);
        if waits.open == 0 {
            waits.since = now;
        }
        waits.open += 1;
        drop(waits);
        Self(of)
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let now = self.0.clock.monotonic();
        let mut waits = lock(&self.0.waits);
        waits.open -= 1;
        if waits.open == 0 {
            let waited = now.saturating_sub(waits.since);
            waits.before += waited;
        }
    }
}

/// What is waited for in this process, by the ids of the requests that clients answer. An id cannot be guessed, so that no client
/// answers in the place of another.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<String, oneshot::Sender<Answer>>>);

/// The result that a client gave, or what went wrong.
pub(crate) type Answer = Result<Value, String>;

/// How many answers are waited for at once.
const MOST: usize = 10_000;

impl Answers {
    fn expect(self: &Arc<Self>) -> Result<Waiting, ToolError> {
        let id = new_handle().map_err(|error| ToolError::Unavailable(Box::new(error)))?;
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.0);
        if waiting.len() >= MOST {
            return Err(ToolError::failed(format!("{MOST} questions wait for answers; ask again later")));
        }
        waiting.insert(id.clone(), sender);
        drop(waiting);
        Ok(Waiting { id, receiver, answers: self.clone() })
    }

    /// Whether somebody here waits for this answer.
    pub(crate) fn is_expected(&self, id: &str) -> bool {
        lock(&self.0).contains_key(id)
    }

    /// Gives an answer to whoever waits for it, and tells whether that was somebody here.
    pub(crate) fn deliver(&self, id: &str, answer: Answer) -> bool {
        lock(&self.0).remove(id).is_some_and(|waiting| waiting.send(answer).is_ok())
    }
}

/// Somebody who waits. Dropped, it is waited for no longer.
struct Waiting {
    id: String,
    receiver: oneshot::Receiver<Answer>,
    answers: Arc<Answers>,
}

impl Waiting {
    async fn answer(mut self) -> Answer {
        (&mut self.receiver).await.unwrap_or_else(|_| Err("its connection has ended".to_owned()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.answers.0).remove(&self.id);
    }
}
