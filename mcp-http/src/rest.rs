//! The same server in the manner of REST, for clients that do not speak MCP.

mod calls;
mod problem;
mod tools;

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::ContentType;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use mcp_core::{Caller, Endpoint};

use crate::exchange;
use problem::Problem;

/// Serves the tools and the recorded calls of `endpoint`'s server: `web::scope("/api/v1").configure(rest(endpoint))`.
///
/// | route | what |
/// |---|---|
/// | `GET tools` | the tools on offer |
/// | `GET tools/{name}` | one of them |
/// | `POST tools/{name}/call` | calls it; the body is its arguments |
/// | `GET calls` | recorded calls, the newest first |
///
/// Errors are `application/problem+json` (RFC 9457). Who may come in is decided as for [`mount`](crate::mount).
pub fn rest(endpoint: Endpoint) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(endpoint))
            .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::bad_query(&error).into()))
            .service(web::resource("/tools").get(tools::list).default_service(web::to(only_get)))
            .service(web::resource("/tools/{name}").get(tools::show).default_service(web::to(only_get)))
            .service(web::resource("/tools/{name}/call").post(tools::call).default_service(web::to(only_post)))
            .service(web::resource("/calls").get(calls::list).default_service(web::to(only_get)))
            .default_service(web::to(nowhere));
    }
}

async fn only_get(_: Admitted) -> Problem {
    Problem::not_allowed("GET")
}

async fn only_post(_: Admitted) -> Problem {
    Problem::not_allowed("POST")
}

async fn nowhere(_: Admitted, request: HttpRequest) -> Problem {
    Problem::new(404, format!("there is nothing at {}", request.path()))
}

/// A caller who has been let in: what a handler that takes one need not think about.
struct Admitted(Caller);

impl FromRequest for Admitted {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Some(endpoint) = request.app_data::<web::Data<Endpoint>>() else {
                return Err(Problem::new(500, "the route has no endpoint; mount it by mcp_http::rest"));
            };
            Ok(Self(exchange::admit(&request, endpoint).await?))
        })
    }
}

fn json(body: impl Into<bytes::Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(body.into())
}
