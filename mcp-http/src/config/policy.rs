//! What callers need, as an operator writes it.

use std::collections::BTreeMap;

use mcp_core::policy::{Policy, Requirement};
use serde::Deserialize;

use super::value;

/// Requirements by what is offered; a key may end with `*`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    tools: BTreeMap<String, Needs>,
    resources: BTreeMap<String, Needs>,
    prompts: BTreeMap<String, Needs>,
    agents: BTreeMap<String, Needs>,
    routes: BTreeMap<String, Needs>,
    /// Tools before which an agent asks.
    approval: Vec<String>,
}

/// One of the roles, one of the tenants, all of the scopes.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Needs {
    roles: Vec<String>,
    tenants: Vec<String>,
    scopes: Vec<String>,
}

/// Reads `{"tools": {"notes.*": {"roles": ["clerk"], "scopes": ["notes"]}}, "routes": …}`.
pub(super) fn policy(text: Option<&str>) -> Result<Policy, String> {
    let example = r#"{"tools": {"notes.*": {"roles": ["clerk"], "scopes": ["notes"]}}} of tools, resources, prompts, agents and routes"#;
    let written: Written = value::object(text, example)?;
    let mut policy = Policy::none();
    for (key, needs) in written.tools {
        policy = policy.tools(&key, needs.requirement(&key)?);
    }
    for (key, needs) in written.resources {
        policy = policy.resources(&key, needs.requirement(&key)?);
    }
    for (key, needs) in written.prompts {
        policy = policy.prompts(&key, needs.requirement(&key)?);
    }
    for (key, needs) in written.agents {
        policy = policy.agents(&key, needs.requirement(&key)?);
    }
    for tools in written.approval {
        policy = policy.approval(&tools);
    }
    for (key, needs) in written.routes {
        if !key.split_once(' ').is_some_and(|(_, path)| path.starts_with('/')) && key != "*" {
            return Err(format!("the route {key:?} must be a method and a path, such as \"GET /api/v1/files*\""));
        }
        policy = policy.routes(&key, needs.requirement(&key)?);
    }
    Ok(policy)
}

impl Needs {
    /// # Errors
    /// Where nothing is required: whoever wrote that meant something.
    fn requirement(self, key: &str) -> Result<Requirement, String> {
        let requirement = self.roles.into_iter().fold(Requirement::none(), Requirement::role);
        let requirement = self.tenants.into_iter().fold(requirement, Requirement::tenant);
        let requirement = self.scopes.into_iter().fold(requirement, Requirement::scope);
        if requirement.is_none() {
            return Err(format!("{key:?} requires nothing; name roles, tenants or scopes, or leave it out"));
        }
        Ok(requirement)
    }
}
