//! Agents: they decide what is done next, and somebody else does it.
//!
//! An [`Agent`] looks at what has come of a run so far and says its next [`Step`]: call tools, leave something to other agents, hand the
//! run over, ask, or end. The server records each step before it performs it, and what came of it before the agent is asked again: so a
//! run goes on after a crash, on any replica, from what its journal tells, and what was done is not done again.
//!
//! ```
//! use async_trait::async_trait;
//! use mcp_core::agent::{Agent, AgentContext, AgentError, AgentSpec, Step, ToolCall, Transcript};
//!
//! /// Adds up, by a tool.
//! struct Adder(AgentSpec);
//!
//! #[async_trait]
//! impl Agent for Adder {
//!     fn spec(&self) -> &AgentSpec {
//!         &self.0
//!     }
//!
//!     async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
//!         match so_far.last_output() {
//!             None => Ok(Step::call(ToolCall::new("add", so_far.input())?)),
//!             Some(sum) => Ok(Step::done(sum.first_text())?),
//!         }
//!     }
//! }
//! ```

mod as_tool;
mod budget;
mod context;
mod decision;
mod desk;
mod error;
mod event;
mod following;
mod inbox;
mod model_agent;
mod offered;
mod order;
mod outcome;
mod performing;
pub(crate) mod questions;
mod runner;
mod spans;
mod spec;
mod step;
mod telling;
mod thread;
mod transcript;
mod voice;

use async_trait::async_trait;

pub(crate) use as_tool::{AgentTools, Given};
pub use budget::{Budget, Limit, Spent};
pub use context::AgentContext;
pub use desk::{AgentDesk, AgentRefusal, Asked};
pub use error::AgentError;
pub use event::{BadCursor, Cursor, Decided, Happened, RunEvent};
pub use following::{Following, Told};
pub use model_agent::ModelAgent;
pub(crate) use offered::check_name;
pub use offered::{BadAgent, OfferedAgent};
pub(crate) use order::Order;
pub(crate) use runner::AgentWork;
pub use spec::AgentSpec;
pub(crate) use step::AGENT;
pub use step::{Delegation, Inquiry, Step, ToolCall, Until};
pub use thread::{Busy, Said};
pub use transcript::{Delegated, Performed, Transcript, Turn};

/// The kind of runs in which agents decide.
pub(crate) const KIND: &str = "agent";

/// Something that decides.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// What it says of itself. It does not change.
    fn spec(&self) -> &AgentSpec;

    /// What is to be done next, by what has come of the run so far.
    ///
    /// It is asked again where nobody knows what it said: the process was gone before that was recorded. So it does nothing to the
    /// world outside by itself; that is what steps are for. It is dropped at any await when the run is cancelled, lost, or over its budget.
    ///
    /// # Errors
    /// [`AgentError`]: it ends the run, or the agent is asked again later.
    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError>;
}
