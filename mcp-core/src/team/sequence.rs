//! One after the other.

use async_trait::async_trait;

use super::given;
use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Delegation, Step, Transcript};

/// Its members do their parts one after the other: the first is given the input, each other one what the one before it gave, and what the last
/// gives is the output. One that fails ends the run.
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
