//! `/system/log`: the lines of this replica's log, as they are written.

use std::collections::VecDeque;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use mcp_core::Endpoint;
use mcp_core::endpoint::answer::Answer;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::operator;
use crate::log;
use crate::rest::changes::{ALIVE, KEEP_ALIVE, streamed};
use crate::rest::problem::Problem;
use crate::rest::representation::wants_events;
use crate::rest::route::{Forms, Route, Table};
use crate::rest::{Admitted, encoded};

/// The route.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::system::log",
    about: "System",
    open: false,
    forms: Forms::TwoAndEvents(
        "`line`: first those of the other forms, then each as it is written; and `left_out`, with how many `lines` were written faster than they were read.",
    ),
    routes: &[Route::get(
        "/system/log",
        "followLog",
        "The last lines of the log of the replica that answers, and as a stream of events those that follow; it takes the role `operator`. The stream ends after five minutes, to be opened again",
        |route| route.to(show),
        &[(200, SchemaGenerator::subschema_for::<Lines>)],
        &[403, 429, 503],
    )],
};

/// The last lines of a log, the oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogLines")]
struct Lines {
    /// Each with `timestamp`, `level`, `message` and, where the log is JSON, its fields.
    lines: Vec<Map<String, Value>>,
}

async fn show(
    Admitted(caller): Admitted,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
) -> Result<HttpResponse, Problem> {
    operator(&caller)?;
    let (before, lines) = log::follow();
    if !wants_events(&request) {
        return encoded(&Lines { lines: before.iter().map(|line| read(line)).collect() });
    }
    let open = endpoint.server().open_stream(&caller)?;
    let frames = stream::unfold((VecDeque::from(before), lines), async |(mut before, mut lines)| {
        let frame = match before.pop_front() {
            Some(line) => frame(&line),
            None => next(&mut lines).await?,
        };
        Some((frame, (before, lines)))
    });
    Ok(streamed(frames, open))
}

async fn next(lines: &mut broadcast::Receiver<Bytes>) -> Option<Bytes> {
    match tokio::time::timeout(KEEP_ALIVE, lines.recv()).await {
        Ok(Ok(line)) => Some(frame(&line)),
        Ok(Err(RecvError::Lagged(lines))) => {
            Some(Answer::event("left_out", json!({"lines": lines}).to_string().as_bytes()))
        }
        Ok(Err(RecvError::Closed)) => None,
        Err(_) => Some(ALIVE),
    }
}

fn frame(line: &[u8]) -> Bytes {
    Answer::event("line", &serde_json::to_vec(&read(line)).unwrap_or_default())
}

/// A line as members, in whichever format the log is written.
fn read(line: &[u8]) -> Map<String, Value> {
    if let Ok(members) = serde_json::from_slice(line) {
        return members;
    }
    let text = without_colours(&String::from_utf8_lossy(line));
    // `TIME LEVEL what is said`; what is none of that is shown as it is.
    let mut words = text.trim().splitn(2, char::is_whitespace);
    let (time, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_start());
    let (level, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let members = match level {
        "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE" => json!({"timestamp": time, "level": level, "message": message}),
        _ => json!({"message": text.trim()}),
    };
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A text without what terminals take for colours (ECMA-48, `SGR`).
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    plain.extend(parts.next());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_in_each_format() {
        let read = |line: &str| Value::Object(read(line.as_bytes()));
        let said =
            json!({"timestamp": "2026-11-27T18:00:00.1Z", "level": "INFO", "message": "call{tool=a}: it is done n=1"});
        assert_eq!(read("2026-11-27T18:00:00.1Z  INFO call{tool=a}: it is done n=1\n"), said);
        assert_eq!(
            read(
                "\u{1b}[2m2026-11-27T18:00:00.1Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m call{tool=a}: it is done \u{1b}[3mn\u{1b}[0m=1\n"
            ),
            said
        );
        assert_eq!(read("{\"level\":\"WARN\",\"n\":2}\n"), json!({"level": "WARN", "n": 2}));
        assert_eq!(read("it breaks\n"), json!({"message": "it breaks"}));
        assert_eq!(read(""), json!({"message": ""}));
    }
}
