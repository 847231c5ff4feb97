//! Which web pages may read what the server answers.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::middleware::Condition;

/// What pages of `origins` may send and read (Fetch, "CORS protocol"). Pages of others send nothing but what every page may, and the
/// endpoint refuses that. No cookie is ever asked for: a page brings its key in a header.
pub(super) fn cors(origins: &[String]) -> Condition<Cors> {
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    // Of `Mcp-Param-*` nobody knows all names, so that every header may be sent.
    let cors = Cors::default().allowed_methods(methods).allow_any_header().expose_headers(EXPOSED).max_age(600);
    // The endpoint refuses, and says how to mend it.
    let cors = cors.block_on_origin_mismatch(false);
    let cors = origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.trim_end_matches('/')));
    Condition::new(!origins.is_empty(), cors)
}

/// What pages may read beside the headers that every page may.
const EXPOSED: [&str; 14] = [
    "accept-ranges",
    "content-range",
    "etag",
    "idempotency-replayed",
    "mcp-session-id",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "traceparent",
    "www-authenticate",
    "x-request-id",
];
