//! What a model may call.

use std::sync::Arc;

use serde_json::json;

use super::super::AgentContext;
use super::super::step::AGENT;
use crate::model::request::ToolDefinition;
use crate::policy::Patterns;
use crate::tool::schema;
use crate::tool::spec::ToolSpec;

/// Which tools an agent may use.
#[derive(Default)]
pub(super) struct Toolbox {
    tools: Patterns,
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

    pub(super) fn hand_off_to(&mut self, agents: impl IntoIterator<Item = impl Into<String>>) {
        self.successors.extend(agents.into_iter().map(Into::into));
    }

    /// Whether the agent of the name `own` may use the tool `name`: itself only where it is named.
    fn has(&self, name: &str, own: &str) -> bool {
        let is_own = name.strip_prefix(AGENT) == Some(own);
        if is_own { self.tools.name(name) } else { self.tools.fit(name) }
    }

    /// The tools of the agent of the name `own` that are there, and that the caller may use.
    pub(super) fn open(&self, cx: &AgentContext, own: &str) -> Tools {
        let mut definitions = Vec::new();
        if !self.tools.is_empty() {
            // Agents are among them as well.
            let is_its = |spec: &&ToolSpec| self.has(spec.name(), own);
            definitions.extend(cx.tools().iter().map(|tool| tool.spec()).filter(is_its).map(|spec| ToolDefinition {
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
