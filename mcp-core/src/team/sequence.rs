//! One after the other.

use async_trait::async_trait;

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript};

/// Its members do their parts one after the other: the first is given the input, each other one what the one before it gave, and what the last
/// gives is the output. One that fails ends the run.
///
/// ```
/// # use mcp_core::team::Sequence;
/// # use mcp_core::run::WorkersConfig;
/// # use mcp_core::model::scripted::ScriptedModel;
/// # use mcp_core::agent::ModelAgent;
/// # use mcp_core::{Server, TestClient};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let writer = ModelAgent::new("writer", "Writes.", ScriptedModel::new(["A harbour is deep."]));
/// let editor = ModelAgent::new("editor", "Makes it short.", ScriptedModel::new(["Deep."]));
/// let report = Sequence::new("report", "Writes, and has it made short.", ["writer", "editor"]);
///
/// let server = Server::builder("office", "1.0.0").agent(report).agent(writer).agent(editor).build()?;
/// server.start_workers(WorkersConfig::default());
/// let answer = TestClient::new(server).call("agent.report", json!({"input": "harbours"})).await;
/// assert_eq!(answer.first_text(), Some("Deep."));
/// # Ok(())
/// # }
/// ```
pub struct Sequence {
    spec: AgentSpec,
    members: Vec<String>,
}

impl Sequence {
    /// These, in this order.
    pub fn new(
        name: &str,
        description: impl Into<String>,
        members: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let members = members.into_iter().map(Into::into).collect();
        Self { spec: AgentSpec::new(name, description), members }
    }
}

#[async_trait]
impl Agent for Sequence {
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        let input = match so_far.delegated().last() {
            None => so_far.input(),
            Some((delegation, delegated)) => given(delegation, delegated)?,
        };
        match self.members.get(so_far.turns().len()) {
            Some(member) => Ok(Step::delegate(Delegation::new(member, input)?)),
            None => Step::done(input),
        }
    }
}
