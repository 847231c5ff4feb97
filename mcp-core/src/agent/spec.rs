//! What an agent says of itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::budget::Budget;
use crate::definition::mentions::Mention;
use crate::policy::{Patterns, Requirement, requirement_methods};

/// What an agent says of itself: its name, and what those who see it are told.
#[derive(Clone, Debug)]
pub struct AgentSpec {
    name: Arc<str>,
    description: String,
    pub(crate) requirement: Requirement,
    pub(crate) input: Value,
    pub(crate) budget: Budget,
    pub(crate) calls_at_once: usize,
    pub(crate) approval: Patterns,
    /// What its definition names, if it was written down.
    pub(crate) mentions: Arc<[Mention]>,
}

/// How many calls of one step are under way at once, unless an agent says otherwise.
const CALLS_AT_ONCE: usize = 8;

impl AgentSpec {
    /// An agent of this name: 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `_`, `-` and `.`. The description says to people and models
    /// what it is for.
    pub fn new(name: impl Into<Arc<str>>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            requirement: Requirement::none(),
            input: json!({"type": "string", "description": "What it is to do."}),
            budget: Budget::default(),
            calls_at_once: CALLS_AT_ONCE,
            approval: Patterns::default(),
            mentions: Arc::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Takes an input of this JSON Schema (2020-12), and not a text. That is for those who see it to know: whoever starts a run by other
    /// ways than the tool may give it anything.
    #[must_use]
    pub fn input_json(mut self, schema: Value) -> Self {
        self.input = schema;
        self
    }

    /// What each of its runs may use at the most, whatever whoever starts it allows.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// How many calls of one step are under way at once: 8 unless told otherwise, and one at least.
    #[must_use]
    pub fn calls_at_once(mut self, most: usize) -> Self {
        self.calls_at_once = most.max(1);
        self
    }

    /// Whoever has started a run is asked before these tools are called; `*` at the end of a name stands for anything. See also
    /// [`Policy::approval`](crate::Policy::approval), for all agents.
    #[must_use]
    pub fn approval(mut self, tools: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        tools.into_iter().for_each(|tool| self.approval.push(tool.as_ref()));
        self
    }

    pub(crate) fn mentioning(self, mentions: Vec<Mention>) -> Self {
        Self { mentions: mentions.into(), ..self }
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }
}

requirement_methods!([] AgentSpec);
