//! How an answer is written down, once, into one buffer.

use crate::ask::InputRequired;
use crate::context::Context;
use crate::json;
use crate::jsonrpc;
use crate::protocol::caching::Caching;
use crate::protocol::errors::{self, RpcError};
use crate::server::Server;
use crate::spans;
use crate::tool::error::ToolError;
use crate::tool::pipeline::Failure;

/// Which members a result has beside those of its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `resultType`, `_meta` with the server's name, and how long a list may be kept.
    Modern,
    /// None of them.
    Legacy,
}

impl Encoding {
    /// Writes a result; `members` writes what the method gives, without braces.
    pub(crate) fn result(self, server: &Server, id: &str, size: usize, members: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        self.result_with(server, id, size, "", members)
    }

    /// The same, with one more member of `_meta`, as JSON.
    pub(crate) fn result_with(
        self,
        server: &Server,
        id: &str,
        size: usize,
        meta: &str,
        members: impl FnOnce(&mut Vec<u8>),
    ) -> Vec<u8> {
        let implementation = &server.identity().implementation;
        let mut out = Vec::with_capacity(size + id.len() + implementation.len() + 192);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(id.as_bytes());
        match self {
            Self::Modern => {
                out.extend_from_slice(b",\"result\":{\"resultType\":\"complete\",");
                members(&mut out);
                out.extend_from_slice(b",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":");
                out.extend_from_slice(implementation);
                if !meta.is_empty() {
                    out.push(b',');
                    out.extend_from_slice(meta.as_bytes());
                }
                out.extend_from_slice(b"}}}");
            }
            Self::Legacy => {
                out.extend_from_slice(b",\"result\":{");
                members(&mut out);
                if !meta.is_empty() {
                    out.extend_from_slice(b",\"_meta\":{");
                    out.extend_from_slice(meta.as_bytes());
                    out.push(b'}');
                }
                out.extend_from_slice(b"}}");
            }
        }
        out
    }

    /// Writes for how long, and by whom, an answer may be kept (server/utilities/caching).
    pub(crate) fn caching(self, out: &mut Vec<u8>, caching: Caching) {
        if self == Self::Modern {
            let scope = if caching.public { "public" } else { "private" };
            out.extend_from_slice(
                format!(",\"ttlMs\":{},\"cacheScope\":\"{scope}\"", caching.ttl.as_millis()).as_bytes(),
            );
        }
    }
}

/// Writes that a request needs answers before it has a result (schema, `InputRequiredResult`).
pub(crate) fn input_required(server: &Server, id: &str, required: &InputRequired) -> Vec<u8> {
    other_result(server, id, "input_required", required.requests.len() + required.state.len(), |out| {
        out.extend_from_slice(b",\"inputRequests\":");
        out.extend_from_slice(required.requests.as_bytes());
        out.extend_from_slice(b",\"requestState\":\"");
        out.extend_from_slice(required.state.as_bytes());
        out.push(b'"');
    })
}

/// Writes that a call goes on as a task (schema of the extension, `CreateTaskResult`); `members` writes those of the task.
pub(crate) fn task(server: &Server, id: &str, members: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    other_result(server, id, "task", 256, |out| {
        out.push(b',');
        members(out);
    })
}

/// Writes that something was taken, and no more.
pub(crate) fn acknowledged(server: &Server, id: &str) -> Vec<u8> {
    other_result(server, id, "complete", 0, |_| {})
}

/// Writes a result of this type; `members` writes those that it has beside that, each behind a comma.
fn other_result(server: &Server, id: &str, kind: &str, size: usize, members: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let implementation = &server.identity().implementation;
    let mut out = Vec::with_capacity(size + implementation.len() + 192);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":{\"resultType\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
    members(&mut out);
    out.extend_from_slice(b",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":");
    out.extend_from_slice(implementation);
    out.extend_from_slice(b"}}}");
    out
}

/// What a request comes to of which nothing was read: an error, unless it needs answers first.
pub(crate) fn unread(server: &Server, id: &str, failure: &Failure) -> Encoded {
    match &failure.error {
        ToolError::NeedsInput(required) => Ok(input_required(server, id, required)),
        _ => Err(errors::of_read(failure)),
    }
}

/// What a request came to, that takes more than one poll to answer.
pub(crate) trait Outcome: Send + 'static {
    /// The one of a request whose task was dropped: its runtime is shutting down.
    fn cancelled(cx: &Context) -> Self;

    /// After how many seconds it may be sent again, where it was refused for now.
    fn retry_after(&self) -> Option<u64> {
        None
    }

    /// By what it has failed, if it has.
    fn fault(&self) -> Option<&'static str>;

    /// The whole message that answers it.
    fn encode(self, server: &Server, encoding: Encoding, id: &str) -> Encoded;
}

/// A message that answers a request, or the error that does.
pub(crate) type Encoded = Result<Vec<u8>, RpcError>;

impl Outcome for Encoded {
    fn cancelled(_: &Context) -> Self {
        Err(RpcError::new(503, jsonrpc::INTERNAL_ERROR, "the server is shutting down; try again later"))
    }

    fn fault(&self) -> Option<&'static str> {
        self.as_ref().err().map(spans::fault_of)
    }

    fn encode(self, _: &Server, _: Encoding, _: &str) -> Encoded {
        self
    }
}

/// Writes an error. The id is left out only where none could be read.
pub(crate) fn error(id: Option<&str>, error: &RpcError) -> Vec<u8> {
    let mut out = b"{\"jsonrpc\":\"2.0\"".to_vec();
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.as_bytes());
    }
    out.extend_from_slice(b",\"error\":{\"code\":");
    out.extend_from_slice(error.code.to_string().as_bytes());
    out.extend_from_slice(b",\"message\":");
    json::write_string(&mut out, &error.message);
    if let Some(data) = &error.data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.to_string().as_bytes());
    }
    out.extend_from_slice(b"}}");
    out
}
