//! `/agent-definitions`: agents that operators write down while the server serves.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::definition::{AgentDefinition, DefinitionError, StoredAgent};
use mcp_core::store::StoreError;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::{Admitted, Sent, encoded};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::definitions",
    about: "Agents that are written down while the server serves, for those with the role `operator`",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/agent-definitions",
            to: |route| route.to(list),
            id: "listAgentDefinitions",
            about: "All stored agents, each with the definition in force",
            segments: &[],
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Definitions>)],
            problems: &[403, 503],
        },
        Route {
            method: Method::DELETE,
            path: "/agent-definitions/{name}",
            to: |route| route.to(remove),
            id: "removeAgent",
            about: "Removes a stored agent, with all of its versions",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<RemovedAgent>)],
            problems: &[403, 404, 503],
        },
        Route {
            method: Method::GET,
            path: "/agent-definitions/{name}",
            to: |route| route.to(show),
            id: "showAgentDefinition",
            about: "A stored agent, with the definition in force, or an earlier one",
            segments: SEGMENTS,
            query: Some(SchemaGenerator::subschema_for::<Which>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Definition>)],
            problems: &[400, 403, 404, 503],
        },
        Route {
            method: Method::PATCH,
            path: "/agent-definitions/{name}",
            to: |route| route.to(change),
            id: "changeAgent",
            about: "Puts an earlier version in force again, or switches the agent off or on",
            segments: SEGMENTS,
            query: None,
            body: Some(SchemaGenerator::subschema_for::<AgentChange>),
            answers: &[(200, SchemaGenerator::subschema_for::<Definition>)],
            problems: &[403, 404, 408, 413, 422, 503],
        },
        Route {
            method: Method::PUT,
            path: "/agent-definitions/{name}",
            to: |route| route.to(define),
            id: "defineAgent",
            about: "Writes an agent down, which is in force from now on, on every replica; each time it is a version of its own",
            segments: SEGMENTS,
            query: None,
            body: Some(SchemaGenerator::subschema_for::<AgentDefinition>),
            answers: &[(200, SchemaGenerator::subschema_for::<Definition>)],
            problems: &[403, 404, 408, 409, 413, 422, 503],
        },
    ],
};

const SEGMENTS: &[(&str, &str)] = &[("name", "The agent's name.")];

/// Which version to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// An earlier one than that in force; the last 50 are kept.
    version: Option<u32>,
}

/// The stored agents.
#[derive(Serialize, JsonSchema)]
struct Definitions {
    agents: Vec<Definition>,
}

/// A stored agent.
#[derive(Serialize, JsonSchema)]
struct Definition {
    name: String,
    /// Which version this is.
    version: u32,
    /// Which of them is in force.
    current: u32,
    /// The greatest that there ever was.
    latest: u32,
    /// Whether the agent is on offer.
    enabled: bool,
    /// When this version was written.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// By whom.
    by: String,
    definition: AgentDefinition,
    /// Which agents and tools it names that are not there now; they may come later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What is to be changed of a stored agent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AgentChange {
    /// The version that is to be in force.
    version: Option<u32>,
    /// Whether the agent is to be on offer.
    enabled: Option<bool>,
}

/// A stored agent that is gone.
#[derive(Serialize, JsonSchema)]
struct RemovedAgent {
    name: String,
}

/// All stored agents.
async fn list(Admitted(caller): Admitted, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let agents = endpoint.server().definitions().list(&caller).await?;
    encoded(&Definitions { agents: agents.into_iter().map(Definition::from).collect() })
}

/// One stored agent.
async fn show(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
    which: web::Query<Which>,
) -> Result<HttpResponse, Problem> {
    let shown = endpoint.server().definitions().show(&caller, &name, which.version).await?;
    encoded(&Definition::from(shown))
}

/// Writes an agent down.
async fn define(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no definition of an agent: {error}"));
    let definition: AgentDefinition = serde_json::from_slice(&body).map_err(unreadable)?;
    let desk = endpoint.server().definitions();
    let version = desk.define(&caller, &name, &definition).await?;
    encoded(&Definition::from(desk.show(&caller, &name, Some(version)).await?))
}

/// Puts an earlier version in force again, or switches the agent off or on.
async fn change(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let wrong = |why: String| Problem::new(422, format!("the body says neither `version` nor `enabled`{why}"));
    let change: AgentChange = serde_json::from_slice(&body).map_err(|error| wrong(format!(": {error}")))?;
    let desk = endpoint.server().definitions();
    if (change.version, change.enabled) == (None, None) {
        return Err(wrong("; name what is to be changed".to_owned()));
    }
    if let Some(version) = change.version {
        desk.roll_back(&caller, &name, version).await?;
    }
    if let Some(on) = change.enabled {
        desk.switch(&caller, &name, on).await?;
    }
    encoded(&Definition::from(desk.show(&caller, &name, None).await?))
}

/// Removes a stored agent.
async fn remove(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    endpoint.server().definitions().remove(&caller, &name).await?;
    encoded(&RemovedAgent { name: name.into_inner() })
}

impl From<StoredAgent> for Definition {
    fn from(agent: StoredAgent) -> Self {
        Self {
            name: agent.name,
            version: agent.version,
            current: agent.current,
            latest: agent.latest,
            enabled: agent.on,
            at: agent.at,
            by: agent.by,
            definition: agent.definition,
            warnings: agent.warnings,
        }
    }
}

impl From<DefinitionError> for Problem {
    fn from(error: DefinitionError) -> Self {
        match error {
            DefinitionError::Forbidden => Self::new(403, error.to_string()),
            DefinitionError::NotKept | DefinitionError::Missing(_) => Self::new(404, error.to_string()),
            DefinitionError::Taken(_) => Self::new(409, error.to_string()),
            DefinitionError::Store(StoreError::Refused { .. }) => Self::new(413, "a definition has 64 KiB at the most"),
            DefinitionError::Store(error) => error.into(),
            error => Self::new(422, error.to_string()),
        }
    }
}
