//! Again and again.

use async_trait::async_trait;
use serde_json::value::RawValue;

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript};

/// Leaves its input to a member, and what that gives again, until it is good.
///
/// ```
/// # use mcp_core::team::Repeat;
/// # use mcp_core::run::WorkersConfig;
/// # use mcp_core::model::scripted::ScriptedModel;
/// # use mcp_core::agent::ModelAgent;
/// # use mcp_core::{Server, TestClient};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let writer = ModelAgent::new("writer", "Writes.", ScriptedModel::new(["A draft.", "It is good."]));
/// let until_good = Repeat::until("until_good", "Writes until it is good.", "writer", 5, |draft| draft.get().contains("good"));
///
/// let server = Server::builder("office", "1.0.0").agent(until_good).agent(writer).build()?;
/// server.start_workers(WorkersConfig::default());
/// let answer = TestClient::new(server).call("agent.until_good", json!({"input": "harbours"})).await;
/// assert_eq!(answer.first_text(), Some("It is good."));
/// # Ok(())
/// # }
/// ```
pub struct Repeat<F> {
    spec: AgentSpec,
    member: String,
    most: usize,
    is_good: F,
}

impl<F> Repeat<F>
where
    F: Fn(&RawValue) -> bool + Send + Sync + 'static,
{
    /// To this member, until this function says of what it gave that it is good, and `most` times at the most: then the run fails.
    pub fn until(
        name: &str,
        description: impl Into<String>,
        member: impl Into<String>,
        most: usize,
        is_good: F,
    ) -> Self {
        Self { spec: AgentSpec::new(name, description), member: member.into(), most, is_good }
    }
}

#[async_trait]
impl<F> Agent for Repeat<F>
where
    F: Fn(&RawValue) -> bool + Send + Sync + 'static,
{
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        let Some((delegation, delegated)) = so_far.delegated().last() else {
            return Ok(Step::delegate(Delegation::new(&self.member, so_far.input())?));
        };
        let output = given(delegation, delegated)?;
        if (self.is_good)(output) {
            return Step::done(output);
        }
        if so_far.turns().len() >= self.most {
            return Err(AgentError::failed(format!("{} gave nothing good in {} times", self.member, self.most)));
        }
        Ok(Step::delegate(Delegation::new(&self.member, output)?))
    }
}
