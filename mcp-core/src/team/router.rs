//! One of several.

use async_trait::async_trait;

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript};

/// Leaves all of it to one of several, whom a function chooses by the input.
///
/// ```
/// # use mcp_core::team::Router;
/// # use mcp_core::run::WorkersConfig;
/// # use mcp_core::model::scripted::ScriptedModel;
/// # use mcp_core::agent::ModelAgent;
/// # use mcp_core::{Server, TestClient};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fixer = ModelAgent::new("fixer", "Mends.", ScriptedModel::new(["Mended."]));
/// let clerk = ModelAgent::new("clerk", "Answers.", ScriptedModel::new(["Until five."]));
/// let desk = Router::new("desk", "Takes what comes.", |so_far| {
///     let is_bug = so_far.input_text().contains("broken");
///     Ok(if is_bug { "fixer" } else { "clerk" }.to_owned())
/// });
///
/// let server = Server::builder("office", "1.0.0").agent(desk).agent(fixer).agent(clerk).build()?;
/// server.start_workers(WorkersConfig::default());
/// let answer = TestClient::new(server).call("agent.desk", json!({"input": "It is broken."})).await;
/// assert_eq!(answer.first_text(), Some("Mended."));
/// # Ok(())
/// # }
/// ```
pub struct Router<F> {
    spec: AgentSpec,
    choose: F,
}

impl<F> Router<F>
where
    F: Fn(&Transcript) -> Result<String, AgentError> + Send + Sync + 'static,
{
    /// To whom this function says. It is asked again after a crash, and says the same.
    pub fn new(name: &str, description: impl Into<String>, choose: F) -> Self {
        Self { spec: AgentSpec::new(name, description), choose }
    }
}

#[async_trait]
impl<F> Agent for Router<F>
where
    F: Fn(&Transcript) -> Result<String, AgentError> + Send + Sync + 'static,
{
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        match so_far.delegated().last() {
            None => Ok(Step::delegate(Delegation::new((self.choose)(so_far)?, so_far.input())?)),
            Some((delegation, delegated)) => Step::done(given(delegation, delegated)?),
        }
    }
}
