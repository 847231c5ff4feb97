//! Agents and teams that are written down, and not programmed: in a configuration, or while the server serves.
//!
//! ```
//! use std::sync::Arc;
//!
//! use mcp_core::definition::{AgentDefinition, Models};
//! use mcp_core::model::scripted::ScriptedModel;
//!
//! let models = Models::from([("fast".to_owned(), Arc::new(ScriptedModel::new(["It is late."])) as _)]);
//! let clock: AgentDefinition = serde_json::from_str(
//!     r#"{"description": "Tells the time.", "model": "fast", "instructions": "Be brief.", "tools": ["time.now"]}"#,
//! )?;
//! let agent = clock.build("clock", &models)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod desk;
pub(crate) mod mentions;
pub(crate) mod stored;
mod team;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::agent::{Agent, AgentContext, AgentError, AgentSpec, Budget, ModelAgent, Step, Transcript};
use crate::model::LanguageModel;
use crate::nearest::named;

pub use desk::{DefinitionDesk, DefinitionError, StoredAgent};
pub use team::{Condition, Edge, Join, TeamDefinition};

/// Models by their names.
pub type Models = BTreeMap<String, Arc<dyn LanguageModel>>;

/// An agent, as it is written down: a language model decides, or a team does its parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AgentDefinition {
    /// What it is for, to people and to models.
    pub description: String,
    /// The model that decides: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the model is told first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// Tools that it may use, as far as the caller of a run may; `*` at the end stands for anything, and `agent.NAME` for that agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// All tools that take one of these scopes are among its tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools_of_scopes: Vec<String>,
    /// Agents to whom it may hand a run over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hands_off_to: Vec<String>,
    /// The JSON Schema (2020-12) of what it ends with, where that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Map<String, Value>>,
    /// How many tokens a reply of the model has at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// How much chance there is in what the model says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// How many tokens a conversation has at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// The team that does it, where no model decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamDefinition>,
    /// What each run may use at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How many calls of one step are under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_at_once: Option<usize>,
    /// Whoever has started a run is asked before these tools are called; `*` at the end of a name stands for anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approval: Vec<String>,
    /// It is there for callers with one of these roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// It is there for callers of these tenants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// Callers need all of these scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// What is wrong with a definition, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agents.{name}: {fault}")]
pub struct BadDefinition {
    name: String,
    fault: String,
}

impl AgentDefinition {
    /// The agent of this name. Which tools and agents there are is looked at where a server is built with it, and when it runs, since those
    /// may change.
    ///
    /// # Errors
    /// [`BadDefinition`].
    pub fn build(&self, name: &str, models: &Models) -> Result<impl Agent + use<>, BadDefinition> {
        let agent = match (&self.model, &self.team) {
            (Some(model), None) => self.of_model(name, model, models),
            (None, Some(team)) => self.of_team(name, team),
            (Some(_), Some(_)) => Err("it has a `model` and a `team`; leave out one of the two".to_owned()),
            (None, None) => Err("it has neither a `model` that decides nor a `team`; name one of them".to_owned()),
        };
        let agent = agent.map_err(|fault| BadDefinition { name: name.to_owned(), fault })?;
        Ok(Defined { spec: self.spec(name), agent })
    }

    fn of_model(&self, name: &str, model: &str, models: &Models) -> Result<Box<dyn Agent>, String> {
        let found = models.get(model);
        let found =
            found.ok_or_else(|| format!("`model` names {}", named(model, models.keys().map(String::as_str))))?;
        let mut agent = ModelAgent::new(name, &*self.description, found.clone())
            .instructions(&*self.instructions)
            .tools(&self.tools)
            .tools_of_scopes(&self.tools_of_scopes)
            .hands_off_to(&self.hands_off_to);
        if let Some(schema) = &self.output {
            agent = agent.output_json(schema.clone());
        }
        if let Some(most) = self.max_output_tokens {
            agent = agent.max_output_tokens(most);
        }
        if let Some(temperature) = self.temperature {
            agent = agent.temperature(temperature);
        }
        if let Some(most) = self.context_tokens {
            agent = agent.context_tokens(most);
        }
        match agent.fault() {
            Some(fault) => Err(fault.to_owned()),
            None => Ok(Box::new(agent)),
        }
    }

    fn of_team(&self, name: &str, team: &TeamDefinition) -> Result<Box<dyn Agent>, String> {
        let of_models = [
            ("instructions", !self.instructions.is_empty()),
            ("tools", !self.tools.is_empty()),
            ("tools_of_scopes", !self.tools_of_scopes.is_empty()),
            ("hands_off_to", !self.hands_off_to.is_empty()),
            ("output", self.output.is_some()),
            ("max_output_tokens", self.max_output_tokens.is_some()),
            ("temperature", self.temperature.is_some()),
            ("context_tokens", self.context_tokens.is_some()),
        ];
        match of_models.iter().find(|(_, is_there)| *is_there) {
            Some((field, _)) => Err(format!("`{field}` is for a model, and a `team` has none; leave it out")),
            None => team.build(name, &self.description),
        }
    }

    fn spec(&self, name: &str) -> AgentSpec {
        let spec =
            AgentSpec::new(name, &*self.description).budget(self.budget.unwrap_or_default()).approval(&self.approval);
        let spec = spec.mentioning(self.mentions());
        let spec = self.calls_at_once.into_iter().fold(spec, AgentSpec::calls_at_once);
        let spec = self.roles.iter().fold(spec, |spec, role| spec.for_role(&**role));
        let spec = self.tenants.iter().fold(spec, |spec, tenant| spec.for_tenant(&**tenant));
        self.scopes.iter().fold(spec, |spec, scope| spec.requires(&**scope))
    }
}

/// An agent that says of itself what was written down.
struct Defined {
    spec: AgentSpec,
    agent: Box<dyn Agent>,
}

#[async_trait]
impl Agent for Defined {
    fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        self.agent.step(so_far, cx).await
    }
}
