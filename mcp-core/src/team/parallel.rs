//! Side by side.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::json;

use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript, Until};

/// Its members do their parts side by side, each with the same input. The output is an object with what each gave, by their names.
///
/// ```
/// # use mcp_core::team::Parallel;
/// # use mcp_core::run::WorkersConfig;
/// # use mcp_core::model::scripted::ScriptedModel;
/// # use mcp_core::agent::ModelAgent;
/// # use mcp_core::{Server, TestClient};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ann = ModelAgent::new("ann", "Judges.", ScriptedModel::new(["Good."]));
/// let bob = ModelAgent::new("bob", "Judges as well.", ScriptedModel::new(["Too long."]));
/// let opinions = Parallel::new("opinions", "Asks both at once.", ["ann", "bob"]);
///
/// let server = Server::builder("office", "1.0.0").agent(opinions).agent(ann).agent(bob).build()?;
/// server.start_workers(WorkersConfig::default());
/// let answer = TestClient::new(server).call("agent.opinions", json!({"input": "a text"})).await;
/// assert_eq!(answer.first_text(), Some(r#"{"ann":"Good.","bob":"Too long."}"#));
/// # Ok(())
/// # }
/// ```
pub struct Parallel {
    spec: AgentSpec,
    members: Vec<String>,
    way: Way,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// One that fails ends the run, and the others.
    FailFast,
    /// What failed is told beside what did not.
    Collect,
    /// The first that succeeds gives the output alone.
    First,
}

impl Parallel {
    /// These. One that fails ends the run, and the others.
    pub fn new(
        name: &str,
        description: impl Into<String>,
        members: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let members = members.into_iter().map(Into::into).collect();
        Self { spec: AgentSpec::new(name, description), members, way: Way::FailFast }
    }

    /// One that fails has `{"error": …}` in the output, and all others do their parts.
    #[must_use]
    pub fn collect(self) -> Self {
        Self { way: Way::Collect, ..self }
    }

    /// What the first gives that succeeds is the output, and the others are ended. Where all fail, the run does.
    #[must_use]
    pub fn first(self) -> Self {
        Self { way: Way::First, ..self }
    }
}

#[async_trait]
impl Agent for Parallel {
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        if so_far.turns().is_empty() {
            let each = self.members.iter().map(|member| Delegation::new(member, so_far.input()));
            let until = match self.way {
                Way::FailFast => Until::OneFails,
                Way::Collect => Until::All,
                Way::First => Until::OneSucceeds,
            };
            return Ok(Step::Delegate(each.collect::<Result<_, _>>()?, until));
        }
        let faults = || so_far.delegated().filter_map(|(to, delegated)| Some((to, delegated.result.as_ref().err()?)));
        let told = || faults().map(|(to, why)| format!("{} failed: {why}", to.agent)).collect::<Vec<_>>().join("; ");
        if self.way == Way::First {
            let first = so_far.delegated().find_map(|(_, delegated)| delegated.result.as_ref().ok());
            return first.map_or_else(|| Err(AgentError::failed(told())), Step::done);
        }
        if self.way == Way::FailFast && faults().next().is_some() {
            return Err(AgentError::failed(told()));
        }
        let outputs: BTreeMap<_, _> = so_far
            .delegated()
            .map(|(to, delegated)| match &delegated.result {
                Ok(output) => Ok((&to.agent, output.clone())),
                Err(why) => serde_json::value::to_raw_value(&json!({"error": why})).map(|told| (&to.agent, told)),
            })
            .collect::<Result<_, _>>()?;
        Step::done(outputs)
    }
}
