//! The stage that answers a call once, however often it is sent under its key.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::record::{self, Recording};
use super::{Failure, Finished, checks};
use crate::context::Context;
use crate::context::key::Key;
use crate::memory::lock;
use crate::presence::Presence;
use crate::store::history::History;
use crate::store::idempotency::{CallKey, Claim, Claimed, Idempotency};
use crate::store::ledger::{Answer, CallId, CallRecord, Entry, Ledger, Outcome};
use crate::store::{StoreError, Stores};
use crate::tool::arguments::Arguments;
use crate::tool::error::{KeyError, ToolError};
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;

/// Where keys and what was answered under them are kept, and who waits here for an answer.
pub(crate) struct Keys {
    pub(crate) ledger: Arc<dyn Ledger>,
    history: Arc<dyn History>,
    idempotency: Arc<dyn Idempotency>,
    pub(crate) presence: Presence,
    seats: Seats,
}

impl Keys {
    pub(crate) fn new(stores: &Stores) -> Self {
        Self {
            ledger: stores.ledger.clone(),
            history: stores.history.clone(),
            idempotency: stores.idempotency.clone(),
            presence: stores.presence.clone(),
            seats: Seats::default(),
        }
    }
}

/// How long to wait before a key is looked at again that a call on another replica has; at first, and at the most.
const PAUSE: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// Runs the call, unless it was sent before: then its answer is that of the first.
pub(super) async fn call(key: &Key, tool: &Arc<OfferedTool>, arguments: &Arguments, cx: &Context) -> Finished {
    if let Err(refused) = checks::arguments(tool, arguments) {
        let refused = refuse(refused, tool, arguments, cx).await;
        return refused.map_err(|error| Failure::of(error, tool, cx));
    }
    let (of_call, keys) = (&key.of_call, cx.inner().server.keys());
    let digest = Sha256::digest(arguments.as_bytes()).into();
    let mut attempt = Attempt { key: of_call, tool, arguments, digest, cx, keys, begun: false };
    match attempt.answer(key).await {
        Ok(Answered::Here(result)) => result.map_err(|error| Failure::of(error, tool, cx)),
        Ok(Answered::Before(record)) => replay(&record, tool, cx),
        Err(error) => Err(Failure::of(error, tool, cx)),
    }
}

/// Where an answer comes from.
enum Answered {
    /// From this call, which has recorded it.
    Here(Result<ToolOutput, ToolError>),
    /// From an earlier one.
    Before(Box<CallRecord>),
}

/// One call that wants the answer of its key.
struct Attempt<'a> {
    key: &'a CallKey,
    tool: &'a Arc<OfferedTool>,
    arguments: &'a Arguments,
    /// Of the arguments.
    digest: [u8; 32],
    cx: &'a Context,
    keys: &'a Keys,
    /// Whether this call has begun, whoever has its key by now.
    begun: bool,
}

