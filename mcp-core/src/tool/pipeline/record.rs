//! The stage that records the call. It wraps all others, so that what they refuse is recorded as well.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::context::Context;
use crate::server;
use crate::store::ledger::{CallId, CallRecord, Entry, Outcome};
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;

/// Begins a record, if the server keeps any. A call whose record could not be kept is not begun.
pub(super) fn begin(tool: &OfferedTool, arguments: &Arguments, cx: &Context) -> Result<Option<Recording>, ToolError> {
    let server = &cx.inner().server;
    let Some(ledger) = server.ledger() else { return Ok(None) };
    ledger.admit().map_err(|error| ToolError::Unavailable(Box::new(error)))?;
    let started = server.clock().monotonic();
    let (at, arguments) = (server.clock().now(), arguments.as_bytes().clone());
    Ok(Some(Recording { cx: cx.clone(), tool: tool.spec().name().to_owned(), arguments, at, started, open: true }))
}

/// A call that is being recorded. Dropped before its end, it records that the call was cancelled.
pub(super) struct Recording {
    cx: Context,
    tool: String,
    arguments: Bytes,
    at: Timestamp,
    started: Duration,
    open: bool,
}

impl Recording {
    /// Commits the record. A call whose record cannot be kept has no result: what is acknowledged is recorded.
    pub(super) async fn end(mut self, result: Result<ToolOutput, ToolError>) -> Result<ToolOutput, ToolError> {
        self.open = false;
        let text = match &result {
            Ok(output) => output.to_json(),
            Err(error) => shown(self.cx.call_id(), error),
        };
        match self.commit(outcome_of(result.as_ref()), text).await {
            Ok(()) => result,
            Err(error) => Err(ToolError::Unavailable(Box::new(error))),
        }
    }

    fn commit(
        &mut self,
        outcome: Outcome,
        result: Bytes,
    ) -> impl Future<Output = Result<(), crate::store::StoreError>> + use<> {
        let inner = self.cx.inner();
        let record = CallRecord {
            id: inner.id,
            parent: inner.parent.as_ref().map(Context::call_id),
            tenant: inner.caller.tenant().clone(),
            principal: inner.caller.principal().clone(),
            tool: std::mem::take(&mut self.tool),
            arguments: std::mem::take(&mut self.arguments),
            outcome,
            result,
            at: self.at,
            duration: inner.server.clock().monotonic().saturating_sub(self.started),
        };
        let committed = inner.server.ledger().map(|ledger| ledger.commit(vec![Entry::Call(record)]));
        async move { if let Some(committed) = committed { committed.await } else { Ok(()) } }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.open {
            // `commit` has queued the entry when it returns; the writer's answer is nobody's concern any more.
            drop(self.commit(Outcome::Cancelled, shown(self.cx.call_id(), &ToolError::Cancelled)));
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
        Err(ToolError::Failed(_) | ToolError::TooLarge { .. }) => Outcome::Error,
        Err(ToolError::Arguments(_)) => Outcome::Invalid,
        Err(ToolError::TimedOut(_)) => Outcome::TimedOut,
        Err(ToolError::Cancelled) => Outcome::Cancelled,
        Err(ToolError::Unavailable(_) | ToolError::Internal(_)) => Outcome::Internal,
    }
}
