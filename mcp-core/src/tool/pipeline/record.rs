//! The stage that records the call. It wraps all others, so that what they refuse is recorded as well.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::context::Context;
use crate::server;
use crate::store::StoreError;
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger, Outcome};
use crate::tool::arguments::Arguments;
use crate::tool::error::{KeyError, ToolError};
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;

/// Begins a record, if the server keeps any. A call whose record could not be kept is not begun.
pub(super) fn begin(tool: &OfferedTool, arguments: &Arguments, cx: &Context) -> Result<Option<Recording>, ToolError> {
    let server = &cx.inner().server;
    server.ledger().map(|ledger| begin_on(ledger, tool, arguments, cx)).transpose()
}

/// Begins a record of a call that `ledger` admits.
pub(super) fn begin_on(
    ledger: &dyn Ledger,
    tool: &OfferedTool,
    arguments: &Arguments,
    cx: &Context,
) -> Result<Recording, ToolError> {
    let shown = tool.spec().policy.redacted.and(cx.inner().server.redacted(), arguments.as_bytes());
    let begun = Recording::begin(ledger, tool.spec().name().to_owned(), shown, cx);
    begun.map_err(|error| ToolError::Unavailable(Box::new(error)))
}

/// A call that is being recorded. Dropped before its end, it records that the call was cancelled.
pub(crate) struct Recording {
    cx: Context,
    tool: String,
    arguments: Bytes,
    at: Timestamp,
    started: Duration,
    open: bool,
}

impl Recording {
    /// Begins the record of what `cx` does, under the name of a tool or of what else it is.
    pub(crate) fn begin(ledger: &dyn Ledger, tool: String, arguments: Bytes, cx: &Context) -> Result<Self, StoreError> {
        ledger.admit()?;
        let (at, started) = (cx.clock().now(), cx.clock().monotonic());
        Ok(Self { cx: cx.clone(), tool, arguments, at, started, open: true })
    }

    /// Commits the record, and what must be committed with it. A call whose record cannot be kept has no result: what is acknowledged
    /// is recorded.
    pub(super) async fn end(
        self,
        result: &Result<ToolOutput, ToolError>,
        with: Option<Entry>,
    ) -> Result<(), StoreError> {
        let text = match result {
            Ok(output) => output.to_json(),
            Err(error) => shown(self.cx.call_id(), error),
        };
        self.end_as(outcome_of(result.as_ref()), text, with).await
    }

    /// The same, where there is no result but what is to be kept of it.
    pub(crate) async fn end_as(
        mut self,
        outcome: Outcome,
        result: Bytes,
        with: Option<Entry>,
    ) -> Result<(), StoreError> {
        self.open = false;
        let record = self.record(outcome, result);
        if let Some(withheld) = self.cx.inner().key.as_ref().and_then(|key| key.withheld()) {
            withheld.put(record);
            return Ok(());
        }
        self.commit(record, with).await
    }

    fn record(&mut self, outcome: Outcome, result: Bytes) -> CallRecord {
        let inner = self.cx.inner();
        CallRecord {
            id: inner.id,
            parent: inner.parent.as_ref().map(Context::call_id),
            tenant: inner.caller.tenant().clone(),
            principal: inner.caller.principal().clone(),
            address: inner.caller.address(),
            tool: std::mem::take(&mut self.tool),
            arguments: std::mem::take(&mut self.arguments),
            outcome,
            result,
            at: self.at,
            duration: inner.server.clock().monotonic().saturating_sub(self.started),
            waited: self.cx.waited(),
        }
    }

    fn commit(&self, record: CallRecord, with: Option<Entry>) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let inner = self.cx.inner();
        let ledger =
            if self.cx.kept_key().is_some() { Some(&*inner.server.keys().ledger) } else { inner.server.ledger() };
        let committed = ledger.map(|ledger| ledger.commit([Entry::Call(record)].into_iter().chain(with).collect()));
        async move { if let Some(committed) = committed { committed.await } else { Ok(()) } }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.open {
            // `commit` has queued the entry when it returns; the writer's answer is nobody's concern any more.
            let record = self.record(Outcome::Cancelled, shown(self.cx.call_id(), &ToolError::Cancelled));
            drop(self.commit(record, None));
        }
    }
}

/// The result that stands for an error, as the client is shown it.
fn shown(id: CallId, error: &ToolError) -> Bytes {
    ToolOutput::text(server::told(id, error)).as_error().to_json()
}

pub(super) fn outcome_of(result: Result<&ToolOutput, &ToolError>) -> Outcome {
    match result {
        Ok(output) if output.is_error() => Outcome::Error,
        Ok(_) => Outcome::Ok,
        Err(ToolError::Failed(_) | ToolError::TooLarge { .. } | ToolError::Incapable(_)) => Outcome::Error,
        Err(ToolError::Arguments(_) | ToolError::Key(KeyError::Reused)) => Outcome::Invalid,
        Err(ToolError::Key(KeyError::OutcomeUnknown)) => Outcome::OutcomeUnknown,
        Err(ToolError::Limited(_)) => Outcome::Limited,
        Err(ToolError::TimedOut(_)) => Outcome::TimedOut,
        Err(ToolError::NeedsInput(_)) => Outcome::InputRequired,
        Err(ToolError::Cancelled) => Outcome::Cancelled,
        Err(ToolError::Unavailable(_) | ToolError::Internal(_) | ToolError::Key(KeyError::StillRunning)) => {
            Outcome::Internal
        }
    }
}
