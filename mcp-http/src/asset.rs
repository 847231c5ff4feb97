//! Files of the pages that come with the server.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use mcp_core::Endpoint;

use crate::exchange::ActixHead;
use crate::rest::problem::Problem;

/// A file of a page.
pub(crate) struct Asset {
    /// Where it is, below where its page is mounted.
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) text: &'static str,
}

/// Nothing but the page's own files, and pictures and sounds that answers hold; and in no frame of another.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const JS: &str = "text/javascript; charset=utf-8";
pub(crate) const SVG: &str = "image/svg+xml";

/// Serves them to everyone whose `Host` and `Origin` are allowed.
pub(crate) fn serve(assets: &'static [Asset], endpoint: &web::Data<Endpoint>, config: &mut web::ServiceConfig) {
    for asset in assets {
        let answer = async |request: HttpRequest, endpoint: web::Data<Endpoint>| asset.answer(&request, &endpoint);
        config.service(web::resource(asset.path).app_data(endpoint.clone()).get(answer));
    }
}

impl Asset {
    fn answer(&self, request: &HttpRequest, endpoint: &Endpoint) -> Result<HttpResponse, Problem> {
        endpoint.check_origin(&ActixHead::of(request))?;
        // It is asked for again with each visit, and sent where it is another one.
        let tag = self.tag();
        let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
        let is_known =
            known.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
        let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .content_type(self.content_type)
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((ETAG, tag))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        Ok(if is_known { response.finish() } else { response.body(self.text) })
    }

    /// Its version (RFC 9110, section 8.8.3).
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}
