//! `/runs`: work that outlives the request that began it.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::run::RunRefusal;
use mcp_core::store::runs::{InputId, Posted, RunId, RunQuery, RunRecord, RunState, Step, StepKind, StepRecord};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::page::PageSize;
use super::problem::Problem;
use super::query::parse;
use super::route::{Forms, Route, Table};
use super::{Admitted, Sent, encoded};
use crate::exchange;

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::runs",
    about: "Runs",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/runs",
            to: |route| route.to(list),
            id: "listRuns",
            about: "Runs, the newest first: an administrator sees all of the tenant's, others their own",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<Filter>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Runs>)],
            problems: &[400, 503],
        },
        Route {
            method: Method::POST,
            path: "/runs",
            to: |route| route.to(start),
            id: "startRun",
            about: "Begins a run, which is done by whichever replica claims it",
            segments: &[],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<NewRun>),
            answers: &[(200, SchemaGenerator::subschema_for::<Begun>)],
            problems: &[408, 413, 422, 503],
        },
        Route {
            method: Method::GET,
            path: "/runs/{run}",
            to: |route| route.to(show),
            id: "showRun",
            about: "One run, with what it has recorded",
            segments: SEGMENTS,
            query: Some(SchemaGenerator::subschema_for::<Part>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<RunWithSteps>)],
            problems: &[400, 404, 503],
        },
        Route {
            method: Method::POST,
            path: "/runs/{run}/inputs",
            to: |route| route.to(post),
            id: "postInput",
            about: "Tells a run something, which wakes it if it waits",
            segments: SEGMENTS,
            query: Some(SchemaGenerator::subschema_for::<Once>),
            body: Some(SchemaGenerator::subschema_for::<Value>),
            answers: &[(200, SchemaGenerator::subschema_for::<Told>)],
            problems: &[400, 404, 408, 409, 413, 422, 503],
        },
        Route {
            method: Method::POST,
            path: "/runs/{run}/cancel",
            to: |route| route.to(cancel),
            id: "cancelRun",
            about: "Ends a run, which has a moment to do so by itself",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Told>)],
            problems: &[404, 409, 503],
        },
    ],
};

pub(super) const SEGMENTS: &[(&str, &str)] = &[("run", "The run's id.")];

/// Which runs to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Of which kind.
    kind: Option<String>,
    /// The principal for whom it is done; only an administrator sees others than the own.
    caller: Option<String>,
    /// What becomes of it.
    #[schemars(with = "Option<RunState>")]
    state: Option<String>,
    /// The `next` of the page before.
    #[schemars(extend("format" = "uuid"))]
    before: Option<String>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// A page of runs, the newest first.
#[derive(Serialize, JsonSchema)]
struct Runs {
    runs: Vec<Run>,
    /// The `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A run.
#[derive(Serialize, JsonSchema)]
struct Run {
    id: String,
    kind: String,
    /// The principal for whom it is done.
    caller: String,
    #[schemars(with = "RunState")]
    state: &'static str,
    /// When it was begun.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// When it goes on, where it waits; until when it is held, where it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    due: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    ended: Option<Timestamp>,
    /// How often it was claimed.
    epoch: u64,
    /// How many inputs it was given.
    inputs: u32,
    /// As they came.
    #[schemars(with = "Value")]
    arguments: Option<Box<RawValue>>,
    /// What came of it, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    result: Option<Box<RawValue>>,
    /// The run that has begun this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
}

/// A run to begin.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRun {
    /// Of a kind that the server knows.
    kind: String,
    /// What it is to do, in words of its kind.
    #[schemars(with = "Value")]
    arguments: Option<Box<RawValue>>,
    /// A UUID of the client's own: a run that was begun under it is not begun again.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    id: Option<RunId>,
}

/// A run that was begun.
#[derive(Serialize, JsonSchema)]
pub(super) struct Begun {
    pub(super) id: String,
}

/// Which steps to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// The first step to show: the `next` of the part before.
    from: Option<u32>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// A run, with what it has recorded.
#[derive(Serialize, JsonSchema)]
struct RunWithSteps {
    run: Run,
    steps: Vec<Recorded>,
    /// The `from` of the next part; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

/// A step of a run.
#[derive(Serialize, JsonSchema)]
struct Recorded {
    number: u32,
    /// How often the run had been taken up by then.
    epoch: u64,
    #[schemars(with = "StepKind")]
    kind: &'static str,
    /// What it is about.
    key: String,
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// What was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    value: Option<Box<RawValue>>,
}

/// How an input is named.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Once {
    /// A UUID of the client's own: what was posted under it is not posted again.
    #[schemars(extend("format" = "uuid"))]
    id: Option<String>,
}

