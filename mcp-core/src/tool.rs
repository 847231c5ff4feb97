//! What a tool is: a description that a model reads, and a function that is called.

pub mod arguments;
pub(crate) mod cost;
pub mod error;
pub mod function;
pub(crate) mod header;
pub mod key;
pub mod limited;
pub mod output;
pub(crate) mod pipeline;
pub mod quota;
pub(crate) mod redacted;
pub mod registry;
pub mod retry;
pub mod schema;
pub mod spec;
pub mod time;

use async_trait::async_trait;

use crate::context::Context;
use arguments::Arguments;
use error::ToolError;
use output::ToolOutput;
use spec::ToolSpec;

/// A tool (server, "Tools"). Most are made of a function by [`tool_fn`](function::tool_fn); implement this by hand where the
/// schema is known only at run time, or the arguments should not be parsed.
///
/// ```
/// use mcp_core::{Arguments, Context, Tool, ToolError, ToolOutput, ToolSpec};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// struct Counter { spec: ToolSpec, count: AtomicU64 }
///
/// #[async_trait::async_trait]
/// impl Tool for Counter {
///     fn spec(&self) -> &ToolSpec {
///         &self.spec
///     }
///
///     async fn call(&self, _: Arguments, _: Context) -> Result<ToolOutput, ToolError> {
///         Ok(ToolOutput::text(self.count.fetch_add(1, Ordering::Relaxed).to_string()))
///     }
/// }
/// # let _ = Counter { spec: ToolSpec::new("counter", "Counts its calls."), count: AtomicU64::new(0) };
/// ```
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// What it is called, takes and promises. Read once, when the tool is offered.
    fn spec(&self) -> &ToolSpec;

    /// Runs it. The arguments have been checked against the schema of a tool written by hand.
    ///
    /// A client that leaves, or a timeout, sets [`Context::cancelled`]; after a grace the future is dropped. That of a
    /// read-only tool is dropped at once.
    ///
    /// # Errors
    /// See [`ToolError`]: what the client may see depends on the variant.
    async fn call(&self, arguments: Arguments, cx: Context) -> Result<ToolOutput, ToolError>;
}
