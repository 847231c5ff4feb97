//! An agent as it is offered.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::as_tool::AgentTool;
use super::{Agent, AgentSpec};
use crate::catalog::{self, Offered};
use crate::policy::Requirement;
use crate::tool::registry::OfferedTool;

/// An agent with all that is worked out once, when it is offered.
pub struct OfferedAgent {
    agent: Arc<dyn Agent>,
    tool: Arc<OfferedTool>,
    json: Bytes,
}

/// An agent that cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("the agent {name:?} cannot be offered: {fault}")]
pub struct BadAgent {
    name: String,
    fault: String,
}

/// How long a name is at the most: a tool has it as a part of its own.
const LONGEST_NAME: usize = 64;

impl OfferedAgent {
    /// Checks the agent's spec and prepares it.
    ///
    /// # Errors
    /// [`BadAgent`], which says what is wrong with the spec.
    pub fn new(agent: Arc<dyn Agent>) -> Result<Self, BadAgent> {
        let name = agent.spec().name();
        check_name(name)?;
        let tool = OfferedTool::new(Arc::new(AgentTool::of(agent.spec())))
            .map_err(|bad| BadAgent { name: name.to_owned(), fault: bad.to_string() })?;
        let shown = json!({"name": name, "description": agent.spec().description()});
        Ok(Self { json: shown.to_string().into(), tool: Arc::new(tool), agent })
    }

    /// What the agent says of itself.
    pub fn spec(&self) -> &AgentSpec {
        self.agent.spec()
    }

    /// The tool that stands for it.
    pub(crate) fn tool(&self) -> &Arc<OfferedTool> {
        &self.tool
    }

    pub(crate) fn agent(&self) -> &dyn Agent {
        &*self.agent
    }
}

/// Checks that an agent may have this name.
pub(crate) fn check_name(name: &str) -> Result<(), BadAgent> {
    catalog::check_name(name, LONGEST_NAME)
        .map_err(|fault| BadAgent { name: name.chars().take(LONGEST_NAME).collect(), fault })
}

impl Offered for OfferedAgent {
    fn key(&self) -> &str {
        self.spec().name()
    }

    fn requirement(&self) -> &Requirement {
        &self.spec().requirement
    }

    fn json(&self) -> &Bytes {
        &self.json
    }
}

impl BadAgent {
    pub(crate) fn mentions(name: &str, fault: String) -> Self {
        Self { name: name.to_owned(), fault }
    }

    pub(crate) fn twice(name: String) -> Self {
        Self { name, fault: "there is another one of this name".to_owned() }
    }
}
