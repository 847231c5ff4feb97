//! One of several.

use async_trait::async_trait;

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript};

/// Leaves all of it to one of several, whom a function chooses by the input.
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
