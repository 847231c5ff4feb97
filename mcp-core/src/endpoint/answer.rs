//! What a shell sends back.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::stream;
use crate::caller::Challenge;
use crate::jsonrpc;
use crate::protocol::encoding;
use crate::protocol::errors::RpcError;

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Name and value of each header, the names in lower case. The length of the body is the shell's business.
    pub headers: Vec<(&'static str, String)>,
    /// The media type of the body, if it has one.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Body,
}

/// The body of an [`Answer`].
pub enum Body {
    /// No body.
    Empty,
    /// All of it at once.
    Full(Bytes),
    /// Pieces, to be sent each as soon as it comes. The first is ready at the first poll: it goes with the head. Dropping the
    /// stream is what a client does that leaves.
    Stream(BoxStream<'static, Bytes>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Self::Stream(_) => f.write_str("Stream(..)"),
        }
    }
}

const JSON: &str = "application/json";

impl Answer {
    pub(crate) fn accepted() -> Self {
        Self { status: 202, headers: Vec::new(), content_type: None, body: Body::Empty }
    }

    pub(crate) fn json(status: u16, json: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), content_type: Some(JSON), body: Body::Full(json.into()) }
    }

    pub(crate) fn error(id: Option<&str>, error: &RpcError) -> Self {
        let mut answer = Self::json(error.status, encoding::error(id, error));
        match error.status {
            405 => answer.headers.push(("allow", "POST".to_owned())),
            503 => answer.headers.push(("retry-after", "1".to_owned())),
            _ => {}
        }
        answer
    }

    /// One event of such a stream: its name, and JSON.
    pub fn event(name: &str, json: &[u8]) -> Bytes {
        let mut frame = Vec::with_capacity(json.len() + name.len() + 16);
        stream::named_frame(&mut frame, name, json);
        frame.into()
    }

    /// The same, with an id by which a reader who was cut off says how far it came (`Last-Event-ID`).
    pub fn event_with_id(id: &str, name: &str, json: &[u8]) -> Bytes {
        let mut frame = format!("id: {id}\n").into_bytes();
        stream::named_frame(&mut frame, name, json);
        frame.into()
    }

    /// A stream of events (HTML, "Server-sent events"), which nobody on the way may keep or hold back.
    pub fn events(body: Body) -> Self {
        let headers = vec![("cache-control", "no-cache".to_owned()), ("x-accel-buffering", "no".to_owned())];
        Self { status: 200, headers, content_type: Some("text/event-stream"), body }
    }
}

/// Why a request does not come in. MCP answers it with [`Refusal::into_answer`], REST in its own form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and the mend.
    pub message: String,
    /// The value of `WWW-Authenticate`, where the request lacks credentials, or scopes.
    pub challenge: Option<Cow<'static, str>>,
}

impl Refusal {
    pub(crate) fn forbidden(message: String) -> Self {
        Self { status: 403, message, challenge: None }
    }

    /// The server has enough to do.
    pub(crate) fn busy(message: &str) -> Self {
        Self { status: 503, message: message.to_owned(), challenge: None }
    }

    /// The body has more than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self { status: 413, message: format!("the body has more than the {limit} bytes allowed"), challenge: None }
    }

    /// The body did not come within `limit`.
    pub fn too_slow(limit: Duration) -> Self {
        let message = format!("the body did not come within {limit:?}; send it faster, or in smaller parts");
        Self { status: 408, message, challenge: None }
    }

    /// The answer of the MCP endpoint: an error without an id, since no message has been read.
    pub fn into_answer(self) -> Answer {
        self.into_answer_to(None)
    }

    /// The answer to the request of this id, as JSON text.
    pub(crate) fn into_answer_to(self, id: Option<&str>) -> Answer {
        let challenge = self.challenge;
        let mut answer = Answer::error(id, &RpcError::new(self.status, jsonrpc::INVALID_REQUEST, self.message));
        answer.headers.extend(challenge.map(|challenge| ("www-authenticate", challenge.into_owned())));
        answer
    }
}

impl From<Challenge> for Refusal {
    fn from(challenge: Challenge) -> Self {
        let header = challenge.header().map(Cow::Borrowed);
        Self { status: challenge.status(), message: challenge.to_string(), challenge: header }
    }
}
