//! What one call may know and do.

mod cancellation;
pub(crate) mod key;
pub(crate) mod outbox;
mod session;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller::Caller;
use crate::clock::Clock;
use crate::server::{CallError, Server};
use crate::store::ledger::CallId;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::pipeline;

pub(crate) use cancellation::Cancellation;
use key::Key;
pub(crate) use outbox::Outbox;
pub use outbox::{LogLevel, Progress};
pub use session::Session;

/// What one call may know and do. Cheap to clone; it may outlive the call, which it then no longer reaches.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) server: Server,
    pub(crate) caller: Caller,
    pub(crate) id: CallId,
    /// The call in which this one was made.
    pub(crate) parent: Option<Context>,
    pub(crate) cancellation: Cancellation,
    /// Only where it was sent under one.
    pub(crate) key: Option<Box<Key>>,
    /// Only where the client listens.
    pub(crate) outbox: Option<Arc<Outbox>>,
}

/// How many calls may be inside of one another.
const MAX_DEPTH: usize = 16;

impl Context {
    pub(crate) fn new(server: Server, caller: Caller, key: Option<Box<Key>>, outbox: Option<Arc<Outbox>>) -> Self {
        let id = server.new_call_id();
        Self(Arc::new(Inner { server, caller, id, parent: None, cancellation: Cancellation::default(), key, outbox }))
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The id under which the call is recorded and logged.
    pub fn call_id(&self) -> CallId {
        self.0.id
    }

    /// What names the effect of this call, and of no other call, tool or caller: at most 43 characters. It is the same in each attempt
    /// at a call that is sent again under one key, also after a server has ended in the middle of it, and in each call that such a
    /// call makes. A tool that writes its effect under this name, so that a second attempt finds it written, has the effect exactly
    /// once. Where no key was sent, each call has a name of its own.
    pub fn key(&self) -> String {
        match &self.0.key {
            Some(key) => key.effect().to_owned(),
            None => self.0.id.to_string(),
        }
    }

    /// The key by which the call's result is kept.
    pub(crate) fn kept_key(&self) -> Option<&Key> {
        self.0.key.as_deref().filter(|key| key.is_kept)
    }

    /// The server's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.0.server.clock()
    }

    /// Tells the client how far the call has come, if it asked to be told. It never waits: where the client reads more slowly
    /// than this is called, it is told the latest. What does not go forward is not sent (basic/utilities/progress).
    pub fn progress(&self, progress: Progress) {
        if let Some(outbox) = &self.0.outbox {
            outbox.progress(progress);
        }
    }

    /// Sends the client a line of log, if it asked for lines of this level. It never waits: of a client that reads too slowly,
    /// the oldest lines are dropped (server/utilities/logging).
    pub fn log(&self, level: LogLevel, data: impl serde::Serialize) {
        if let Some(outbox) = self.0.outbox.as_ref().filter(|outbox| outbox.wants(level)) {
            outbox.log(level, &data);
        }
    }

    /// Whether the call should end: its client left, or its time is over.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancellation.is_set() || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Completes when the call should end; the future of a tool that is not read-only goes on for a grace, and is dropped then.
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        self.0.cancellation.cancelled().await;
    }

    /// Calls another tool for the same caller, within this call's time. It is checked and recorded as every call is; under a key, where
    /// this one has one: derived from this one's, from the tool and the arguments, and from how often that was called before.
    ///
    /// Not cancel safe: dropping the future drops the other tool's.
    ///
    /// # Errors
    /// Those of the other tool; [`ToolError::Failed`] where there is no such tool, or 16 calls are inside of one another.
    pub async fn call(&self, tool: &str, arguments: Arguments) -> Result<ToolOutput, ToolError> {
        let ancestors = std::iter::successors(Some(self), |cx| cx.0.parent.as_ref()).count();
        if ancestors >= MAX_DEPTH {
            return Err(ToolError::failed(format!(
                "{MAX_DEPTH} calls are inside of one another; {tool} is not called"
            )));
        }
        let Inner { server, caller, outbox, .. } = &*self.0;
        let offered = server.find_tool(tool).map_err(|unknown: CallError| ToolError::failed(unknown.to_string()))?;
        let is_kept = offered.spec().policy.deduplicated;
        let key =
            self.0.key.as_ref().map(|key| key.inner(caller, tool, &arguments, is_kept).map(Box::new)).transpose()?;
        let cx = Self(Arc::new(Inner {
            server: server.clone(),
            caller: caller.clone(),
            id: server.new_call_id(),
            parent: Some(self.clone()),
            cancellation: Cancellation::default(),
            key,
            outbox: outbox.clone(),
        }));
        pipeline::run(offered, arguments, cx).await.map_err(|failure| failure.error)
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

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}
