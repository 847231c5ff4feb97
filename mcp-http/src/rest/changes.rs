//! `/events`: that something has changed, for who shows it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use mcp_core::endpoint::answer::{Answer, Body};
use mcp_core::server::OpenStream;
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::runs::RunQuery;
use mcp_core::{Caller, Endpoint, Server};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior};

use super::problem::Problem;
use super::representation::wants_events;
use super::route::{Forms, Route, Table};
use super::{Admitted, encoded};
use crate::exchange;

/// The route.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::changes",
    about: "System",
    open: false,
    forms: Forms::TwoAndEvents(
        "`tick`, with the same members as in the other forms: at the begin, and within a second of each change, on whichever replica it was.",
    ),
    routes: &[Route::get(
        "/events",
        "followChanges",
        "Whether calls, runs or questions have changed that the caller may see: as a stream of events as they do, and in the other forms as it is. The stream ends after five minutes, to be opened again",
        |route| route.to(changes),
        &[(200, SchemaGenerator::subschema_for::<Tick>)],
        &[429, 503],
    )],
};

/// How often a stream without news says that it is alive.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What it says then.
pub(crate) const ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// How often it is looked whether something has changed.
const EACH: Duration = Duration::from_millis(500);
/// After so long the stream ends, so that whoever follows says again who they are.
const LONGEST: Duration = Duration::from_secs(300);
/// Of how many of the newest runs it is seen that they have changed.
const RUNS: u16 = 50;

/// How it is at a moment. Texts tell by being others that something has changed, and nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Tick {
    /// Another one where there is a new call.
    calls: String,
    /// Another one where one of the newest runs has begun, waits, goes on or has ended.
    runs: String,
    /// How many questions wait for an answer.
    questions: usize,
    /// How many alerts fire, for callers with the role `monitor` or `operator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<u64>,
}

/// Looks again and again.
struct Looking {
    server: Server,
    caller: Caller,
    alerts: Alerts,
    told: Option<Tick>,
    /// How many questions wait, as long as the runs that wait are as this says.
    questions: (u64, usize),
    each: Interval,
}

/// Counts the alerts that fire, where there are any.
type Alerts = Box<dyn Fn() -> Option<u64> + Send + Sync>;

async fn changes(
    Admitted(caller): Admitted,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
) -> Result<HttpResponse, Problem> {
    let (server, alerts) = (endpoint.server().clone(), alerts(&request, &caller));
    let mut each = tokio::time::interval(EACH);
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looking = Looking { server, caller, alerts, told: None, questions: (0, 0), each };
    if !wants_events(&request) {
        return encoded(&looking.look().await?);
    }
    let open = looking.server.open_stream(&looking.caller)?;
    Ok(streamed(stream::unfold(looking, async |mut looking| Some((looking.next().await, looking))), open))
}

/// Sends the frames of a stream, until the server closes, or whoever follows is to say again who they are. The head goes out at once.
pub(crate) fn streamed(frames: impl Stream<Item = Bytes> + Send + 'static, open: OpenStream) -> HttpResponse {
    let end = async move { drop(tokio::time::timeout(LONGEST, open.closed()).await) };
    let frames = stream::iter([ALIVE]).chain(frames).take_until(Box::pin(end));
    exchange::respond(Answer::events(Body::Stream(frames.boxed())))
}

#[cfg(feature = "bundled")]
fn alerts(request: &HttpRequest, caller: &Caller) -> Alerts {
    let watch = request.app_data::<web::Data<crate::alert::Watch>>().filter(|_| caller.may_monitor()).cloned();
    Box::new(move || watch.as_ref().map(|watch| watch.firing()))
}

#[cfg(not(feature = "bundled"))]
fn alerts(_: &HttpRequest, _: &Caller) -> Alerts {
    Box::new(|| None)
}

impl Looking {
    async fn look(&mut self) -> Result<Tick, StoreError> {
        let (server, caller) = (&self.server, &self.caller);
        let newest = server.calls(caller, CallQuery { limit: 1, ..CallQuery::default() }).await?;
        let mut runs = DefaultHasher::new();
        if !server.agents().list().is_empty() {
            for run in server.runs().list(caller, RunQuery { limit: RUNS, ..RunQuery::default() }).await? {
                (run.id, run.state).hash(&mut runs);
            }
            let mut waiting = DefaultHasher::new();
            for run in server.agent_runs().waiting_runs(caller).await? {
                (run.id, run.epoch, run.inputs).hash(&mut waiting);
            }
            // What they ask stands in their journals, which are not read again while they are the same.
            if self.questions.0 != waiting.finish() {
                self.questions = (waiting.finish(), server.agent_runs().waiting(caller).await?.len());
            }
        }
        Ok(Tick {
            calls: newest.first().map(|call| call.id.to_string()).unwrap_or_default(),
            runs: format!("{:016x}", runs.finish()),
            questions: self.questions.1,
            alerts: (self.alerts)(),
        })
    }

    /// The next piece of the stream.
    async fn next(&mut self) -> Bytes {
        let silent = Instant::now();
        loop {
            self.each.tick().await;
            // What cannot be read now is told of by /health; whoever looks goes on.
            if let Ok(tick) = self.look().await
                && self.told.as_ref() != Some(&tick)
            {
                let json = serde_json::to_vec(&tick).unwrap_or_default();
                self.told = Some(tick);
                return Answer::event("tick", &json);
            }
            if silent.elapsed() >= KEEP_ALIVE {
                return ALIVE;
            }
        }
    }
}
