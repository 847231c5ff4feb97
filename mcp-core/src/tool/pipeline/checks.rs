//! The stages that look at what goes in and what comes out.

use crate::context::Context;
use crate::tool::arguments::Arguments;
use crate::tool::error::{Fault, ToolError};
use crate::tool::output::ToolOutput;
use crate::tool::registry::{Check, OfferedTool};
use crate::tool::schema;

/// Holds the arguments against the schema, where serde alone would not do.
pub(super) fn arguments(tool: &OfferedTool, arguments: &Arguments) -> Result<(), ToolError> {
    let needed = match tool.check() {
        Check::Never => false,
        Check::WhereArrays => memchr::memchr(b'[', arguments.as_bytes()).is_some(),
        Check::Always => true,
    };
    let faults = if needed { schema::faults(tool.validator(), arguments.as_bytes()) } else { Vec::new() };
    if faults.is_empty() { Ok(()) } else { Err(ToolError::Arguments(faults)) }
}

/// Puts all faults, with their places, in place of the first that serde met.
pub(super) fn explain(tool: &OfferedTool, arguments: &Arguments, error: ToolError) -> ToolError {
    match error {
        ToolError::Arguments(faults) if matches!(&faults[..], [Fault { pointer, .. }] if pointer.is_empty()) => {
            let all = schema::faults(tool.validator(), arguments.as_bytes());
            ToolError::Arguments(if all.is_empty() { faults } else { all })
        }
        error => error,
    }
}

/// Refuses an output that is too large.
pub(super) fn output(
    tool: &OfferedTool,
    cx: &Context,
    result: Result<ToolOutput, ToolError>,
) -> Result<ToolOutput, ToolError> {
    let limit = tool.spec().policy.max_output.unwrap_or(cx.inner().server.limits().max_output);
    match result {
        Ok(output) if output.size() > limit => Err(ToolError::TooLarge { size: output.size(), limit }),
        result => result,
    }
}
