//! Teams that are written down.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::agent::{Agent, AgentError};
use crate::team::{Graph, GroupChat, Parallel, Repeat, Router, Sequence};

/// A team of agents, by their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TeamDefinition {
    /// One after the other, each with what the one before it gave.
    Sequence(Vec<String>),
    /// Side by side; one that fails ends it.
    Parallel(Vec<String>),
    /// Side by side, and what failed is told.
    Collect(Vec<String>),
    /// Side by side, and the first that succeeds ends the others.
    First(Vec<String>),
    /// One of several, by what stands in the input.
    Router {
        /// Where it stands: a JSON pointer (RFC 6901) such as `/kind`.
        by: String,
        /// To whom each text leads that stands there.
        to: BTreeMap<String, String>,
        /// To whom everything else leads; without it, the run fails.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<String>,
    },
    /// Again and again, with what it gave, until that is good.
    Repeat {
        /// Who.
        member: String,
        /// When it is good.
        until: Condition,
        /// How often at the most.
        most: usize,
    },
    /// Members who talk with each other, in turn.
    GroupChat {
        /// Who, in this order.
        members: Vec<String>,
        /// How often each speaks.
        rounds: usize,
    },
    /// Members along edges.
    Graph {
        /// With whom it begins.
        start: String,
        /// From whom to whom it goes on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        edges: Vec<Edge>,
        /// Who waits for several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        joins: Vec<Join>,
    },
}

/// Whether something stands in what an agent gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Where: a JSON pointer (RFC 6901); the whole, where nothing is said.
    #[serde(default)]
    pub at: String,
    /// What.
    pub is: Value,
}

/// From one member to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// When; always, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

/// One that waits for several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// For whom.
    pub of: Vec<String>,
    /// Who.
    pub to: String,
}

impl TeamDefinition {
    /// The agent that leaves its parts to the members; or what is wrong.
    pub(super) fn build(&self, name: &str, about: &str) -> Result<Box<dyn Agent>, String> {
        if let Self::Sequence(members) | Self::Parallel(members) | Self::Collect(members) | Self::First(members) = self
            && members.is_empty()
        {
            return Err("the `team` has no members; name some".to_owned());
        }
        Ok(match self {
            Self::Sequence(members) => Box::new(Sequence::new(name, about, members)),
            Self::Parallel(members) => Box::new(Parallel::new(name, about, members)),
            Self::Collect(members) => Box::new(Parallel::new(name, about, members).collect()),
            Self::First(members) => Box::new(Parallel::new(name, about, members).first()),
            Self::Router { by, to, otherwise } => {
                pointer("by", by)?;
                let (by, to, otherwise) = (by.clone(), to.clone(), otherwise.clone());
                Box::new(Router::new(name, about, move |so_far| {
                    let input: Value = so_far.input_as()?;
                    let found = input.pointer(&by).and_then(Value::as_str);
                    let member = found.and_then(|text| to.get(text)).or(otherwise.as_ref());
                    member.cloned().ok_or_else(|| {
                        let known = to.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                        AgentError::failed(format!("what stands at {by:?} of the input must be one of {known}"))
                    })
                }))
            }
            Self::Repeat { member, until, most } => {
                let until = until.checked()?;
                Box::new(Repeat::until(name, about, member, *most, move |output| until.holds(output)))
            }
            Self::GroupChat { members, rounds } => {
                let most = members.len().saturating_mul(*rounds);
                if most == 0 {
                    return Err("a group chat has `members`, and at least one of the `rounds`".to_owned());
                }
                let members = members.clone();
                Box::new(GroupChat::new(name, about, most, move |said| {
                    members.get(said.len() % members.len()).cloned()
                }))
            }
            Self::Graph { start, edges, joins } => {
                let mut graph = Graph::builder(name, about).start(start);
                for edge in edges {
                    graph = match &edge.when {
                        None => graph.edge(&edge.from, &edge.to),
                        Some(when) => {
                            let when = when.checked()?;
                            graph.edge_if(&edge.from, &edge.to, move |output| when.holds(output))
                        }
                    };
                }
                let graph = joins.iter().fold(graph, |graph, join| graph.join(&join.of, &join.to));
                Box::new(graph.build().map_err(|error| error.to_string())?)
            }
        })
    }
}

impl Condition {
    fn checked(&self) -> Result<Self, String> {
        pointer("at", &self.at)?;
        Ok(self.clone())
    }

    fn holds(&self, output: &RawValue) -> bool {
        let output: Value = serde_json::from_str(output.get()).unwrap_or_default();
        output.pointer(&self.at).is_some_and(|found| *found == self.is)
    }
}

/// Checks a JSON pointer.
fn pointer(field: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(());
    }
    Err(format!("`{field}` is {text:?}, and must be a JSON pointer, such as \"/{text}\""))
}
