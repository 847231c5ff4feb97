//! The same server in the manner of REST, for clients that do not speak MCP.

pub(crate) mod agents;
pub(crate) mod calling;
mod calls;
pub(crate) mod changes;
pub(crate) mod definitions;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod files;
pub(crate) mod keys;
mod page;
pub(crate) mod problem;
mod query;
pub(crate) mod representation;
pub(crate) mod route;
pub(crate) mod runs;
mod schema;
mod sessions;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod threads;
mod tools;
pub(crate) mod users;
mod xml;

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::ContentType;
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use mcp_core::{Caller, Endpoint};
use schemars::SchemaGenerator;
use serde::Serialize;

use crate::exchange;
use problem::Problem;
use representation::negotiate;
use route::{Forms, Route, Table};

/// Serves the tools, the recorded calls, the files, the runs, the agents, the threads, the sessions, the keys and the users of `endpoint`'s server: `web::scope("/api/v1").configure(rest(endpoint))`.
///
/// | route | what |
/// |---|---|
/// | `GET tools` | the tools on offer |
/// | `GET tools/{name}` | one of them |
/// | `PATCH tools/{name}` | switches it off, or on again |
/// | `POST tools/{name}/call` | calls it; the body is its arguments |
/// | `POST tools/{name}/answer` | goes on with a call that has asked |
/// | `GET calls` | recorded calls, the newest first |
/// | `GET calls/{call}` | one of them |
/// | `GET stats` | how many there were, how many failed, how long they took |
/// | `GET files` | the caller's files, in the order of their names |
/// | `PUT files/{name}` | keeps the body |
/// | `GET files/{name}` | one of them, or a part of it |
/// | `DELETE files/{name}` | removes one of them |
/// | `GET runs` | runs, the newest first |
/// | `POST runs` | begins one |
/// | `GET runs/{run}` | one of them, with what it has recorded |
/// | `POST runs/{run}/inputs` | tells it something |
/// | `POST runs/{run}/cancel` | ends it |
/// | `GET runs/{run}/events` | what happens in it |
/// | `GET runs/{run}/questions` | what it asks |
/// | `POST runs/{run}/answers` | answers it |
/// | `GET questions` | what all runs ask, the oldest first |
/// | `GET agents` | the agents on offer |
/// | `POST agents/{name}/runs` | starts a run of one |
/// | `GET threads` | the caller's threads, the newest first |
/// | `POST threads` | begins one |
/// | `DELETE threads/{thread}` | removes one of them |
/// | `GET threads/{thread}/messages` | what was said in it, the newest first |
/// | `GET agent-definitions` | agents that operators have written down |
/// | `GET agent-definitions/{name}` | one of them, or an earlier version of it |
/// | `PUT agent-definitions/{name}` | writes one down |
/// | `PATCH agent-definitions/{name}` | puts an earlier version in force, or switches it off or on |
/// | `DELETE agent-definitions/{name}` | removes it |
/// | `GET events` | that calls, runs or questions have changed |
/// | `GET system` | what the server is, and what of it there is for the caller |
/// | `GET sessions` | the caller's sessions, the last used first |
/// | `DELETE sessions/{handle}` | ends one of them |
/// | `GET keys` | API keys, in the order in which they were made |
/// | `POST keys` | makes one |
/// | `DELETE keys/{key}` | revokes one of them |
/// | `POST keys/{key}/rotate` | makes one in its place |
/// | `GET users` | the users, in the order of their names |
/// | `POST users` | adds one |
/// | `GET users/{principal}` | one of them |
/// | `PATCH users/{principal}` | changes one, or keeps them out |
/// | `GET users/{principal}/export` | all that is kept of one |
/// | `DELETE users/{principal}` | removes one, with all that is kept of them |
///
/// Answers and problems (RFC 9457) are JSON or XML, as `Accept` asks; [`docs`](crate::docs()) describes both. Who may come in is
/// decided as for [`mount`](crate::mount).
pub fn rest(endpoint: Endpoint) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(endpoint))
            .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::bad_query(&error).into()))
            .app_data(web::PathConfig::default().error_handler(|error, _| Problem::bad_path(&error).into()));
        TABLE.register(config);
        calling::TABLE.register(config);
        stats::TABLE.register(config);
        files::TABLE.register(config);
        runs::TABLE.register(config);
        agents::TABLE.register(config);
        threads::TABLE.register(config);
        definitions::TABLE.register(config);
        events::TABLE.register(config);
        keys::TABLE.register(config);
        users::TABLE.register(config);
        export::TABLE.register(config);
        changes::TABLE.register(config);
        system::TABLE.register(config);
        config.default_service(web::to(nowhere).wrap(from_fn(negotiate)));
    }
}

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest",
    about: "REST",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/tools",
            to: |route| route.to(tools::list),
            id: "listTools",
            about: "The tools on offer",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<tools::Page>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<schema::Tools>)],
            problems: &[400],
        },
        Route {
            method: Method::GET,
            path: "/tools/{name}",
            to: |route| route.to(tools::show),
            id: "showTool",
            about: "One tool",
            segments: &[("name", "The tool's name.")],
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<schema::Tool>)],
            problems: &[404],
        },
        Route {
            method: Method::PATCH,
            path: "/tools/{name}",
            to: |route| route.to(tools::switch),
            id: "switchTool",
            about: "Switches a tool off, or on again, on every replica and for all callers; it takes the role `operator`",
            segments: &[("name", "The tool's name.")],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<tools::Switch>),
            answers: &[(200, SchemaGenerator::subschema_for::<tools::Switch>)],
            problems: &[403, 404, 408, 413, 422, 503],
        },
        Route {
            method: Method::GET,
            path: "/calls",
            to: |route| route.to(calls::list),
            id: "listCalls",
            about: "Recorded calls, the newest first: an administrator sees all of the tenant's, others their own",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<calls::Filter>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<calls::Calls>)],
            problems: &[400, 503],
        },
        Route {
            method: Method::GET,
            path: "/calls/{call}",
            to: |route| route.to(calls::show),
            id: "showCall",
            about: "One recorded call: an administrator sees each of the tenant's, others their own",
            segments: &[("call", "The call's id.")],
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<calls::Call>)],
            problems: &[404, 503],
        },
        Route {
            method: Method::GET,
            path: "/sessions",
            to: |route| route.to(sessions::list),
            id: "listSessions",
            about: "The caller's own sessions, the last used first",
            segments: &[],
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<sessions::Sessions>)],
            problems: &[503],
        },
        Route {
            method: Method::DELETE,
            path: "/sessions/{handle}",
            to: |route| route.to(sessions::end),
            id: "endSession",
            about: "Ends one of the caller's own sessions",
            segments: &[("handle", "The session's handle.")],
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<sessions::Ended>)],
            problems: &[404, 503],
        },
    ],
};

