//! The stage that sees to it that a call ends.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::context::Context;
use crate::tool::error::ToolError;

/// How long a call may take.
#[derive(Clone, Copy)]
pub(super) struct Time {
    /// From its begin, and from each report of progress.
    pub(super) each: Duration,
    /// From its begin, whatever it reports.
    pub(super) most: Duration,
}

/// Runs a call. When its time is over or its client has left, the tool is told, given a grace to end well, and dropped; a
/// read-only tool has no grace. No timer is made for a call that is ready at its first poll.
pub(super) async fn hold<T>(
    time: Time,
    read_only: bool,
    cx: &Context,
    call: Pin<&mut impl Future<Output = Result<T, ToolError>>>,
) -> Result<T, ToolError> {
    let end = pin!(must_end(time, cx));
    let (why, call) = match select(call, end).await {
        Either::Left((result, _)) => return result,
        Either::Right(ended) => ended,
    };
    cx.inner().cancellation.cancel();
    if read_only {
        return Err(why);
    }
    match select(call, cx.clock().sleep(cx.inner().server.limits().grace)).await {
        // A tool that heeds the sign does not know why it was given.
        Either::Left((Err(ToolError::Cancelled), _)) | Either::Right(_) => Err(why),
        Either::Left((result, _)) => result,
    }
}

/// Completes when the call must end, with the reason.
async fn must_end(time: Time, cx: &Context) -> ToolError {
    // The one who waits for a call within a call is the outer call.
    let left = pin!(cx.inner().parent.as_ref().unwrap_or(cx).cancelled());
    match select(left, pin!(time_is_over(time, cx))).await {
        Either::Left(_) => ToolError::Cancelled,
        Either::Right((took, _)) => ToolError::TimedOut(took),
    }
}

/// Completes when the call has had its time, and tells how much that was; that in which it waited for answers is not its own.
async fn time_is_over(Time { each, most }: Time, cx: &Context) -> Duration {
    let begun = cx.own_time();
    loop {
        let from = cx.last_progress().max(begun);
        let end = from.saturating_add(each).min(begun.saturating_add(most));
        let left = end.saturating_sub(cx.own_time());
        if left.is_zero() {
            return end - begun;
        }
        cx.clock().sleep(left).await;
    }
}