impl Attempt<'_> {
    /// Answers, or waits until another call has, for as long as this one might have taken itself.
    async fn answer(&mut self, key: &Key) -> Result<Answered, ToolError> {
        let seat = self.keys.seats.take(self.key);
        let (clock, server) = (self.cx.clock(), &self.cx.inner().server);
        let limit = self.tool.spec().policy.longest(server.limits().timeout);
        let mut end = clock.monotonic().saturating_add(limit);
        let [mut pause, longest] = PAUSE;
        loop {
            // Made before it is asked, it is woken by an answer that comes in between.
            let changed = seat.changed.notified();
            let ended = match self.claim().await? {
                Claimed::Answered(call) => {
                    seat.changed.notify_waiters();
                    return self.load(call).await;
                }
                Claimed::Mismatch => {
                    let reused = ToolError::Key(KeyError::Reused);
                    Some(refuse(reused, self.tool, self.arguments, self.cx).await)
                }
                Claimed::First if !self.begun => self.run(&seat).await?,
                Claimed::First | Claimed::TakenOver if self.tool.spec().policy.may_be_repeated() => {
                    self.run(&seat).await?
                }
                Claimed::First | Claimed::TakenOver => self.give_up(&seat).await?,
                Claimed::Running => {
                    let left = end.saturating_sub(clock.monotonic());
                    if left.is_zero() {
                        return Err(ToolError::Key(KeyError::StillRunning));
                    }
                    let (changed, gone) = (pin!(changed), pin!(self.gone(key)));
                    let waited = select(changed, clock.sleep(pause.min(left)));
                    if let Either::Left(_) = select(gone, waited).await {
                        return Err(ToolError::Cancelled);
                    }
                    pause = (pause * 2).min(longest);
                    continue;
                }
            };
            if let Some(result) = ended {
                return Ok(Answered::Here(result));
            }
            // It has lost the key, and from here on waits like any other.
            end = clock.monotonic().saturating_add(limit);
        }
    }

    /// Completes when nobody waits for this call any more.
    async fn gone(&self, key: &Key) {
        match &self.cx.inner().parent {
            Some(outer) => outer.cancelled().await,
            None => key.left.cancelled().await,
        }
    }

    /// Asks for the key. Nothing is asked that could not be answered.
    async fn claim(&self) -> Result<Claimed, ToolError> {
        self.keys.ledger.admit().map_err(unavailable)?;
        let replica = match self.keys.presence.alive(self.cx.inner().server.spawner()).await {
            Ok(replica) => replica,
            // What it has begun is another's; it comes to ask for the answer.
            Err(_) if self.begun => return Ok(Claimed::Running),
            Err(error) => return Err(unavailable(error)),
        };
        let claim = Claim { owner: self.cx.call_id(), replica, digest: self.digest };
        let held = Held::new(self, self.begun);
        let claimed = self.keys.idempotency.claim(self.key, &claim).await.map_err(unavailable)?;
        held.let_go();
        Ok(claimed)
    }

    /// Runs the call, whose key is its own, and commits the answer with the record. Gives none where the key was lost meanwhile.
    async fn run(&mut self, seat: &Seat<'_>) -> Result<Option<Result<ToolOutput, ToolError>>, ToolError> {
        let mut held = Held::new(self, self.begun);
        // Whoever has been stopped since it asked may have been taken for dead.
        if !self.keys.presence.is_alive() {
            return Err(unavailable(StoreError::Unavailable { store: "replicas", source: None }));
        }
        let record = record::begin_on(&*self.keys.ledger, self.tool, self.arguments, self.cx)?;
        held.begun = true;
        self.begun = true;
        let result = super::stages(self.tool, self.arguments.clone(), self.cx).await;
        match &result {
            // Nothing was done.
            Err(ToolError::Arguments(_) | ToolError::NeedsInput(_) | ToolError::Limited(_)) => held.begun = false,
            Err(ToolError::Unavailable(_) | ToolError::Cancelled) => {}
            _ => return self.commit(record, result, held, seat).await,
        }
        let result = super::ended(record, result).await;
        held.release().await;
        seat.changed.notify_waiters();
        Ok(Some(result))
    }

    /// Answers for good that nobody knows what an earlier call has done.
    async fn give_up(&mut self, seat: &Seat<'_>) -> Result<Option<Result<ToolOutput, ToolError>>, ToolError> {
        let held = Held::new(self, true);
        let record = record::begin_on(&*self.keys.ledger, self.tool, self.arguments, self.cx)?;
        self.commit(record, Err(ToolError::Key(KeyError::OutcomeUnknown)), held, seat).await
    }

    async fn commit(
        &self,
        record: Recording,
        result: Result<ToolOutput, ToolError>,
        held: Held,
        seat: &Seat<'_>,
    ) -> Result<Option<Result<ToolOutput, ToolError>>, ToolError> {
        let answer = Answer { key: self.key.clone(), arguments: self.digest, call: self.cx.call_id() };
        let committed = record.end(&result, Some(Entry::Answer(answer))).await;
        let ended = match committed {
            Ok(()) => Some(result),
            // What another has answered, or is about to, is the answer.
            Err(StoreError::Conflict { .. }) => None,
            Err(error) => {
                held.release().await;
                seat.changed.notify_waiters();
                return Err(unavailable(error));
            }
        };
        held.let_go();
        seat.changed.notify_waiters();
        Ok(ended)
    }

    async fn load(&self, call: CallId) -> Result<Answered, ToolError> {
        let record = self.keys.history.call(&self.key.tenant, call).await.map_err(unavailable)?;
        let gone = || ToolError::failed("the call with this key was answered, and its result is kept no longer");
        record.map(|record| Answered::Before(Box::new(record))).ok_or_else(gone)
    }
}