async fn nowhere(_: Admitted, request: HttpRequest) -> Problem {
    Problem::new(404, format!("there is nothing at {}", request.path()))
}

/// A caller who has been let in: what a handler that takes one need not think about.
pub(crate) struct Admitted(pub(crate) Caller);

impl FromRequest for Admitted {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(exchange::admit(&request, endpoint(&request)?).await?)) })
    }
}

/// The same, whatever there is to do: for what is asked about that.
pub(crate) struct Identified(pub(crate) Caller);

impl FromRequest for Identified {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(exchange::identify(&request, endpoint(&request)?).await?)) })
    }
}

/// The same as [`Admitted`], with the body that the caller has sent, which is read once they have been let in.
pub(crate) struct Sent(Caller, Bytes);

impl FromRequest for Sent {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        Box::pin(async move {
            let endpoint = endpoint(&request)?;
            let caller = exchange::admit(&request, endpoint).await?;
            let payload = payload.await.map_err(|error| Problem::new(400, error.to_string()))?;
            Ok(Self(caller, exchange::read(&request, payload, endpoint).await?))
        })
    }
}

fn endpoint(request: &HttpRequest) -> Result<&Endpoint, Problem> {
    let endpoint = request.app_data::<web::Data<Endpoint>>().map(|endpoint| &***endpoint);
    endpoint.ok_or_else(|| Problem::new(500, "the route has no endpoint; mount it by mcp_http::rest or mcp_http::docs"))
}

pub(crate) fn encoded(body: &impl Serialize) -> Result<HttpResponse, Problem> {
    Ok(json(serde_json::to_vec(body).map_err(|error| Problem::new(500, error.to_string()))?))
}

fn json(body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(body.into())
}
