//! What one call may know and do.

mod cancellation;
pub(crate) mod key;
pub(crate) mod outbox;
mod session;
pub(crate) mod withheld;

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ask::dialogue::{Dialogue, Partner};
use crate::caller::Caller;
use crate::changes::Change;
use crate::clock::Clock;
use crate::server::operations::Operation;
use crate::server::{CallError, Server};
use crate::spans;
use crate::store::ledger::CallId;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::pipeline;
use crate::tool::quota::Quotas;

pub(crate) use cancellation::Cancellation;
use key::Key;
pub(crate) use outbox::Outbox;
pub use outbox::{LogLevel, Progress};
pub use session::Session;

/// What one call may know and do. Cheap to clone; it may outlive the call, which it then no longer reaches.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
    /// What the keys of questions begin with.
    prefix: Option<Arc<str>>,
}

pub(crate) struct Inner {
    pub(crate) server: Server,
    pub(crate) caller: Caller,
    pub(crate) id: CallId,
    /// The call in which this one was made.
    pub(crate) parent: Option<Context>,
    pub(crate) cancellation: Cancellation,
    /// How many calls were made within it.
    made: AtomicU32,
    /// When it told last how far it has come, in nanoseconds of its own time.
    progressed: AtomicU64,
    /// How long it has waited to be let in and to be tried again, in nanoseconds.
    waited: AtomicU64,
    /// How it stands with the limits that it was counted by, if with any.
    quotas: OnceLock<Box<Quotas>>,
    /// The request of the protocol that it answers, where it answers one and the server measures.
    operation: OnceLock<Operation>,
    /// Whether other calls may be given its result.
    is_cached: bool,
    /// Only where the client can be asked something.
    pub(crate) dialogue: Option<Dialogue>,
    /// Only where it was sent under one.
    pub(crate) key: Option<Box<Key>>,
    /// Only where the client listens.
    pub(crate) outbox: Option<Arc<Outbox>>,
}

/// Somebody who waits, until it is dropped.
struct Waits<'a> {
    cx: &'a Context,
    since: Duration,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let took = self.cx.clock().monotonic().saturating_sub(self.since);
        self.cx.inner.waited.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// How many calls may be inside of one another.
const MAX_DEPTH: usize = 16;

impl Context {
    pub(crate) fn new(
        server: Server,
        caller: Caller,
        key: Option<Box<Key>>,
        outbox: Option<Arc<Outbox>>,
        dialogue: Option<Dialogue>,
    ) -> Self {
        let id = server.new_call_id();
        let cancellation = Cancellation::default();
        let inner = Inner {
            server,
            caller,
            id,
            parent: None,
            cancellation,
            made: AtomicU32::new(0),
            progressed: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            quotas: OnceLock::new(),
            operation: OnceLock::new(),
            is_cached: false,
            dialogue,
            key,
            outbox,
        };
        Self { inner: Arc::new(inner), prefix: None }
    }

    /// What is done in it answers this request.
    pub(crate) fn answers(&self, operation: Operation) {
        // Nobody has said so before.
        let _ = self.inner.operation.set(operation);
    }

    /// The request that it answers, where that is measured.
    pub(crate) fn operation(&self) -> Option<Operation> {
        self.inner.operation.get().copied()
    }

    /// Polls the call itself: it ends with its questions where it can go no further without answers. One within another goes no further
    /// either, and leaves that to the outer one.
    pub(crate) fn poll_call<T>(
        &self,
        call: Pin<&mut impl Future<Output = Result<T, ToolError>>>,
        task: &mut task::Context<'_>,
    ) -> Poll<Result<T, ToolError>> {
        match call.poll(task) {
            Poll::Pending => match self.inner.dialogue.as_ref().and_then(|dialogue| dialogue.questions(self)) {
                // The questions are alive as long as the call is.
                Some(questions) => Poll::Ready(Err(questions)),
                None => Poll::Pending,
            },
            ended => ended,
        }
    }

