//! What the app serves, for programs and for people: an OpenAPI document, and a page that reads it.

mod openapi;

use actix_web::error::UrlGenerationError;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use mcp_core::Endpoint;

use crate::asset::{self, Asset};
use crate::rest::problem::Problem;
use crate::rest::route::Table;
use crate::rest::{self, Admitted};

/// Serves `GET /openapi.json`, which describes what is mounted in the same app by [`rest()`](crate::rest()), with a path for each
/// tool; and `/docs`, a page that shows it, calls tools, and needs nothing from elsewhere:
/// `App::new().configure(docs(endpoint))`.
///
/// The document is for those who may call the tools; the page is for everyone whose `Host` and `Origin` are allowed.
pub fn docs(endpoint: Endpoint) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let endpoint = web::Data::new(endpoint);
        config.service(web::resource("/openapi.json").app_data(endpoint.clone()).get(openapi));
        asset::serve(ASSETS, &endpoint, config);
    }
}

/// The tables of routes that an app may have mounted.
const TABLES: &[&Table] = &[
    &rest::TABLE,
    &rest::calling::TABLE,
    &rest::files::TABLE,
    &rest::runs::TABLE,
    &rest::agents::TABLE,
    &rest::stats::TABLE,
    &rest::threads::TABLE,
    &rest::definitions::TABLE,
    &rest::events::TABLE,
    &rest::keys::TABLE,
    &rest::users::TABLE,
    &rest::export::TABLE,
    &rest::changes::TABLE,
    &rest::system::TABLE,
    #[cfg(feature = "bundled")]
    &crate::alert::picture::TABLE,
    #[cfg(feature = "bundled")]
    &crate::health::TABLE,
    #[cfg(feature = "bundled")]
    &crate::system::TABLE,
    #[cfg(feature = "bundled")]
    &crate::system::LOG,
];

async fn openapi(
    Admitted(caller): Admitted,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
) -> Result<HttpResponse, Problem> {
    let mut mounted = Vec::new();
    for table in TABLES {
        let Some(first) = table.routes.first() else { continue };
        match request.url_for(table.name, vec!["x"; first.segments.len()]) {
            Ok(url) => {
                let of_x = |path: String, (name, _): &(&str, _)| path.replace(&format!("{{{name}}}"), "x");
                let path = first.segments.iter().fold(first.template(), of_x);
                mounted.push((url.path().strip_suffix(&*path).unwrap_or_default().to_owned(), *table));
            }
            Err(UrlGenerationError::ResourceNotFound) => {}
            Err(error) => return Err(Problem::new(400, format!("`Host` is no part of a URL: {error}"))),
        }
    }
    // As seen from the document, so that it also holds behind a proxy that takes a prefix away.
    let root = match request.path().matches('/').count() {
        0 | 1 => ".".to_owned(),
        deep => vec![".."; deep - 1].join("/"),
    };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).json(openapi::document(
        endpoint.server(),
        &caller,
        &root,
        &mounted,
    )))
}

const ASSETS: &[Asset] = &[
    Asset { path: "/docs", content_type: asset::HTML, text: include_str!("docs/page.html") },
    Asset { path: "/docs/page.css", content_type: asset::CSS, text: include_str!("docs/page.css") },
    Asset { path: "/docs/page.js", content_type: asset::JS, text: include_str!("docs/page.js") },
    Asset { path: "/docs/icon.svg", content_type: asset::SVG, text: include_str!("docs/icon.svg") },
];

#[cfg(all(test, feature = "bundled"))]
mod tests;
