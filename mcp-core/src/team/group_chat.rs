//! Members who talk with each other.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript};

/// Members who talk with each other: each is given what the talk is about, and all that was said, and says something. Who speaks next, a
/// function chooses, which also ends the talk. The output is the list of what was said.
///
/// ```
/// # use mcp_core::team::GroupChat;
/// # use mcp_core::run::WorkersConfig;
/// # use mcp_core::model::scripted::ScriptedModel;
/// # use mcp_core::agent::ModelAgent;
/// # use mcp_core::{Server, TestClient};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ann = ModelAgent::new("ann", "Is for it.", ScriptedModel::new(["Yes!"]));
/// let bob = ModelAgent::new("bob", "Is against it.", ScriptedModel::new(["No!"]));
/// let talk = GroupChat::new("talk", "Has it talked over.", 10, |said| {
///     ["ann", "bob"].get(said.len()).map(|next| (*next).to_owned())
/// });
///
/// let server = Server::builder("office", "1.0.0").agent(talk).agent(ann).agent(bob).build()?;
/// server.start_workers(WorkersConfig::default());
/// let answer = TestClient::new(server).call("agent.talk", json!({"input": "A bridge?"})).await;
/// assert_eq!(answer.first_text(), Some(r#"[{"speaker":"ann","said":"Yes!"},{"speaker":"bob","said":"No!"}]"#));
/// # Ok(())
/// # }
/// ```
pub struct GroupChat<F> {
    spec: AgentSpec,
    most: usize,
    choose: F,
}

/// Something that a member has said.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Remark<'t> {
    /// Who.
    pub speaker: &'t str,
    /// What, as JSON.
    pub said: &'t RawValue,
}

impl<F> GroupChat<F>
where
    F: Fn(&[Remark<'_>]) -> Option<String> + Send + Sync + 'static,
{
    /// Whoever this function chooses speaks next, by what was said; nobody, where it ends. After `most` remarks it ends in any case.
    pub fn new(name: &str, description: impl Into<String>, most: usize, choose: F) -> Self {
        Self { spec: AgentSpec::new(name, description), most, choose }
    }
}

#[async_trait]
impl<F> Agent for GroupChat<F>
where
    F: Fn(&[Remark<'_>]) -> Option<String> + Send + Sync + 'static,
{
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        let said = so_far
            .delegated()
            .map(|(to, delegated)| Ok(Remark { speaker: &to.agent, said: given(to, delegated)? }))
            .collect::<Result<Vec<_>, AgentError>>()?;
        let speaker = if said.len() < self.most { (self.choose)(&said) } else { None };
        match speaker {
            Some(speaker) => {
                Ok(Step::delegate(Delegation::new(speaker, json!({"about": so_far.input(), "said": said}))?))
            }
            None => Step::done(said),
        }
    }
}
