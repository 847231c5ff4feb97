//! Whether the server lives, whether it should be sent requests, and how it is.

mod dependency;
pub(crate) mod machine;
pub(crate) mod model;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Clock;
use mcp_core::store::check::Check;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::json;

use crate::exchange;
use crate::rest::route::{Forms, Route, Table};
pub(crate) use dependency::Dependencies;
use dependency::{Condition, Report};

/// What the three routes answer from. Clones are the same.
#[derive(Clone)]
pub(crate) struct Health {
    dependencies: Arc<Dependencies>,
    ready: Arc<AtomicBool>,
    version: String,
    /// Who finds out who asks; nobody, where everyone sees all.
    endpoint: Option<Endpoint>,
}

impl Health {
    /// Checks each dependency once, and from then on every few seconds, until the last clone is dropped. To be called on the
    /// runtime that checks.
    pub(crate) async fn watch(checks: Vec<Arc<dyn Check>>, clock: Arc<dyn Clock>, version: &str) -> Self {
        let dependencies = Arc::new(Dependencies::watch(checks, clock).await);
        Self { dependencies, ready: Arc::new(AtomicBool::new(false)), version: version.to_owned(), endpoint: None }
    }

    /// The same, but whoever this endpoint does not know for somebody who [may see it](mcp_core::Caller::may_monitor) is told in one word.
    pub(crate) fn guarded_by(&self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self.clone() }
    }

    async fn is_shown_to(&self, request: &HttpRequest) -> bool {
        match &self.endpoint {
            None => true,
            Some(endpoint) => exchange::identify(request, endpoint).await.is_ok_and(|caller| caller.may_monitor()),
        }
    }

    /// From now on requests are welcome, or no more.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// How the dependencies are, as figures.
    pub(crate) fn dependencies(&self) -> Arc<Dependencies> {
        self.dependencies.clone()
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
    forms: Forms::Two,
    routes: &[
        Route::get(
            "/health",
            "health",
            "How the server is, and what it leans on, for callers with the role `monitor`; others are told in one word",
            |route| route.to(show),
            &[(200, of::<Answer>), (503, of::<Answer>)],
            &[],
        ),
        Route::get(
            "/health/live",
            "live",
            "Whether the server lives",
            |route| route.to(live),
            &[(200, of::<Word>)],
            &[],
        ),
        Route::get(
            "/health/ready",
            "ready",
            "Whether the server takes requests: not before it has started, nor once it is stopping",
            |route| route.to(ready),
            &[(200, of::<Word>), (503, of::<Word>)],
            &[],
        ),
    ],
};

fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

/// One word.
#[derive(JsonSchema)]
#[schemars(rename = "HealthWord")]
#[expect(dead_code, reason = "only its schema is used")]
struct Word {
    status: String,
}

/// How the server is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct Answer {
    /// `ok`; `degraded` where something is down that calls can do without; `down` where calls fail.
    status: &'static str,
    /// Whether it takes requests.
    ready: bool,
    /// What else there is to know, for callers with the role `monitor` or `operator`.
    #[serde(flatten)]
    detail: Option<Detail>,
}

#[derive(Serialize, JsonSchema)]
struct Detail {
    version: String,
    /// What it leans on, as the last check found it.
    checks: BTreeMap<String, Report>,
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

/// Asks nobody: what it says is what the last checks found, so that it answers at once whatever hangs.
async fn show(request: HttpRequest, health: web::Data<Health>) -> HttpResponse {
    let condition = health.dependencies.condition();
    let detail = || Detail {
        version: health.version.clone(),
        checks: health.dependencies.reports().map(|(name, report)| (name.to_owned(), report)).collect(),
    };
    let answer = Answer {
        status: condition.word(),
        ready: health.is_ready(),
        detail: health.is_shown_to(&request).await.then(detail),
    };
    let status = if condition == Condition::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    HttpResponse::build(status).json(answer)
}

#[cfg(test)]
mod tests;
