//! `/sessions`: what the caller's tools come back to.

use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::store::sessions::SessionInfo;
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use super::{Admitted, encoded};

/// The caller's sessions, the last used first.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
}

/// State that a tool comes back to.
#[derive(Serialize, JsonSchema)]
struct Session {
    /// What a tool is given to come back to it.
    handle: String,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    created: Timestamp,
    /// When a tool last came back to it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    used: Timestamp,
    /// How large it is.
    bytes: usize,
}

/// A session that is no more.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ended {
    /// The handle under which nothing is found any more.
    ended: String,
}

/// The caller's own sessions, also an administrator's.
pub(super) async fn list(Admitted(caller): Admitted, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    let sessions = endpoint.server().sessions(&caller).await?.into_iter().map(Session::from).collect();
    encoded(&Sessions { sessions })
}

/// Ends one of the caller's own sessions.
pub(super) async fn end(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    handle: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let ended = handle.into_inner();
    if endpoint.server().end_session(&caller, &ended).await? {
        encoded(&Ended { ended })
    } else {
        Err(Problem::new(404, "you have no such session; it may have ended"))
    }
}

impl From<SessionInfo> for Session {
    fn from(SessionInfo { handle, created, used, bytes }: SessionInfo) -> Self {
        Self { handle, created, used, bytes }
    }
}
