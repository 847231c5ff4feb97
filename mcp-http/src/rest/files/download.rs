//! A file that becomes a body (RFC 9110, sections 8.8.3, 13 and 14).

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::server::files::OwnFiles;
use mcp_core::store::files::{File, OpenFile, Span};

use super::super::Admitted;
use super::super::problem::Problem;
use super::no_such_file;

pub(super) async fn read(
    Admitted(caller): Admitted,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let files = endpoint.server().files(&caller)?;
    let headers = request.headers();
    if let Some(known) = text(headers, IF_NONE_MATCH) {
        let file = files.find(&name).await?.ok_or_else(no_such_file)?;
        if names(known, &tag(&file)) {
            return Ok(HttpResponse::NotModified().insert_header((ETAG, tag(&file))).finish());
        }
    }
    let span = text(headers, RANGE).and_then(span);
    let open = match text(headers, IF_RANGE) {
        Some(seen) if span.is_some() => open_if(&files, &name, span, seen).await?,
        _ => open(&files, &name, span).await?,
    };
    Ok(answer(open))
}

async fn open(files: &OwnFiles, name: &str, span: Option<Span>) -> Result<OpenFile, Problem> {
    files.read(name, span).await?.ok_or_else(no_such_file)
}

/// The span, as long as the file is the one that was seen; otherwise the whole.
async fn open_if(files: &OwnFiles, name: &str, span: Option<Span>, seen: &str) -> Result<OpenFile, Problem> {
    let file = files.find(name).await?.ok_or_else(no_such_file)?;
    if tag(&file) == seen {
        let part = open(files, name, span).await?;
        // Unless it was replaced since.
        if tag(&part.file) == seen {
            return Ok(part);
        }
    }
    open(files, name, None).await
}

fn answer(OpenFile { file, range, bytes }: OpenFile) -> HttpResponse {
    let length = range.end - range.start;
    let mut response = if length == file.size { HttpResponse::Ok() } else { HttpResponse::PartialContent() };
    if length < file.size {
        response.insert_header((CONTENT_RANGE, format!("bytes {}-{}/{}", range.start, range.end - 1, file.size)));
    }
    let content_type = HeaderValue::from_str(&file.content_type).ok().filter(|value| !value.is_empty());
    response
        .insert_header((CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"))))
        .insert_header((ETAG, tag(&file)))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        // Whoever wrote it, it is no page of this server, and may do nothing in its name.
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_DISPOSITION, "attachment"))
        .insert_header((CONTENT_SECURITY_POLICY, "sandbox"))
        .body(SizedStream::new(length, bytes))
}

/// A strong validator: equal bytes have the same.
fn tag(file: &File) -> String {
    format!("\"{}\"", file.hash)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a list of validators names one, by the weak comparison.
fn names(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// The one part that is asked for. What is none, or several, is as if nothing were said: the whole is an answer to it.
fn span(range: &str) -> Option<Span> {
    let (unit, parts) = range.split_once('=')?;
    let (first, last) = parts.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is larger than a number can be is behind the end of every file.
        true if !text.is_empty() => Some(text.parse().unwrap_or(u64::MAX)),
        _ => None,
    };
    match (first, last) {
        ("", last) => number(last).map(Span::Last),
        (first, "") => number(first).map(Span::Since),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Span::Between(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood_and_all_else_is_left_out() {
        for (range, expected) in [
            ("bytes=0-0", Some(Span::Between(0, 0))),
            ("Bytes = 5-", Some(Span::Since(5))),
            ("bytes=-5", Some(Span::Last(5))),
            ("bytes=7-99999999999999999999999", Some(Span::Between(7, u64::MAX))),
            ("bytes=5-4", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("0-1", None),
            ("", None),
        ] {
            assert_eq!(span(range), expected, "{range:?}");
        }
    }

    #[test]
    fn a_validator_is_found_in_a_list() {
        for (known, is_named) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false), ("", false)]
        {
            assert_eq!(names(known, "\"a\""), is_named, "{known}");
        }
    }
}
