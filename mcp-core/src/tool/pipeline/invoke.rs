//! The innermost stage: it calls the tool, and lets out neither a panic nor an output that is too large.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;

use crate::context::Context;
use crate::panicked::words;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;

pub(super) async fn call(tool: &OfferedTool, arguments: Arguments, cx: &Context) -> Result<ToolOutput, ToolError> {
    // A tool by hand may panic before it has a future, so that is made inside.
    let mut call = pin!(guard(async { tool.tool().call(arguments, cx.clone()).await }));
    let output = poll_fn(|task| cx.poll_call(call.as_mut(), task)).await?;
    let limit = tool.spec().policy.max_output.unwrap_or(cx.inner().server.limits().max_output);
    match output.size() {
        size if size > limit => Err(ToolError::TooLarge { size, limit }),
        _ => Ok(output),
    }
}

/// Lets out no panic.
pub(super) fn guard<T>(call: impl Future<Output = Result<T, ToolError>>) -> impl Future<Output = Result<T, ToolError>> {
    AssertUnwindSafe(call).catch_unwind().map(|ended| ended.unwrap_or_else(|panic| Err(panicked(&*panic))))
}

fn panicked(panic: &(dyn Any + Send)) -> ToolError {
    ToolError::Internal(format!("it panicked: {}", words(panic).unwrap_or("(no message)")).into())
}
