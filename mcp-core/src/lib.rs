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

// The rooms, in the order in which a request meets them: the way in,
pub mod caller;
pub mod connection;
pub mod endpoint;
pub mod oauth;

// the message and its era,
mod jsonrpc;
mod legacy;

// the method,
mod dispatch;
pub mod protocol;

// the call, and what outlives it,
mod act;
pub mod agent;
pub mod ask;
mod call;
pub mod capability;
pub mod context;
pub mod definition;
pub mod run;
pub mod server;
mod task;
pub mod team;
pub mod tool;

// who decides, where no person does,
pub mod model;

// what is offered beside tools, and what all of it is made of,
pub mod catalog;
pub mod changes;
pub mod completion;
pub mod content;
pub mod policy;
pub mod prompt;
pub mod resource;
pub mod strings;
pub mod view;

// what is kept,
pub mod memory;
pub mod presence;
pub mod retention;
pub mod store;

// who is woken,
pub mod alert;

// and what all of them lean on.
pub mod clock;
mod json;
pub mod measure;
pub mod nearest;
pub mod panicked;
mod seal;
pub mod spans;
pub mod spawn;
#[cfg(feature = "tokio")]
pub mod tokio_runtime;
mod waiting;

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use jsonrpc::judge;
#[cfg(feature = "test")]
pub mod test_client;

pub use agent::{Agent, AgentContext, AgentError, AgentSpec, Budget, Step, ToolCall, Transcript};
pub use ask::{Elicited, Question, Root, Sampled, Sampling};
pub use caller::{Authenticate, Caller, Challenge};
pub use capability::{ClientCapabilities, ClientCapability};
pub use changes::Change;
pub use completion::{Completing, Completion};
pub use connection::Connection;
pub use content::{Annotations, Content, ResourceContents, ResourceLink, Role};
pub use context::{Context, LogLevel, Progress, Session};
pub use endpoint::Endpoint;
pub use model::error::ModelError;
pub use model::message::Message;
pub use model::request::ModelRequest;
pub use model::{LanguageModel, LanguageModelExt};
pub use policy::{Policy, Requirement};
pub use prompt::Prompt;
pub use prompt::function::{prompt_fn, prompt_with};
pub use prompt::message::{PromptMessage, PromptOutput};
pub use prompt::spec::{PromptArgument, PromptSpec};
pub use protocol::caching::Caching;
pub use resource::Resource;
pub use resource::function::{resource_fn, resource_template_fn, resource_template_with, resource_with};
pub use resource::spec::ResourceSpec;
pub use server::{BuildError, CallError, Server, ServerBuilder};
pub use store::Stores;
pub use store::limits::Rate;
pub use strings::StringArguments;
#[cfg(feature = "test")]
pub use test_client::TestClient;
pub use tool::Tool;
pub use tool::arguments::Arguments;
pub use tool::error::ToolError;
pub use tool::function::{NoInput, tool_fn, tool_with};
pub use tool::key::IdempotencyKey;
pub use tool::output::ToolOutput;
pub use tool::retry::Retry;
pub use tool::spec::{Icon, ToolSpec};
