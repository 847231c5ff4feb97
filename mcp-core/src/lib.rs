//! An MCP server with agents, as a library: tools, the protocol engine, and the seams to storage. It does no I/O: whoever
//! links it brings the socket (mcp-http does, for actix-web), the stores (mcp-store) and the runtime.
//!
//! ```
//! use mcp_core::{Endpoint, Server, ToolError, tool_fn};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Greeting {
//!     /// Whom to greet.
//!     name: String,
//! }
//!
//! async fn greet(greeting: Greeting) -> Result<String, ToolError> {
//!     Ok(format!("Hello, {}!", greeting.name))
//! }
//!
//! # fn main() -> Result<(), mcp_core::BuildError> {
//! let server = Server::builder("hello", "1.0.0").tool(tool_fn("greet", "Greets someone.", greet)).build()?;
//! let endpoint = Endpoint::new(server);
//! # let _ = endpoint;
//! # Ok(())
//! # }
//! ```

// In the order in which a request meets them.
mod call;
pub mod caller;
pub mod clock;
pub mod context;
#[cfg(feature = "contract")]
pub mod contract;
mod dispatch;
pub mod endpoint;
mod json;
mod jsonrpc;
mod legacy;
pub mod memory;
mod protocol;
pub mod server;
pub mod spawn;
pub mod store;
#[cfg(feature = "test")]
pub mod test_client;
#[cfg(feature = "tokio")]
pub mod tokio_runtime;
pub mod tool;

pub use caller::{Authenticate, Caller, Challenge};
pub use context::{Context, LogLevel, Progress};
pub use endpoint::Endpoint;
pub use server::{BuildError, CallError, Server, ServerBuilder};
pub use store::Stores;
#[cfg(feature = "test")]
pub use test_client::TestClient;
pub use tool::Tool;
pub use tool::arguments::Arguments;
pub use tool::error::ToolError;
pub use tool::function::{tool_fn, tool_with};
pub use tool::output::{Content, ToolOutput};
pub use tool::spec::{Icon, ToolSpec};
