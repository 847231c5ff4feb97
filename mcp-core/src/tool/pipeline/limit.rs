//! The stage that calls the tool, and sees to it that the call ends.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use crate::context::{Context, Why};
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;

/// Calls the tool. When its time is over or its client has left, the tool is told, given a grace to end well, and dropped;
/// a read-only tool has no grace. No timer is made for a call that is ready at its first poll.
pub(super) async fn call(tool: &OfferedTool, arguments: Arguments, cx: &Context) -> Result<ToolOutput, ToolError> {
    let call = AssertUnwindSafe(tool.tool().call(arguments, cx.clone())).catch_unwind();
    let mut call = std::pin::pin!(call);
    let first = std::future::poll_fn(|task| std::task::Poll::Ready(call.as_mut().poll(task))).await;
    if let std::task::Poll::Ready(result) = first {
        return result.unwrap_or_else(|panic| Err(panicked(&*panic)));
    }
    let policy = &tool.spec().policy;
    let limits = cx.inner().server.limits();
    let timeout = policy.timeout.unwrap_or(limits.timeout);
    let end = std::pin::pin!(must_end(timeout, cx));
    let why = match select(call.as_mut(), end).await {
        Either::Left((result, _)) => return result.unwrap_or_else(|panic| Err(panicked(&*panic))),
        Either::Right((why, _)) => why,
    };
    cx.inner().cancellation.cancel(why);
    let cancelled = Err(match why {
        Why::Left => ToolError::Cancelled,
        Why::TimedOut => ToolError::TimedOut(timeout),
    });
    if policy.read_only {
        return cancelled;
    }
    match select(call, cx.clock().sleep(limits.grace)).await {
        Either::Left((result, _)) => result.unwrap_or_else(|panic| Err(panicked(&*panic))),
        Either::Right(_) => cancelled,
    }
}

/// Completes when the call must end.
async fn must_end(timeout: Duration, cx: &Context) -> Why {
    let left = std::pin::pin!(async {
        match &cx.inner().parent {
            None => cx.inner().cancellation.cancelled().await,
            Some(parent) => {
                let own = std::pin::pin!(cx.inner().cancellation.cancelled());
                let above = std::pin::pin!(parent.cancelled());
                select(own, above).await;
            }
        }
    });
    match select(left, cx.clock().sleep(timeout)).await {
        Either::Left(_) => Why::Left,
        Either::Right(_) => Why::TimedOut,
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ToolError {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ToolError::Internal(format!("the tool panicked: {}", message.unwrap_or("(no message)")).into())
}
