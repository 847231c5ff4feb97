//! `/agents`: what decides by itself, and its runs.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::agent::{self, AgentRefusal, Budget, Busy, OfferedAgent};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::runs::{InputId, RunId};
use mcp_core::store::threads::ThreadId;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::page::{Page, PageSize};
use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::runs::{Begun, SEGMENTS, Told, id_of, nothing, told, too_large_or};
use super::{Admitted, Sent, encoded};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::agents",
    about: "Agents",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/agents",
            to: |route| route.to(list),
            id: "listAgents",
            about: "The agents on offer",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<Page>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Agents>)],
            problems: &[400],
        },
        Route {
            method: Method::POST,
            path: "/agents/{name}/runs",
            to: |route| route.to(start),
            id: "startAgent",
            about: "Starts a run of an agent, which is done by whichever replica claims it",
            segments: &[("name", "The agent's name.")],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<NewRun>),
            answers: &[(200, SchemaGenerator::subschema_for::<Begun>)],
            problems: &[403, 404, 408, 409, 413, 422, 429, 503],
        },
        Route {
            method: Method::GET,
            path: "/questions",
            to: |route| route.to(waiting),
            id: "listQuestions",
            about: "What runs of agents ask and nobody has answered, the oldest first: an administrator sees all of the tenant's, others their own. Of the newest hundred runs that wait",
            segments: &[],
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Waiting>)],
            problems: &[503],
        },
        Route {
            method: Method::GET,
            path: "/runs/{run}/questions",
            to: |route| route.to(questions),
            id: "showQuestions",
            about: "What a run of an agent asks and nobody has answered",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Questions>)],
            problems: &[404, 503],
        },
        Route {
            method: Method::POST,
            path: "/runs/{run}/answers",
            to: |route| route.to(answer),
            id: "answerQuestions",
            about: "Answers questions of a run, which goes on then",
            segments: SEGMENTS,
            query: None,
            body: Some(SchemaGenerator::subschema_for::<Answers>),
            answers: &[(200, SchemaGenerator::subschema_for::<Told>)],
            problems: &[404, 408, 409, 413, 422, 503],
        },
    ],
};

/// A page of the agents on offer.
#[derive(Serialize, JsonSchema)]
struct Agents {
    agents: Vec<Agent>,
    /// The `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Something that decides.
#[derive(Serialize, JsonSchema)]
struct Agent {
    name: String,
    /// What it is for.
    description: String,
}

/// A run of an agent to start.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRun {
    /// What the agent is to do: a text, or whatever it takes.
    #[schemars(with = "Value")]
    input: Box<RawValue>,
    /// What the run may use, as far as the agent allows.
    budget: Option<Budget>,
    /// A UUID of the client's own: a run that was started under it is not started again.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    id: Option<RunId>,
    /// The thread of the caller's in which it is: it knows what was said there, and says there what it is to do and what comes of it. A UUID
    /// under which there is none begins one.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    thread: Option<ThreadId>,
    /// What becomes of it where earlier runs in the thread have not ended: it waits for them in a `queue` unless told otherwise.
    busy: Option<Busy>,
}

/// What a run asks.
#[derive(Serialize, JsonSchema)]
struct Questions {
    /// By the names of the questions, requests of the protocol (schema, `ElicitRequest`).
    questions: BTreeMap<String, Value>,
}

/// What waits for answers, the oldest first.
#[derive(Serialize, JsonSchema)]
struct Waiting {
    questions: Vec<Asked>,
}

/// A question of a run.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Question")]
struct Asked {
    /// The agent that asks.
    of: String,
    /// A request of the protocol (schema, `ElicitRequest`).
    request: Value,
    /// When it was asked.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// The principal for whom the run is.
    caller: String,
    /// Under which name it is answered.
    name: String,
    /// The run that asks.
    run: String,
}

/// Answers to questions of a run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Answers {
    /// By the names of the questions, answers of the protocol (schema, `ElicitResult`).
    answers: BTreeMap<String, Value>,
    /// A UUID of the client's own: what was posted under it is not posted again.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    id: Option<InputId>,
}

/// What waits for answers.
async fn waiting(Admitted(caller): Admitted, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let waiting = endpoint.server().agent_runs().waiting(&caller).await?;
    let asked = |asked: agent::Asked| {
        let order = serde_json::from_slice::<Value>(&asked.run.arguments).unwrap_or_default();
        Asked {
            of: order["agent"].as_str().unwrap_or_default().to_owned(),
            request: asked.request,
            at: asked.at,
            caller: asked.run.principal.to_string(),
            name: asked.name,
            run: asked.run.id.to_string(),
        }
    };
    encoded(&Waiting { questions: waiting.into_iter().map(asked).collect() })
}

/// The agents on offer.
async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let catalog = endpoint.server().agents().seen_by(&caller);
    let page = catalog.page(page.after.as_deref(), PageSize::of(page.limit).shown());
    let (agents, more) =
        page.ok_or_else(|| Problem::new(400, "`after` names no agent; leave it out to begin again"))?;
    let next = agents.last().filter(|_| more).map(|last| last.spec().name().to_owned());
    encoded(&Agents { agents: agents.iter().map(|agent| Agent::of(agent)).collect(), next })
}

/// Starts a run of an agent.
async fn start(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no run to start: {error}"));
    let run: NewRun = serde_json::from_slice(&body).map_err(unreadable)?;
    let desk = endpoint.server().agent_runs();
    let desk = match (run.thread, run.busy) {
        (Some(thread), busy) => desk.in_thread(thread, busy.unwrap_or_default()),
        (None, None) => desk,
        (None, Some(_)) => return Err(Problem::new(422, "`busy` says what becomes of a run in a `thread`; name one")),
    };
    match desk.start(&caller, &name, &run.input, run.budget, run.id).await {
        Ok(id) => encoded(&Begun { id: id.to_string() }),
        Err(refusal) => Err(problem(refusal, &endpoint)),
    }
}

/// What a run asks and nobody has answered.
async fn questions(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (id, server) = (id_of(&id)?, endpoint.server());
    if server.runs().find(&caller, id).await?.is_none() {
        return Err(nothing());
    }
    encoded(&Questions { questions: server.agent_runs().questions(&caller, id).await? })
}

/// Answers questions of a run.
async fn answer(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&id)?;
    let unreadable = |error| Problem::new(422, format!("the body holds no answers: {error}"));
    let Answers { answers, id: input } = serde_json::from_slice(&body).map_err(unreadable)?;
    let posted = endpoint.server().agent_runs().answer(&caller, id, answers, input).await;
    told(id, posted.map_err(|refusal| problem(refusal, &endpoint))?)
}

impl Agent {
    fn of(agent: &OfferedAgent) -> Self {
        let spec = agent.spec();
        Self { name: spec.name().to_owned(), description: spec.description().to_owned() }
    }
}

pub(super) fn problem(refusal: AgentRefusal, endpoint: &Endpoint) -> Problem {
    match refusal {
        AgentRefusal::Unknown(why) => Problem::new(404, why),
        AgentRefusal::Forbidden(lacking) => endpoint.insufficient_scope(&lacking).into(),
        AgentRefusal::Store(error @ StoreError::Refused { .. }) => too_large_or(error),
        AgentRefusal::Store(error) => error.into(),
        AgentRefusal::Busy(why) => Problem::new(503, why),
        AgentRefusal::TooMany(why) => Problem::new(429, why),
        busy @ AgentRefusal::ThreadBusy(_) => Problem::new(409, busy.to_string()),
        other => Problem::new(422, other.to_string()),
    }
}
