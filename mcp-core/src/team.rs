//! Agents made of agents: each is an [`Agent`](crate::Agent) whose steps leave things to its members, so they nest.
//!
//! Members are named as the server offers them, and each does its part in a run of its own, with its share of the budget.
//!
//! ```
//! use mcp_core::team::{Parallel, Sequence};
//!
//! let opinions = Parallel::new("opinions", "Asks three critics.", ["ann", "bob", "eve"]);
//! let review = Sequence::new("review", "Writes, and has it judged.", ["writer", "opinions", "editor"]);
//! ```
//!
//! A supervisor, who chooses with a language model what is left to whom, is a [`ModelAgent`](crate::agent::ModelAgent) that may use the
//! tools `agent.NAME`; one who passes the whole conversation on is a `ModelAgent` that may hand off.

mod graph;
mod group_chat;
mod parallel;
mod repeat;
mod router;
mod sequence;

use serde_json::value::RawValue;

use crate::agent::{AgentError, Delegated, Delegation};

pub use graph::{Graph, GraphBuilder, GraphError};
pub use group_chat::{GroupChat, Remark};
pub use parallel::Parallel;
pub use repeat::Repeat;
pub use router::Router;
pub use sequence::Sequence;

/// What a member gave; that it gave nothing ends the run.
fn given<'d>(delegation: &Delegation, delegated: &'d Delegated) -> Result<&'d RawValue, AgentError> {
    match &delegated.result {
        Ok(output) => Ok(output),
        Err(why) => Err(AgentError::failed(format!("{} failed: {why}", delegation.agent))),
    }
}
