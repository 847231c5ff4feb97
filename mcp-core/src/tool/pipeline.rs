//! The stages of every call, in the order in which they stand here. Each is free when the tool did not ask for it.

mod cache;
mod checks;
mod idempotency;
mod invoke;
mod limit;
mod measure;
mod record;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::arguments::Arguments;
use super::error::ToolError;
use super::output::ToolOutput;
use super::registry::OfferedTool;
use crate::context::Context;
use crate::store::ledger::CallId;

pub(crate) use cache::Flights;
pub(crate) use idempotency::Keys;
pub(crate) use measure::Meter;
pub(crate) use record::Recording;

/// How a call ended.
pub(crate) type Finished = Result<ToolOutput, Failure>;

/// A call that has no result, and the id under which it is recorded and logged.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) id: CallId,
    pub(crate) error: ToolError,
    /// Whether an earlier call has failed, which this one repeats.
    pub(crate) replayed: bool,
}

impl Failure {
    /// A call that has failed by itself. The cause that the client does not see goes into the log.
    fn of(error: ToolError, tool: &OfferedTool, cx: &Context) -> Self {
        Self { id: cx.call_id(), error: logged(error, "tool", tool.spec().name(), cx), replayed: false }
    }
}

/// Runs one call, and completes when it is recorded.
pub(crate) fn run(tool: Arc<OfferedTool>, arguments: Arguments, cx: Context) -> BoxFuture<'static, Finished> {
    if cx.inner().server.is_measured() {
        measure::call(tool, arguments, cx).boxed()
    } else {
        recorded(tool, arguments, cx).boxed()
    }
}

async fn recorded(tool: Arc<OfferedTool>, arguments: Arguments, cx: Context) -> Finished {
    if let Some(key) = cx.kept_key() {
        // Boxed, so that calls which do without it are not as large.
        return Box::pin(idempotency::call(key, &tool, &arguments, &cx)).await;
    }
    let record = record::begin(&tool, &arguments, &cx).map_err(|error| Failure::of(error, &tool, &cx))?;
    let result = stages(&tool, arguments, &cx).await;
    let result = match record {
        Some(record) => ended(record, result).await,
        None => result,
    };
    result.map_err(|error| Failure::of(error, &tool, &cx))
}

/// Records how a call has ended; one whose record cannot be kept has no result.
async fn ended(record: Recording, result: Result<ToolOutput, ToolError>) -> Result<ToolOutput, ToolError> {
    match record.end(&result, None).await {
        Ok(()) => result,
        Err(error) => Err(ToolError::Unavailable(Box::new(error))),
    }
}

/// Runs what only reads, and calls no tool: it ends in time, lets out no panic, and its cause goes into the log.
pub(crate) async fn read<T>(
    kind: &'static str,
    name: &str,
    cx: &Context,
    read: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, Failure> {
    let mut guarded = pin!(invoke::guard(read));
    let call = pin!(poll_fn(|task| cx.poll_call(guarded.as_mut(), task)));
    let result = limit::hold(cx.inner().server.limits().timeout, true, cx, call).await;
    result.map_err(|error| Failure { id: cx.call_id(), error: logged(error, kind, name, cx), replayed: false })
}

async fn stages(tool: &Arc<OfferedTool>, arguments: Arguments, cx: &Context) -> Result<ToolOutput, ToolError> {
    checks::arguments(tool, &arguments)?;
    let changes = cache::Changes::by(tool, cx);
    let policy = &tool.spec().policy;
    let timeout = policy.timeout.unwrap_or(cx.inner().server.limits().timeout);
    let mut call = pin!(async {
        match tool.cache() {
            None => invoke::call(tool, arguments.clone(), cx).await,
            // Boxed, so that calls which do without it are not as large.
            Some(policy) => Box::pin(cache::call(policy, tool, &arguments, cx)).await,
        }
    });
    let result = limit::hold(timeout, policy.read_only, cx, call.as_mut()).await;
    changes.settle().await;
    result.map_err(|error| checks::explain(tool, &arguments, error))
}

/// Writes the cause of an error that the client does not see into the log, under the id that it does see.
fn logged(error: ToolError, what: &'static str, name: &str, cx: &Context) -> ToolError {
    let (kind, cause) = match &error {
        ToolError::Internal(cause) => ("internal", cause),
        ToolError::Unavailable(cause) => ("unavailable", cause),
        _ => return error,
    };
    let causes = std::iter::successors(cause.source(), |cause| cause.source());
    let chain = causes.fold(cause.to_string(), |chain, cause| format!("{chain}: {cause}"));
    tracing::error!(call = %cx.call_id(), tool = name, what, kind, cause = chain, "a call failed");
    error
}
