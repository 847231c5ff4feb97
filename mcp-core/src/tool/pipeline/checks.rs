//! The stages that look at what goes in, and at what comes out.

use jsonschema::Validator;

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

/// Holds a structured output against the schema that clients were told: what does not fit is not sent. An output that says that the
/// call has failed needs none.
pub(super) fn output(validator: &Validator, output: &ToolOutput) -> Result<(), ToolError> {
    if output.is_error() {
        return Ok(());
    }
    let unfit = |faults: String| ToolError::Internal(format!("its output does not fit its schema: {faults}").into());
    let Some(json) = output.structured_json() else { return Err(unfit("it has no structured output".to_owned())) };
    let faults = schema::places(validator, json.as_bytes());
    if faults.is_empty() { Ok(()) } else { Err(unfit(faults.join("; "))) }
}
