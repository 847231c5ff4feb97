//! Whether the server lives, whether it should be sent requests, and how it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use mcp_core::Stores;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::json;

use crate::rest::route::{Route, SchemaOf, Table};

/// What the three routes answer from.
#[derive(Clone)]
pub(crate) struct Health {
    stores: Stores,
    ready: Arc<AtomicBool>,
    version: String,
}

/// How long the database may take to answer before it counts as down.
const PATIENCE: Duration = Duration::from_secs(2);

impl Health {
    pub(crate) fn new(stores: Stores, version: &str) -> Self {
        Self { stores, ready: Arc::new(AtomicBool::new(false)), version: version.to_owned() }
    }

    /// From now on requests are welcome, or no more.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// `/health` for people, `/health/live` for what restarts the server, `/health/ready` for what sends it requests.
pub(crate) fn routes(health: Health) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::new(health));
        TABLE.register(config);
    }
}

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::health",
    about: "Health",
    open: true,
    routes: &[
        route("/health", "health", "How the server is, and what it leans on", |route| route.to(show)),
        route("/health/live", "live", "Whether the server lives", |route| route.to(live)),
        route("/health/ready", "ready", "Whether the server takes requests", |route| route.to(ready)),
    ],
};

const fn route(
    path: &'static str,
    id: &'static str,
    about: &'static str,
    to: fn(actix_web::Route) -> actix_web::Route,
) -> Route {
    let answers: &'static [(u16, SchemaOf)] =
        &[(200, SchemaGenerator::subschema_for::<Answer>), (503, SchemaGenerator::subschema_for::<Answer>)];
    Route { method: Method::GET, path, to, id, about, segments: &[], query: None, body: None, answers, problems: &[] }
}

/// What each of the routes says at least.
#[derive(JsonSchema)]
#[schemars(rename = "Health")]
#[expect(dead_code, reason = "only its schema is used")]
struct Answer {
    status: String,
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

async fn ready(health: web::Data<Health>) -> HttpResponse {
    if health.is_ready() {
        HttpResponse::Ok().json(json!({"status": "ok"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "not ready"}))
    }
}

async fn show(health: web::Data<Health>) -> HttpResponse {
    // An empty commit goes all the way to the writer and back.
    let database = tokio::time::timeout(PATIENCE, health.stores.ledger.commit(Vec::new())).await;
    let up = matches!(database, Ok(Ok(())));
    let word = |up| if up { "ok" } else { "down" };
    let body = json!({
        "status": word(up),
        "version": health.version,
        "ready": health.is_ready(),
        "checks": {"database": {"status": word(up)}},
    });
    if up { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}
