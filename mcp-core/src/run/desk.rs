//! What callers may do with runs.

use bytes::Bytes;

use crate::caller::Caller;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::runs::{Input, InputId, InputKind, NewRun, Posted, RunId, RunQuery, RunRecord, StepRecord};

/// What callers may do with runs: an administrator with those of their tenant, others with their own.
pub struct RunDesk<'s> {
    server: &'s Server,
}

/// Why a run is not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunRefusal {
    /// The server does no such work.
    #[error("there is no kind of run {kind:?}{}", known(kinds))]
    UnknownKind {
        /// The kind that was asked for.
        kind: String,
        /// Those that there are.
        kinds: Vec<String>,
    },
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn known(kinds: &[String]) -> String {
    if kinds.is_empty() { "; this server has none".to_owned() } else { format!("; there are {}", kinds.join(", ")) }
}

impl<'s> RunDesk<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server }
    }

    /// The kinds of runs that can be begun.
    pub fn kinds(&self) -> impl Iterator<Item = &'s str> {
        self.server.work().keys().map(String::as_str)
    }

    /// Begins a run, which is done by whichever process claims it, and gives its id. With an `id` of the caller's own, which nobody else has, a
    /// run that was begun already is not begun again.
    ///
    /// Not cancel safe: a dropped future may or may not have begun it.
    ///
    /// # Errors
    /// [`RunRefusal`]; after [`StoreError::Unavailable`] it may have been begun.
    pub async fn start(
        &self,
        caller: &Caller,
        kind: &str,
        arguments: Bytes,
        id: Option<RunId>,
    ) -> Result<RunId, RunRefusal> {
        if !self.server.work().contains_key(kind) {
            let kind = kind.chars().take(128).collect();
            return Err(RunRefusal::UnknownKind { kind, kinds: self.kinds().map(str::to_owned).collect() });
        }
        Ok(self.begin(caller, kind, arguments, id).await?)
    }

    /// Begins a run of a kind that is known.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        kind: &str,
        arguments: Bytes,
        id: Option<RunId>,
    ) -> Result<RunId, StoreError> {
        let id = id.unwrap_or_else(|| self.server.new_run_id());
        let run = NewRun {
            id,
            tenant: caller.tenant().clone(),
            principal: caller.principal().clone(),
            kind: kind.to_owned(),
            parent: None,
            arguments,
            at: self.server.clock().now(),
        };
        self.server.run_store().create(&run).await?;
        self.tell(id, kind);
        Ok(id)
    }

    /// The runs that the caller may see, the newest first.
    ///
    /// # Errors
    /// As [`Runs::runs`](crate::store::runs::Runs::runs).
    pub async fn list(&self, caller: &Caller, mut query: RunQuery) -> Result<Vec<RunRecord>, StoreError> {
        if !caller.has_role(Caller::ADMIN) {
            query.principal = Some(caller.principal().clone());
        }
        self.server.run_store().runs(caller.tenant(), &query).await
    }

    /// One run, if the caller may see it.
    ///
    /// # Errors
    /// As [`Runs::run`](crate::store::runs::Runs::run).
    pub async fn find(&self, caller: &Caller, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let run = self.server.run_store().run(caller.tenant(), id).await?;
        Ok(run.filter(|run| caller.has_role(Caller::ADMIN) || run.principal == *caller.principal()))
    }

    /// The steps of a run whose numbers are `from` or greater; none, where the caller may not see it.
    ///
    /// # Errors
    /// As [`Runs::steps`](crate::store::runs::Runs::steps).
    pub async fn steps(
        &self,
        caller: &Caller,
        id: RunId,
        from: u32,
        limit: u16,
    ) -> Result<Vec<StepRecord>, StoreError> {
        if self.find(caller, id).await?.is_none() {
            return Ok(Vec::new());
        }
        self.server.run_store().steps(caller.tenant(), id, from, limit).await
    }

    /// Tells a run something. It is posted once, where it is posted again with the same `input` of the caller's own.
    ///
    /// # Errors
    /// As [`Runs::post`](crate::store::runs::Runs::post).
    pub async fn post(
        &self,
        caller: &Caller,
        id: RunId,
        body: Bytes,
        input: Option<InputId>,
    ) -> Result<Posted, StoreError> {
        self.put(caller, id, InputKind::Message, body, input).await
    }

    /// Ends a run. It has a grace to do so by itself.
    ///
    /// # Errors
    /// As [`RunDesk::post`].
    pub async fn cancel(&self, caller: &Caller, id: RunId) -> Result<Posted, StoreError> {
        self.put(caller, id, InputKind::Cancel, Bytes::new(), None).await
    }

    async fn put(
        &self,
        caller: &Caller,
        id: RunId,
        kind: InputKind,
        body: Bytes,
        input: Option<InputId>,
    ) -> Result<Posted, StoreError> {
        let Some(run) = self.find(caller, id).await? else { return Ok(Posted::Missing) };
        let input = Input {
            id: input.unwrap_or_else(|| InputId::from_u128(self.server.new_call_id().as_u128())),
            principal: caller.principal().clone(),
            kind,
            body,
            at: self.server.clock().now(),
        };
        let posted = self.server.run_store().post(caller.tenant(), id, &input).await?;
        self.tell(id, &run.kind);
        Ok(posted)
    }

    /// Nobody waits for a hint.
    fn tell(&self, id: RunId, kind: &str) {
        let (hints, kind) = (self.server.hints().clone(), kind.to_owned());
        self.server.spawn(async move { hints.tell(id, &kind).await });
    }
}