/// Records a call that is refused before it asks for its key, or because of that.
async fn refuse(
    why: ToolError,
    tool: &OfferedTool,
    arguments: &Arguments,
    cx: &Context,
) -> Result<ToolOutput, ToolError> {
    let record = record::begin_on(&*cx.inner().server.keys().ledger, tool, arguments, cx)?;
    super::ended(record, Err(why)).await
}

/// What the first was told.
fn replay(record: &CallRecord, tool: &OfferedTool, cx: &Context) -> Finished {
    let limit = tool.spec().policy.longest(cx.inner().server.limits().timeout);
    let error = match record.outcome {
        Outcome::TimedOut => ToolError::TimedOut(limit),
        Outcome::OutcomeUnknown => ToolError::Key(KeyError::OutcomeUnknown),
        Outcome::Internal => ToolError::Internal("it failed when it was first made".into()),
        _ => match ToolOutput::from_json(&record.result) {
            Ok(output) => return Ok(output.replayed()),
            Err(error) => return Err(Failure::of(error.into(), tool, cx)),
        },
    };
    Err(Failure { id: record.id, error, replayed: true })
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ToolError {
    ToolError::Unavailable(Box::new(error))
}

/// A key that a call has, or may have. Dropped before it is let go, it is given up beside everything else.
struct Held {
    cx: Context,
    key: CallKey,
    begun: bool,
    open: bool,
}

impl Held {
    fn new(attempt: &Attempt<'_>, begun: bool) -> Self {
        Self { cx: attempt.cx.clone(), key: attempt.key.clone(), begun, open: true }
    }

    /// It is answered, or another's.
    fn let_go(mut self) {
        self.open = false;
    }

    /// Gives it up.
    async fn release(mut self) {
        let keys = self.cx.inner().server.keys();
        if keys.idempotency.release(&self.key, self.cx.call_id(), self.begun).await.is_ok() {
            self.open = false;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.open {
            let (cx, key, begun) = (self.cx.clone(), self.key.clone(), self.begun);
            self.cx.inner().server.spawn(give_up(cx, key, begun));
        }
    }
}

/// Gives a key up, as soon as its store is there; until then others believe that the call runs.
async fn give_up(cx: Context, key: CallKey, begun: bool) {
    let keys = cx.inner().server.keys();
    let [mut pause, longest] = PAUSE;
    while let Err(error) = keys.idempotency.release(&key, cx.call_id(), begun).await {
        if !matches!(error, StoreError::Unavailable { .. }) {
            tracing::error!(call = %cx.call_id(), %error, "a key cannot be given up");
            return;
        }
        cx.clock().sleep(pause).await;
        pause = (pause * 2).min(longest * 10);
    }
    keys.seats.tell(&key);
}

/// Who waits for what on this replica; as many as there are calls with keys under way at the most.
#[derive(Default)]
struct Seats(Mutex<HashMap<CallKey, (Arc<Notify>, usize)>>);

/// A place among those that want the answer of one key. With the last the key is forgotten here.
struct Seat<'a> {
    seats: &'a Seats,
    key: &'a CallKey,
    changed: Arc<Notify>,
}

impl Seats {
    fn take<'a>(&'a self, key: &'a CallKey) -> Seat<'a> {
        let mut seats = lock(&self.0);
        let (changed, taken) = seats.entry(key.clone()).or_default();
        *taken += 1;
        Seat { seats: self, key, changed: changed.clone() }
    }

    /// Wakes whoever waits.
    fn tell(&self, key: &CallKey) {
        if let Some((changed, _)) = lock(&self.0).get(key) {
            changed.notify_waiters();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats.0);
        if let Some((_, taken)) = seats.get_mut(self.key) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(self.key);
            }
        }
    }
}
