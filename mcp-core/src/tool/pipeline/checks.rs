//! The stage that looks at what goes in.

use crate::tool::arguments::Arguments;
use crate::tool::error::{Fault, ToolError};
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
