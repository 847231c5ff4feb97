//! `/runs/{run}/events`: what happens in a run, as it happens or as far as it has come.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mcp_core::Endpoint;
use mcp_core::agent::{Cursor, Following, RunEvent, Told};
use mcp_core::endpoint::answer::{Answer, Body};
use mcp_core::endpoint::head::{Head, Header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::agents::problem;
use super::changes::{ALIVE, KEEP_ALIVE};
use super::page::PageSize;
use super::problem::Problem;
use super::representation::wants_events;
use super::route::{Forms, Route, Table};
use super::runs::{SEGMENTS, id_of, nothing};
use super::{Admitted, encoded};
use crate::exchange::{self, ActixHead};

/// The route.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::events",
    about: "Agents",
    open: false,
    forms: Forms::TwoAndEvents(
        "Events of the same names and members as in the other forms, each with its `id`, as they come, up to `run.ended` and the end. \
         A reader who was cut goes on behind the id that it sends as `Last-Event-ID`, at any replica. Among them, and without an id, \
         `model.delta`: what a language model says for a step that is not decided (`step`, `agent`, `attempt`, `from`, and `text` or `tool`), \
         of which nothing is told again.",
    ),
    routes: &[Route {
        method: Method::GET,
        path: "/runs/{run}/events",
        to: |route| route.to(events),
        id: "followRun",
        about: "What happens in a run: as a stream of events as it happens, and in the other forms as far as it has come",
        segments: SEGMENTS,
        query: Some(SchemaGenerator::subschema_for::<Behind>),
        body: None,
        answers: &[(200, SchemaGenerator::subschema_for::<Events>)],
        problems: &[404, 429],
    }],
};

/// Which events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Behind {
    /// Those behind the one with this id: the `next` of the part before.
    after: Option<String>,
    /// How many at the most, where it is no stream: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// What has happened in a run so far.
#[derive(Serialize, JsonSchema)]
struct Events {
    events: Vec<RunEvent>,
    /// The `after` of the next part; absent once the run has ended and all is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What happens in a run.
async fn events(
    Admitted(caller): Admitted,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
    behind: web::Query<Behind>,
) -> Result<HttpResponse, Problem> {
    let (id, Behind { after, limit }) = (id_of(&id)?, behind.into_inner());
    // Whoever comes again to the same address says in the header how far it came.
    let after = match ActixHead::of(&request).header("last-event-id") {
        Header::One(last) => cursor("Last-Event-ID", last)?,
        Header::Absent => after.map(|after| cursor("after", &after)).transpose()?.flatten(),
        Header::Refused(why) => return Err(Problem::new(400, format!("`Last-Event-ID`: {why}"))),
    };
    let desk = endpoint.server().agent_runs();
    if wants_events(&request) {
        let following = desk.follow(&caller, id, after).await;
        let following = following.map_err(|refusal| problem(refusal, &endpoint))?.ok_or_else(nothing)?;
        return Ok(exchange::respond(Answer::events(Body::Stream(frames(following)))));
    }
    let events = desk.events(&caller, id, after, PageSize::of(limit).shown()).await?.ok_or_else(nothing)?;
    let last = events.last().map(|event| event.id).or(after);
    let next = last.filter(|last| !last.is_end()).map(|last| last.to_string());
    encoded(&Events { events, next })
}

/// Nothing is what a reader sends that knows of no event.
fn cursor(name: &str, text: &str) -> Result<Option<Cursor>, Problem> {
    let bad = |error| Problem::new(400, format!("`{name}`: {error}"));
    Some(text).filter(|text| !text.is_empty()).map(str::parse).transpose().map_err(bad)
}

/// The events as they come, and between them that the stream is alive. The first piece goes with the head.
fn frames(following: Following) -> stream::BoxStream<'static, Bytes> {
    let next = async |mut following: Following| {
        let told = match tokio::time::timeout(KEEP_ALIVE, following.next()).await {
            Ok(told) => told?,
            Err(_) => return Some((ALIVE, following)),
        };
        let json = serde_json::to_vec(&told).ok()?;
        let frame = match told {
            Told::Event(event) => Answer::event_with_id(&event.id.to_string(), event.what.name(), &json),
            // It is on no record, so that nobody goes on behind it.
            _ => Answer::event("model.delta", &json),
        };
        Some((frame, following))
    };
    stream::once(std::future::ready(ALIVE)).chain(stream::unfold(following, next)).boxed()
}
