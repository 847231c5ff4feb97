//! How a browser signs in, and out.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ORIGIN, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::caller::browsers::Browsers;
use serde::Deserialize;

use crate::exchange::ActixHead;
use crate::rest::problem::Problem;

/// With what a browser comes: one of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum SignIn {
    /// An API key, or an access token.
    Key(String),
    /// What stands in a link that lets in once.
    Token(String),
}

/// How many bytes a key and what is around it have at the most.
const LARGEST: usize = 8 * 1024;

/// Lets a browser in that has a key, or a link.
pub(super) async fn begin(
    request: HttpRequest,
    payload: web::Payload,
    endpoint: web::Data<Endpoint>,
) -> Result<HttpResponse, Problem> {
    let head = ActixHead::of(&request);
    // Whoever may not send it is not listened to; nobody has been let in yet.
    endpoint.check_origin(&head)?;
    endpoint.check_load()?;
    if !request.headers().contains_key(Browsers::HEADER) {
        return Err(Problem::new(
            400,
            format!("`{}` is missing: it says that the console sends this", Browsers::HEADER),
        ));
    }
    let body = tokio::time::timeout(endpoint.body_timeout(), payload.to_bytes_limited(LARGEST)).await;
    let body = body.map_err(|_| Problem::new(408, "the body took too long to come"))?;
    let body = body.map_err(|_| Problem::new(413, format!("the body is larger than {LARGEST} bytes")))?;
    let body = body.map_err(|error| Problem::new(400, format!("the body cannot be read: {error}")))?;
    let sign_in = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(422, format!("the body is neither {{\"key\": …}} nor {{\"token\": …}}: {error}"))
    })?;
    let browsers = endpoint.server().browsers();
    let key = match sign_in {
        SignIn::Key(key) => key,
        SignIn::Token(token) => browsers.redeem(&token).await?.ok_or_else(|| {
            Problem::new(401, "the link is too old, or was used: `mcp-http console` prints another one")
        })?,
    };
    endpoint.identify_by(&head, &key).await?;
    let sealed = browsers.cookie(&key).map_err(|error| Problem::new(500, error.to_string()))?;
    Ok(answer(&request, &sealed, Browsers::SESSION))
}

/// Lets the browser forget the key.
pub(super) async fn end(request: HttpRequest, endpoint: web::Data<Endpoint>) -> Result<HttpResponse, Problem> {
    endpoint.check_origin(&ActixHead::of(&request))?;
    Ok(answer(&request, "", Duration::ZERO))
}

fn answer(request: &HttpRequest, sealed: &str, age: Duration) -> HttpResponse {
    // The page says how it was reached, whoever speaks TLS: this server, or a proxy in front of it. Whoever says so without need keeps their
    // own cookie from themselves.
    let origin = request.headers().get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if origin || request.connection_info().scheme() == "https" { "; Secure" } else { "" };
    let name = Browsers::COOKIE;
    let cookie = format!("{name}={sealed}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}", age.as_secs());
    HttpResponse::NoContent().insert_header((SET_COOKIE, cookie)).insert_header((CACHE_CONTROL, "no-store")).finish()
}