/// A run that was told something.
#[derive(Serialize, JsonSchema)]
pub(super) struct Told {
    run: String,
}

/// Runs, the newest first: an administrator sees all of the tenant's, others their own.
async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    filter: web::Query<Filter>,
) -> Result<HttpResponse, Problem> {
    let filter = filter.into_inner();
    let size = PageSize::of(filter.limit);
    let query = RunQuery {
        principal: filter.caller.map(Into::into),
        kind: filter.kind,
        state: parse::<RunState>("state", filter.state)?,
        before: parse::<RunId>("before", filter.before)?,
        limit: size.and_one(),
    };
    let found = endpoint.server().runs().list(&caller, query).await?;
    let (runs, next) = size.cut(found, |run| run.id.to_string());
    encoded(&Runs { runs: runs.into_iter().map(Run::from).collect(), next })
}

/// Begins a run.
async fn start(Sent(caller, body): Sent, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no run to begin: {error}"));
    let run: NewRun = serde_json::from_slice(&body).map_err(unreadable)?;
    let arguments = run.arguments.map_or(Bytes::from_static(b"{}"), |json| String::from(Box::<str>::from(json)).into());
    let begun = endpoint.server().runs().start(&caller, &run.kind, arguments, run.id).await;
    match begun {
        Ok(id) => encoded(&Begun { id: id.to_string() }),
        Err(RunRefusal::Store(error)) => Err(too_large_or(error)),
        Err(refusal) => Err(Problem::new(422, refusal.to_string())),
    }
}

/// One run, with what it has recorded.
async fn show(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
    part: web::Query<Part>,
) -> Result<HttpResponse, Problem> {
    let (id, runs) = (id_of(&id)?, endpoint.server().runs());
    let run = runs.find(&caller, id).await?.ok_or_else(nothing)?;
    let size = PageSize::of(part.limit);
    let steps = runs.steps(&caller, id, part.from.unwrap_or(0), size.and_one()).await?;
    let (steps, next) = size.split(steps);
    let next = next.map(|record| record.step.number);
    encoded(&RunWithSteps { run: run.into(), steps: steps.into_iter().map(Recorded::from).collect(), next })
}

/// Tells a run something.
async fn post(
    Admitted(caller): Admitted,
    request: HttpRequest,
    payload: web::Payload,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
    once: web::Query<Once>,
) -> Result<HttpResponse, Problem> {
    let (id, input) = (id_of(&id)?, parse::<InputId>("id", once.into_inner().id)?);
    let body = exchange::read(&request, payload, &endpoint).await?;
    if !body.is_empty()
        && let Err(error) = serde_json::from_slice::<&RawValue>(&body)
    {
        return Err(Problem::new(422, format!("an input is JSON, or nothing: {error}")));
    }
    told(id, endpoint.server().runs().post(&caller, id, body, input).await.map_err(too_large_or)?)
}

/// Ends a run.
async fn cancel(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&id)?;
    told(id, endpoint.server().runs().cancel(&caller, id).await?)
}

pub(super) fn told(id: RunId, posted: Posted) -> Result<HttpResponse, Problem> {
    match posted {
        Posted::Kept => encoded(&Told { run: id.to_string() }),
        Posted::Ended => Err(Problem::new(409, "the run has ended; GET shows how")),
        Posted::Missing => Err(nothing()),
    }
}

/// What is no id is none of the caller's.
pub(super) fn id_of(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| nothing())
}

pub(super) fn nothing() -> Problem {
    Problem::new(404, "you have no such run")
}

/// What the store refuses of a caller is too large, or one too many.
pub(super) fn too_large_or(error: mcp_core::store::StoreError) -> Problem {
    match error {
        mcp_core::store::StoreError::Refused { .. } => {
            Problem::new(413, "arguments and inputs have 1 MiB at the most, and a run has 1000 inputs")
        }
        error => error.into(),
    }
}

impl From<RunRecord> for Run {
    fn from(run: RunRecord) -> Self {
        Self {
            id: run.id.to_string(),
            caller: run.principal.to_string(),
            state: run.state.as_str(),
            at: run.at,
            due: run.due,
            ended: run.ended,
            epoch: run.epoch,
            inputs: run.inputs,
            arguments: raw(&run.arguments),
            result: raw(&run.result),
            parent: run.parent.map(|parent| parent.to_string()),
            kind: run.kind,
        }
    }
}

impl From<StepRecord> for Recorded {
    fn from(StepRecord { epoch, step }: StepRecord) -> Self {
        let Step { number, kind, key, body, at } = step;
        Self { number, epoch, kind: kind.as_str(), key, at, value: raw(&body) }
    }
}

/// Stored JSON as it was stored.
fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(json).ok()
}
