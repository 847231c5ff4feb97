//! The agents and tools that a definition names, and whether there are such.

use super::{AgentDefinition, TeamDefinition};
use crate::agent::{AGENT, BadAgent, OfferedAgent};
use crate::catalog::Catalog;
use crate::nearest::nearest;
use crate::tool::registry::OfferedTool;

/// One name in a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The member in which it stands.
    member: &'static str,
    of: Named,
    name: String,
}

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Agent,
    Tool,
}

impl AgentDefinition {
    /// What it names, but for patterns, which may fit what comes later.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        let team = self.team.iter().flat_map(TeamDefinition::members).map(|name| ("team", Named::Agent, &**name));
        let others = self.hands_off_to.iter().map(|name| ("hands_off_to", Named::Agent, &**name));
        let tools = self.tools.iter().filter(|tool| !tool.ends_with('*')).map(|tool| match tool.strip_prefix(AGENT) {
            Some(agent) => ("tools", Named::Agent, agent),
            None => ("tools", Named::Tool, &**tool),
        });
        let all = team.chain(others).chain(tools);
        all.map(|(member, of, name)| Mention { member, of, name: name.to_owned() }).collect()
    }
}

impl TeamDefinition {
    /// All whom it names.
    fn members(&self) -> Vec<&String> {
        match self {
            Self::Sequence(members) | Self::Parallel(members) | Self::Collect(members) | Self::First(members) => {
                members.iter().collect()
            }
            Self::Router { to, otherwise, .. } => to.values().chain(otherwise).collect(),
            Self::Repeat { member, .. } => vec![member],
            Self::GroupChat { members, .. } => members.iter().collect(),
            Self::Graph { start, edges, joins } => {
                let ends = edges.iter().flat_map(|edge| [&edge.from, &edge.to]);
                let joined = joins.iter().flat_map(|join| join.of.iter().chain([&join.to]));
                [start].into_iter().chain(ends).chain(joined).collect()
            }
        }
    }
}

impl Mention {
    /// That there is no such thing among `agents` and `tools`, and which one may have been meant.
    fn fault(&self, agents: &[String], tools: &[String]) -> Option<String> {
        let (noun, names) = match self.of {
            Named::Agent => ("agent", agents),
            Named::Tool => ("tool", tools),
        };
        let Self { member, name, .. } = self;
        if names.contains(name) {
            return None;
        }
        let shown: String = name.chars().take(128).collect();
        let mend = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "define it, or leave it out".to_owned(),
        };
        Some(format!("`{member}` names the {noun} {shown:?}, and there is none; {mend}"))
    }
}

/// Whether there is what the definitions of agents name. Where a source may have it later, it is said in the log.
pub(crate) fn check(
    agents: &Catalog<OfferedAgent>,
    tools: &Catalog<OfferedTool>,
    more_agents: bool,
    more_tools: bool,
) -> Result<(), BadAgent> {
    let (agent_names, tool_names) = (agents.keys(), tools.keys());
    for agent in agents.list() {
        let name = agent.spec().name();
        for mention in &*agent.spec().mentions {
            let Some(fault) = mention.fault(&agent_names, &tool_names) else { continue };
            let may_come = match mention.of {
                Named::Agent => more_agents,
                Named::Tool => more_tools,
            };
            if !may_come {
                return Err(BadAgent::mentions(name, fault));
            }
            tracing::warn!(agent = name, fault, "a definition names what is not there");
        }
    }
    Ok(())
}

/// What is wrong with each of `mentions`, told once.
pub(crate) fn faults(mentions: &[Mention], agents: &[String], tools: &[String]) -> Vec<String> {
    let mut faults: Vec<_> = mentions.iter().filter_map(|mention| mention.fault(agents, tools)).collect();
    let mut told = std::collections::BTreeSet::new();
    faults.retain(|fault| told.insert(fault.clone()));
    faults
}
