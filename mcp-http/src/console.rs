//! The web console: pages made of what REST answers, and how a browser signs in.

mod session;

use actix_web::web;
use mcp_core::Endpoint;

use crate::asset::{self, Asset};

/// Serves `/console`: pages that show how the server does, what happened and who waits, and by which tools are tried. They are made of what
/// [`rest()`](crate::rest()) answers under `api/v1` beside it, and need nothing from elsewhere:
/// `web::scope("/any").configure(console(endpoint)).service(web::scope("/api/v1").configure(rest(endpoint)))`.
///
/// The pages are for everyone whose `Host` and `Origin` are allowed; what they show is for who signs in. `POST /console/session` makes a
/// [cookie](mcp_core::caller::browsers::Browsers) of a key, or of a link that lets in once; `DELETE` removes it.
pub fn console(endpoint: Endpoint) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let endpoint = web::Data::new(endpoint);
        asset::serve(ASSETS, &endpoint, config);
        let session = web::resource("/console/session").app_data(endpoint);
        config.service(session.post(session::begin).delete(session::end));
    }
}

macro_rules! script {
    ($name:literal) => {
        Asset {
            path: concat!("/console/", $name),
            content_type: asset::JS,
            text: include_str!(concat!("console/", $name)),
        }
    };
}

const ASSETS: &[Asset] = &[
    Asset { path: "/console", content_type: asset::HTML, text: include_str!("console/index.html") },
    Asset { path: "/console/icon.svg", content_type: asset::SVG, text: include_str!("console/icon.svg") },
    Asset { path: "/console/console.css", content_type: asset::CSS, text: include_str!("console/console.css") },
    script!("vendor.js"),
    script!("api.js"),
    script!("app.js"),
    script!("form.js"),
    script!("kit.js"),
    script!("live.js"),
    script!("plot.js"),
    script!("pages/calls.js"),
    script!("pages/connect.js"),
    script!("pages/inbox.js"),
    script!("pages/keys.js"),
    script!("pages/overview.js"),
    script!("pages/runs.js"),
    script!("pages/system.js"),
    script!("pages/tools.js"),
];

#[cfg(test)]
mod tests;
