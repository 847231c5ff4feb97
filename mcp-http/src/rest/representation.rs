//! The one place that decides between JSON and XML, and writes the latter. Handlers answer JSON and know of no other form.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, ResponseError};

use super::problem::Problem;
use super::xml::{self, Document};

/// In which form a client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// Under this media type.
    Xml(&'static str),
    /// What is said as it comes; what goes wrong before that is JSON.
    Events,
}

/// The forms that there are. Where a client likes several equally well, it gets the first.
const OFFERED: [(&str, Form); 4] = [
    ("application/json", Form::Json),
    ("application/xml", Form::Xml("application/xml")),
    ("text/xml", Form::Xml("text/xml; charset=utf-8")),
    ("text/event-stream", Form::Events),
];

/// Around a route: refuses a request whose answer could not be read before anything is done for it, and gives the answer the
/// form that the client wants. JSON passes through as it is.
///
/// An answer that nests too deeply to be written as XML stays JSON and says so in its `Content-Type`: what a call has done is
/// done, and its result must not be lost.
pub(crate) async fn negotiate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let form = Form::wanted(request.headers()).filter(|form| *form != Form::Events);
    answer_in(form, request, next).await
}

/// The same around a route that may answer by a stream of events; see [`wants_events`].
pub(crate) async fn negotiate_with_events(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let form = Form::wanted(request.headers());
    answer_in(form, request, next).await
}

/// Whether the client likes a stream of events best.
pub(crate) fn wants_events(request: &HttpRequest) -> bool {
    Form::wanted(request.headers()) == Some(Form::Events)
}

/// The same around a route whose answers may have a form of their own: it refuses nothing, and JSON is for whoever asks for
/// something else.
pub(crate) async fn negotiate_if_possible(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let form = Form::wanted(request.headers()).unwrap_or(Form::Json);
    answer_in(Some(form), request, next).await
}

async fn answer_in(
    form: Option<Form>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let mut response = match form {
        Some(_) => next.call(request).await?.map_into_boxed_body(),
        None => request.into_response(Problem::not_acceptable().error_response()),
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    let Some(Form::Xml(content_type)) = form else { return Ok(response) };
    Ok(response.map_body(|head, body| into_xml(&mut head.headers, body, content_type)))
}

fn into_xml(headers: &mut HeaderMap, body: BoxBody, content_type: &'static str) -> BoxBody {
    let (document, content_type): (&Document, _) = match headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
        Some(b"application/json") => (&xml::RESPONSE, content_type),
        Some(b"application/problem+json") => (&xml::PROBLEM, "application/problem+xml"),
        _ => return body,
    };
    let json = match body.try_into_bytes() {
        Ok(json) => json,
        Err(stream) => return stream,
    };
    match document.write(&json) {
        Ok(xml) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            BoxBody::new(xml)
        }
        Err(_) => BoxBody::new(json),
    }
}

impl Form {
    /// What `Accept` asks for (RFC 9110, section 12.5.1); `None` where it is nothing of what there is.
    fn wanted(headers: &HeaderMap) -> Option<Self> {
        let values = || headers.get_all(ACCEPT).map(|value| value.to_str().unwrap_or_default());
        // A header that says nothing leaves the choice to the server, as one that is not there.
        if values().all(|value| matches!(value.trim_ascii(), "" | "*/*" | "application/json")) {
            return Some(Self::Json);
        }
        let ranges: Vec<Range<'_>> = values().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
        let mut best = (0.0, None);
        for (media_type, form) in OFFERED {
            let quality = quality(&ranges, media_type);
            if quality > best.0 {
                best = (quality, Some(form));
            }
        }
        best.1
    }
}

/// One thing that `Accept` names.
struct Range<'a> {
    media_type: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    /// Also reads what clients send that is not quite right: `*` for `*/*`, and `.2` for `0.2`. What makes no sense is left out.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim_ascii);
        let media_type = parts.next().map(|media_type| if media_type == "*" { "*/*" } else { media_type })?;
        let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let quality = weight.map_or(Ok(1.0), |(_, value)| value.parse()).ok()?;
        (0.0..=1.0).contains(&quality).then_some(Self { media_type, quality })
    }

    /// How closely it fits a media type, if it does.
    fn closeness(&self, media_type: &str) -> Option<u8> {
        let (kind, _) = media_type.split_once('/')?;
        match self.media_type.split_once('/')? {
            _ if self.media_type.eq_ignore_ascii_case(media_type) => Some(2),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(1),
            ("*", "*") => Some(0),
            _ => None,
        }
    }
}

/// How much a media type is liked: by the range that fits it most closely.
fn quality(ranges: &[Range<'_>], media_type: &str) -> f32 {
    let fits = ranges.iter().filter_map(|range| Some((range.closeness(media_type)?, range.quality)));
    fits.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests;
