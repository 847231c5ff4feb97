//! `/users/{principal}/export`: all that is kept of somebody.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpResponse, web};
use futures_util::TryStreamExt;
use mcp_core::Endpoint;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::Admitted;
use super::problem::Problem;
use super::route::{Forms, Route, Table};

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::export",
    about: "Users",
    open: false,
    forms: Forms::Any,
    routes: &[Route {
        method: Method::GET,
        path: "/users/{principal}/export",
        to: |route| route.to(export),
        id: "exportUser",
        about: "All that is kept of a user, for administrators and for themselves: lines of JSON, each an object with a `type`; the last is of \
                the type `end`, and without it not all have come",
        segments: &[("principal", "The name under which they call.")],
        query: None,
        body: None,
        answers: &[(200, lines)],
        problems: &[404],
    }],
};

/// The schema of lines of JSON.
fn lines(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"contentMediaType": "application/jsonl"})
}

async fn export(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    principal: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let principal = principal.into_inner().into();
    let lines = endpoint.server().callers().export_user(&caller, &principal).await?;
    // Whoever reads finds no end where the connection is cut.
    let lines = lines.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "an export is cut off");
        std::io::Error::other(error)
    });
    Ok(HttpResponse::Ok()
        .content_type("application/jsonl")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"export.jsonl\""))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(lines))
}