    /// The one who can be asked in this call.
    pub(crate) fn dialogue(&self) -> Option<Partner<'_>> {
        let mut root = self;
        while let Some(outer) = &root.inner.parent {
            // Results that are kept for other calls hold for them all, whatever their clients would answer.
            if root.inner.is_cached {
                return None;
            }
            root = outer;
        }
        root.inner.dialogue.as_ref().map(|dialogue| dialogue.partner(root))
    }

    /// For how long the call has waited for answers, whose time is not its own.
    pub(crate) fn paused(&self) -> Duration {
        let outer = self.inner.parent.as_ref().map_or(Duration::ZERO, Self::paused);
        outer + self.inner.dialogue.as_ref().map_or(Duration::ZERO, Dialogue::paused)
    }

    /// Waits for what is not the call's own doing, and keeps how long that takes, also where it is given up.
    pub(crate) async fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        if let Some(ready) = what.as_mut().now_or_never() {
            return ready;
        }
        let _waits = Waits { cx: self, since: self.clock().monotonic() };
        what.await
    }

    /// How long the call has waited: to be let in, to be tried again, and for answers of its own client.
    pub(crate) fn waited(&self) -> Duration {
        let asked = self.inner.dialogue.as_ref().map_or(Duration::ZERO, Dialogue::paused);
        asked + Duration::from_nanos(self.inner.waited.load(Ordering::Relaxed))
    }

    /// The time of the call itself, which stands still while it waits for answers.
    pub(crate) fn own_time(&self) -> Duration {
        self.clock().monotonic().saturating_sub(self.paused())
    }

    /// When the call, or one within it, told last how far it has come; in its own time, and none where it has not.
    pub(crate) fn last_progress(&self) -> Duration {
        Duration::from_nanos(self.inner.progressed.load(Ordering::Relaxed))
    }

    /// Keeps for the client how its call stands with the limits that it was counted by.
    pub(crate) fn tell_quotas(&self, quotas: Quotas) {
        // A call is counted once.
        let _ = self.inner.quotas.set(Box::new(quotas));
    }

    pub(crate) fn quotas(&self) -> Option<&Quotas> {
        self.inner.quotas.get().map(|quotas| &**quotas)
    }

    /// Whether it has used a key: it has asked its client something, or done something once.
    pub(crate) fn has_asked(&self) -> bool {
        self.dialogue().is_some_and(|partner| partner.has_used(self.key_prefix()))
    }

    /// Forgets what calls it has made, before it is tried again: those that it makes then are the same.
    pub(crate) fn begin_again(&self) {
        self.inner.made.store(0, Ordering::Relaxed);
        if let Some(key) = &self.inner.key {
            key.begin_again();
        }
    }

    pub(crate) fn key_prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    /// The same call, with keys that begin with one more word.
    pub(crate) fn within(&self, word: &str) -> Self {
        Self { inner: self.inner.clone(), prefix: Some(format!("{}{word}", self.key_prefix()).into()) }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.inner.caller
    }

    /// The id under which the call is recorded and logged.
    pub fn call_id(&self) -> CallId {
        self.inner.id
    }

    /// What names the effect of this call, and of no other call, tool or caller: at most 43 characters. It is the same in each attempt
    /// at a call that is sent again under one key, also after a server has ended in the middle of it, and in each call that such a
    /// call makes. A tool that writes its effect under this name, so that a second attempt finds it written, has the effect exactly
    /// once. Where no key was sent, each call has a name of its own.
    pub fn key(&self) -> String {
        match &self.inner.key {
            Some(key) => key.effect().to_owned(),
            None => self.inner.id.to_string(),
        }
    }

    /// The key by which the call's result is kept.
    pub(crate) fn kept_key(&self) -> Option<&Key> {
        self.inner.key.as_deref().filter(|key| key.is_kept)
    }

    /// The server's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.inner.server.clock()
    }

    /// Tells the client how far the call has come, if it asked to be told. It never waits: where the client reads more slowly
    /// than this is called, it is told the latest. What does not go forward is not sent (basic/utilities/progress). It may give the
    /// call [more time](crate::ToolSpec::timeout_extended_by_progress).
    pub fn progress(&self, progress: Progress) {
        for cx in std::iter::successors(Some(self), |cx| cx.inner.parent.as_ref()) {
            let now = u64::try_from(cx.own_time().as_nanos()).unwrap_or(u64::MAX);
            cx.inner.progressed.store(now, Ordering::Relaxed);
        }
        if let Some(outbox) = &self.inner.outbox {
            outbox.progress(progress);
        }
    }

    /// Sends the client a line of log, if it asked for lines of this level. It never waits: of a client that reads too slowly,
    /// the oldest lines are dropped (server/utilities/logging).
    pub fn log(&self, level: LogLevel, data: impl serde::Serialize) {
        if let Some(outbox) = self.inner.outbox.as_ref().filter(|outbox| outbox.wants(level)) {
            outbox.log(level, &data);
        }
    }

    /// Lets go of the connection on which the client waits, for a call that takes long: a client of 2025-11-25 with a session comes back
    /// after a second, to any replica, and is told all that the call said meanwhile, and its result (2025-11-25, basic/transports,
    /// "Sending Messages to the Server"). With every other client nothing happens.
    pub fn release_connection(&self) {
        if let Some(outbox) = &self.inner.outbox {
            outbox.release();
        }
    }

    /// Tells the clients of this caller's tenant that listen for it, on every replica, that something has changed.
    ///
    /// Cancel safe: a dropped future has told all of them or nobody.
    ///
    /// # Errors
    /// [`ToolError::Unavailable`]: some may not have been told. A tool that has done its work may well ignore it: it is a hint.
    pub async fn announce(&self, change: &Change) -> Result<(), ToolError> {
        let told = self.inner.server.changes().tell(Some(self.caller().tenant()), change).await;
        told.map_err(|error| ToolError::Unavailable(Box::new(error)))
    }

    /// Whether the call should end: its client left, or its time is over.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancellation.is_set() || self.inner.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Completes when the call should end; the future of a tool that is not read-only goes on for a grace, and is dropped then.
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        self.inner.cancellation.cancelled().await;
    }

    /// Calls another tool for the same caller, within this call's time. It is checked and recorded as every call is; under a key, where
    /// this one has one: derived from this one's, from the tool and the arguments, and from how often that was called before.
    ///
    /// Not cancel safe: dropping the future drops the other tool's.
    ///
    /// # Errors
    /// Those of the other tool; where it was limited, an [`Unavailable`](ToolError::Unavailable) whose cause is the
    /// [`Limited`](crate::tool::limited::Limited); [`ToolError::Failed`] where there is no such tool, or 16 calls are inside of one another.
    pub async fn call(&self, tool: &str, arguments: Arguments) -> Result<ToolOutput, ToolError> {
        let ancestors = std::iter::successors(Some(self), |cx| cx.inner.parent.as_ref()).count();
        if ancestors >= MAX_DEPTH {
            return Err(ToolError::failed(format!(
                "{MAX_DEPTH} calls are inside of one another; {tool} is not called"
            )));
        }
        let Inner { server, caller, outbox, made, .. } = &*self.inner;
        let offered =
            server.find_tool(caller, tool).map_err(|unseen: CallError| ToolError::failed(unseen.to_string()))?;
        let is_kept = offered.spec().policy.deduplicated;
        let key = self
            .inner
            .key
            .as_ref()
            .map(|key| key.inner(caller, tool, &arguments, is_kept).map(Box::new))
            .transpose()?;
        let nth = made.fetch_add(1, Ordering::Relaxed);
        let inner = Inner {
            server: server.clone(),
            caller: caller.clone(),
            id: server.new_call_id(),
            parent: Some(self.clone()),
            cancellation: Cancellation::default(),
            made: AtomicU32::new(0),
            progressed: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            quotas: OnceLock::new(),
            operation: OnceLock::new(),
            is_cached: offered.cache().is_some(),
            dialogue: None,
            key,
            outbox: outbox.clone(),
        };
        // The same in each run, as long as the tool calls the same.
        let prefix = format!("{}{tool}.{nth}/", self.key_prefix());
        let cx = Self { inner: Arc::new(inner), prefix: Some(prefix.into()) };
        let ended = spans::within(spans::execute_tool(tool), pipeline::run(offered, arguments, cx)).await;
        ended.map_err(|failure| match failure.error {
            // That this one was refused does not mean that the outer one has done nothing.
            ToolError::Limited(limited) => ToolError::Unavailable(limited),
            error => error,
        })
    }

    /// The caller's session under `handle`, which is hereby used; or a new one, which is kept once it is saved. It ends when it was
    /// not used for a day, or for what [`ServerBuilder::session_idle`](crate::ServerBuilder::session_idle) says; a caller has at
    /// most 100, and of more the one that is idle longest ends.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`ToolError::Failed`], by which the model learns to begin a new one, where the caller has no such session any more, or it holds
    /// something else than a `T`. [`ToolError::Unavailable`] when the store cannot be reached.
    pub async fn session<T>(&self, handle: Option<&str>) -> Result<Session<T>, ToolError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        Session::load(self, handle).await
    }

    pub(crate) fn server(&self) -> &Server {
        &self.inner.server
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}
