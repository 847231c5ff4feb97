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
//! tools `agent.NAME`:
//!
//! ```
//! # use mcp_core::model::scripted::Turn;
//! # use mcp_core::run::WorkersConfig;
//! # use mcp_core::model::scripted::ScriptedModel;
//! # use mcp_core::agent::ModelAgent;
//! # use mcp_core::{Server, TestClient};
//! # use serde_json::json;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let searcher = ModelAgent::new("searcher", "Finds.", ScriptedModel::new(["It is deep."]));
//! let model = ScriptedModel::new([
//!     Turn::new().call("agent.searcher", json!({"input": "the harbour"})),
//!     Turn::new().text("The harbour is deep."),
//! ]);
//! let lead = ModelAgent::new("lead", "Has it found, and answers.", model).tools(["agent.searcher"]);
//!
//! let server = Server::builder("office", "1.0.0").agent(lead).agent(searcher).build()?;
//! server.start_workers(WorkersConfig::default());
//! let answer = TestClient::new(server).call("agent.lead", json!({"input": "How is the harbour?"})).await;
//! assert_eq!(answer.first_text(), Some("The harbour is deep."));
//! # Ok(())
//! # }
//! ```
//!
//! One who passes the whole conversation on is a `ModelAgent` that may hand off:
//!
//! ```
//! # use mcp_core::model::scripted::Turn;
//! # use mcp_core::run::WorkersConfig;
//! # use mcp_core::model::scripted::ScriptedModel;
//! # use mcp_core::agent::ModelAgent;
//! # use mcp_core::{Server, TestClient};
//! # use serde_json::json;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let billing = ModelAgent::new("billing", "Knows the bills.", ScriptedModel::new(["It is paid."]));
//! let model = ScriptedModel::new([Turn::new().call("hand_off", json!({"agent": "billing"}))]);
//! let desk = ModelAgent::new("desk", "Takes what comes.", model).hands_off_to(["billing"]);
//!
//! let server = Server::builder("office", "1.0.0").agent(desk).agent(billing).build()?;
//! server.start_workers(WorkersConfig::default());
//! let answer = TestClient::new(server).call("agent.desk", json!({"input": "My bill?"})).await;
//! assert_eq!(answer.first_text(), Some("It is paid."));
//! # Ok(())
//! # }
//! ```

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
