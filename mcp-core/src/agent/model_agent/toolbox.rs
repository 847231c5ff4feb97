//! What a model may call.

use std::sync::Arc;

use serde_json::json;

use super::super::AgentContext;
use super::super::step::AGENT;
use crate::model::request::ToolDefinition;
use crate::policy::Patterns;
use crate::tool::registry::OfferedTool;
use crate::tool::schema;

/// Which tools an agent may use.
#[derive(Default)]
pub(super) struct Toolbox {
    tools: Patterns,
    /// All tools that take one of these.
    scopes: Vec<String>,
    successors: Vec<String>,
}

/// The tools that an agent may use in one step.
pub(super) struct Tools {
    pub(super) definitions: Arc<[ToolDefinition]>,
    /// To whom the run may be handed over.
    pub(super) successors: Vec<String>,
}

/// The tool by which a run is handed over.
pub(super) const HAND_OFF: &str = "hand_off";

impl Toolbox {
    pub(super) fn add(&mut self, names: impl IntoIterator<Item = impl Into<String>>) {
        names.into_iter().for_each(|name| self.tools.push(&name.into()));
    }

    pub(super) fn add_scopes(&mut self, scopes: impl IntoIterator<Item = impl Into<String>>) {
        self.scopes.extend(scopes.into_iter().map(Into::into));
    }

    pub(super) fn hand_off_to(&mut self, agents: impl IntoIterator<Item = impl Into<String>>) {
        self.successors.extend(agents.into_iter().map(Into::into));
    }

    /// Whether the agent of the name `own` may use a tool: itself only where it is named.
    fn has(&self, tool: &OfferedTool, cx: &AgentContext, own: &str) -> bool {
        let name = tool.spec().name();
        if name.strip_prefix(AGENT) == Some(own) {
            return self.tools.name(name);
        }
        let takes_one = || cx.scopes_of(tool).iter().any(|scope| self.scopes.iter().any(|own| **own == **scope));
        self.tools.fit(name) || (!self.scopes.is_empty() && takes_one())
    }

    /// The tools of the agent of the name `own` that are there, and that the caller may use.
    pub(super) fn open(&self, cx: &AgentContext, own: &str) -> Tools {
        let mut definitions = Vec::new();
        if !self.tools.is_empty() || !self.scopes.is_empty() {
            // Agents are among them as well.
            let tools = cx.tools();
            let its = tools.iter().filter(|tool| self.has(tool, cx, own));
            definitions.extend(its.map(|tool| tool.spec()).map(|spec| ToolDefinition {
                name: spec.name().to_owned(),
                description: spec.description().to_owned(),
                input_schema: spec.input_schema().clone(),
            }));
        }
        let agents = cx.agents();
        let is_there = |name: &&String| agents.iter().any(|agent| agent.spec().name() == name.as_str());
        let successors: Vec<_> = self.successors.iter().filter(is_there).cloned().collect();
        if !successors.is_empty() {
            definitions.push(ToolDefinition {
                name: HAND_OFF.to_owned(),
                description: "Hands the whole conversation over to another agent, who goes on with it.".to_owned(),
                input_schema: schema::of_one("agent", &json!({"type": "string", "enum": successors})),
            });
        }
        Tools { definitions: definitions.into(), successors }
    }
}
