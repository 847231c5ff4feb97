//! `/threads`: what a caller has said to agents, and they to them.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::store::threads::{Place, Placed, Thread, ThreadId};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::page::PageSize;
use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::{Admitted, Sent, encoded};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::threads",
    about: "Threads: the caller's conversations with agents",
    open: false,
    forms: Forms::Two,
    routes: &[
        Route {
            method: Method::GET,
            path: "/threads",
            to: |route| route.to(list),
            id: "listThreads",
            about: "The caller's threads, the newest first",
            segments: &[],
            query: Some(SchemaGenerator::subschema_for::<ThreadPage>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Threads>)],
            problems: &[400, 503],
        },
        Route {
            method: Method::POST,
            path: "/threads",
            to: |route| route.to(begin),
            id: "beginThread",
            about: "Begins a thread, in which runs of agents may be",
            segments: &[],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<NewThread>),
            answers: &[(200, SchemaGenerator::subschema_for::<OneThread>)],
            problems: &[408, 413, 422, 503],
        },
        Route {
            method: Method::DELETE,
            path: "/threads/{thread}",
            to: |route| route.to(remove),
            id: "removeThread",
            about: "Removes a thread, with all that was said in it",
            segments: SEGMENTS,
            query: None,
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<RemovedThread>)],
            problems: &[404, 503],
        },
        Route {
            method: Method::GET,
            path: "/threads/{thread}/messages",
            to: |route| route.to(messages),
            id: "listMessages",
            about: "What was said in a thread, the newest first",
            segments: SEGMENTS,
            query: Some(SchemaGenerator::subschema_for::<MessagePage>),
            body: None,
            answers: &[(200, SchemaGenerator::subschema_for::<Messages>)],
            problems: &[400, 404, 503],
        },
    ],
};

const SEGMENTS: &[(&str, &str)] = &[("thread", "The thread's id.")];

/// Which page of the threads.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThreadPage {
    /// The `next` of the page before.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    before: Option<ThreadId>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// Which page of what was said.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessagePage {
    /// The `next` of the page before.
    before: Option<Place>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// A page of the caller's threads.
#[derive(Serialize, JsonSchema)]
struct Threads {
    threads: Vec<ShownThread>,
    /// The `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A thread.
#[derive(Serialize, JsonSchema)]
struct OneThread {
    thread: ShownThread,
}

/// A thread.
#[derive(Serialize, JsonSchema)]
struct ShownThread {
    #[schemars(extend("format" = "uuid"))]
    id: String,
    /// How it is shown.
    title: String,
    /// When it was begun.
    #[schemars(with = "String", extend("format" = "date-time"))]
    created: Timestamp,
}

/// A thread to begin.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewThread {
    /// How it is shown.
    title: String,
    /// A UUID of the client's own: what was begun under it is not begun again.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    id: Option<ThreadId>,
}

/// A thread that is no more.
#[derive(Serialize, JsonSchema)]
struct RemovedThread {
    /// The id under which nothing is found any more.
    removed: String,
}

/// A page of what was said.
#[derive(Serialize, JsonSchema)]
struct Messages {
    messages: Vec<Message>,
    /// The `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Place>,
}

/// Something that was said.
#[derive(Serialize, JsonSchema)]
struct Message {
    #[schemars(extend("format" = "uuid"))]
    id: String,
    /// Who said it: `user`, or `assistant`.
    role: String,
    /// What.
    text: String,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
}

/// The caller's own threads, also an administrator's.
async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    page: web::Query<ThreadPage>,
) -> Result<HttpResponse, Problem> {
    let size = PageSize::of(page.limit);
    let found = endpoint.server().threads(&caller).list(page.before, size.and_one()).await?;
    let (threads, next) = size.cut(found, |last| last.id.to_string());
    encoded(&Threads { threads: threads.into_iter().map(ShownThread::from).collect(), next })
}

/// Begins a thread.
async fn begin(Sent(caller, body): Sent, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is no thread to begin: {error}"));
    let NewThread { title, id } = serde_json::from_slice(&body).map_err(unreadable)?;
    let thread = endpoint.server().threads(&caller).begin(&title, id).await?;
    encoded(&OneThread { thread: thread.into() })
}

/// Removes one of the caller's own threads.
async fn remove(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let thread = id_of(&id)?;
    if !endpoint.server().threads(&caller).remove(thread).await? {
        return Err(nothing());
    }
    encoded(&RemovedThread { removed: thread.to_string() })
}

/// What was said in one of the caller's own threads.
async fn messages(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
    page: web::Query<MessagePage>,
) -> Result<HttpResponse, Problem> {
    let (thread, size) = (id_of(&id)?, PageSize::of(page.limit));
    let threads = endpoint.server().threads(&caller);
    let found = threads.latest(thread, page.before, size.and_one()).await?;
    if found.is_empty() && threads.find(thread).await?.is_none() {
        return Err(nothing());
    }
    let (shown, more) = size.split(found);
    let next = more.and(shown.last()).map(|last| last.place);
    encoded(&Messages { messages: shown.into_iter().map(Message::from).collect(), next })
}

fn id_of(text: &str) -> Result<ThreadId, Problem> {
    text.parse().map_err(|_| nothing())
}

fn nothing() -> Problem {
    Problem::new(404, "you have no such thread; it may have been removed")
}

impl From<Thread> for ShownThread {
    fn from(Thread { id, title, created }: Thread) -> Self {
        Self { id: id.to_string(), title, created }
    }
}

impl From<Placed> for Message {
    fn from(Placed { message, .. }: Placed) -> Self {
        Self { id: message.id.to_string(), role: message.role, text: message.text, at: message.at }
    }
}
