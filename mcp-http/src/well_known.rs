//! What clients ask for before they have a token.

use actix_web::{HttpRequest, web};
use mcp_core::Endpoint;

use crate::exchange::respond;

/// Serves the metadata of `endpoint` as a resource that tokens are for (RFC 9728), to everyone and to every page:
/// `App::new().configure(well_known(endpoint))`, at the root of the app, since their paths begin with `/.well-known`. An endpoint of
/// which no such thing was said ([`Endpoint::protected_resource`]) has none.
///
/// A proxy that takes a prefix off the paths of the app has to pass these paths on as they are.
pub fn well_known(endpoint: Endpoint) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let Some(resource) = endpoint.resource() else { return };
        for path in resource.paths() {
            let resource = resource.clone();
            let answer = move |request: HttpRequest| {
                let response = respond(resource.answer(request.method().as_str()));
                async { response }
            };
            config.service(web::resource(path).to(answer));
        }
    }
}
