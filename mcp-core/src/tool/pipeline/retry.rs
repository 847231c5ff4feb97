//! The stage that tries a call again for which something was not there.

use std::pin::pin;

use futures_util::future::{Either, select};

use super::Stages;
use crate::context::Context;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;
use crate::tool::retry::Retries;

/// Calls the tool, and calls it again where something that it needs was not there: [`ToolError::Unavailable`], by which a tool says
/// that it may help. All else is an answer, or would come out the same.
///
/// A call that has asked its client is not tried again, since it would ask again.
pub(super) async fn call(
    retries: &Retries,
    stages: &Stages,
    tool: &OfferedTool,
    arguments: &Arguments,
    cx: &Context,
) -> Result<ToolOutput, ToolError> {
    retries.earn();
    let (mut before, mut attempt) = (None, 1);
    loop {
        let unavailable = match (super::attempt(stages, tool, arguments, cx).await, before) {
            // It was not called: what it said before is how the call has ended.
            (Err(ToolError::Limited(_)), Some(before)) => return Err(before),
            (Err(error @ ToolError::Unavailable(_)), _) => error,
            (ended, _) => return ended,
        };
        if attempt >= retries.of().attempts || cx.has_asked() || !retries.spend() {
            return Err(unavailable);
        }
        if let ToolError::Unavailable(cause) = &unavailable {
            tracing::warn!(call = %cx.call_id(), tool = tool.spec().name(), attempt, %cause, "a call is tried again");
        }
        let pause = cx.clock().sleep(retries.of().pause(attempt, cx.call_id().as_u128()));
        if let Either::Left(_) = cx.wait(select(pin!(cx.cancelled()), pause)).await {
            return Err(ToolError::Cancelled);
        }
        cx.begin_again();
        super::measure::count_retry(tool, cx);
        attempt += 1;
        before = Some(unavailable);
    }
}
