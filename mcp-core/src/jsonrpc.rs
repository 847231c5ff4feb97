//! Bytes to a JSON-RPC message and back, by the rules that MCP adds to JSON-RPC 2.0.
//!
//! [`decode`] reads the envelope and the union of the methods' parameters in one pass, and leaves each parameter as the
//! slice of text that came. What it refuses it names: the body is read again, slowly, only to say what is wrong.

mod object;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::value::RawValue;

use object::raw_object;

/// A message that a client may send: MCP has no batches, and a client of a stateless server has nothing to answer.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Request(Request<'a>),
    Notification(Notification<'a>),
}

#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: Id<'a>,
    pub(crate) method: Cow<'a, str>,
    pub(crate) params: Params<'a>,
}

#[derive(Debug)]
pub(crate) struct Notification<'a> {
    pub(crate) method: Cow<'a, str>,
    pub(crate) params: Params<'a>,
}

/// The id of a request as it came: a JSON string or integer, given back to the letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    fn new(raw: &'a RawValue) -> Option<Self> {
        is_id(raw).then(|| Id(raw.get()))
    }

    /// The JSON text of the id.
    pub(crate) fn as_json(self) -> &'a str {
        self.0
    }
}

raw_object! {
    struct Envelope {
        "jsonrpc" => jsonrpc: &'a RawValue,
        "id" => id: &'a RawValue,
        "method" => method: &'a RawValue,
        "params" => params: Params<'a>,
        "result" => result: &'a RawValue,
        "error" => error: &'a RawValue,
    }
}

raw_object! {
    /// The union of what the methods take; each is checked by the method that wants it.
    struct Params {
        "_meta" => meta: Meta<'a>,
        "name" => name: &'a RawValue,
        "arguments" => arguments: &'a RawValue,
        "cursor" => cursor: &'a RawValue,
        "protocolVersion" => protocol_version: &'a RawValue,
    }
}

raw_object! {
    /// `_meta` of a request (basic, "`_meta`").
    struct Meta {
        "io.modelcontextprotocol/protocolVersion" => protocol_version: &'a RawValue,
        "io.modelcontextprotocol/clientCapabilities" => client_capabilities: &'a RawValue,
        "io.modelcontextprotocol/logLevel" => log_level: &'a RawValue,
        "progressToken" => progress_token: &'a RawValue,
    }
}

raw_object! {
    /// The envelope again, with nothing asked of `params`: only to find out why [`Envelope`] was refused.
    struct Loose {
        "id" => id: &'a RawValue,
        "params" => params: &'a RawValue,
    }
}

/// Why a body is no message; always HTTP 400.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault<'a> {
    pub(crate) id: Option<Id<'a>>,
    pub(crate) code: i32,
    pub(crate) message: String,
}

pub(crate) const PARSE_ERROR: i32 = -32700;
pub(crate) const INVALID_REQUEST: i32 = -32600;
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
pub(crate) const INVALID_PARAMS: i32 = -32602;
pub(crate) const INTERNAL_ERROR: i32 = -32603;

/// Decodes one message. The parameters borrow from `body`.
pub(crate) fn decode(body: &[u8]) -> Result<Message<'_>, Fault<'_>> {
    let text = scan::scan(body).map_err(|fault| Fault { id: None, code: PARSE_ERROR, message: fault.to_string() })?;
    let Ok(envelope) = serde_json::from_str::<Envelope>(text) else {
        return Err(name_fault(text));
    };
    let id = match envelope.id {
        None => None,
        Some(raw) => Some(Id::new(raw).ok_or_else(|| {
            invalid(None, "`id` must be a string or an integer; leave it out to send a notification")
        })?),
    };
    if envelope.jsonrpc.is_none_or(|version| version.get() != "\"2.0\"") {
        return Err(invalid(id, "`jsonrpc` must be \"2.0\""));
    }
    let Some(method) = envelope.method else {
        return Err(if envelope.result.is_some() || envelope.error.is_some() {
            invalid(id, "this is a JSON-RPC response; the server has asked nothing, send a request or a notification")
        } else {
            invalid(id, "`method` is missing; name the method to call, such as \"tools/list\"")
        });
    };
    let Some(method) = string(method) else {
        return Err(invalid(id, "`method` must be a string"));
    };
    let params = envelope.params.unwrap_or_default();
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification(Notification { method, params }),
    })
}

/// Whether a value is what ids and progress tokens are: a string or an integer.
pub(crate) fn is_id(raw: &RawValue) -> bool {
    let text = raw.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with('"') || digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text of a JSON string, borrowed unless it holds an escape; `None` if it is no string.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        Some(Cow::Borrowed(inner))
    } else {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    }
}

fn invalid<'a>(id: Option<Id<'a>>, message: &str) -> Fault<'a> {
    Fault { id, code: INVALID_REQUEST, message: message.to_owned() }
}

/// Reads a refused body again, without hurry, to say which rule it breaks.
fn name_fault(text: &str) -> Fault<'_> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Fault { id: None, code: PARSE_ERROR, message: format!("the body is not JSON: {error}") };
    }
    let Ok(loose) = serde_json::from_str::<Loose>(text) else {
        let what =
            if text.trim_start().starts_with('[') { "batches are not part of this protocol" } else { "this is none" };
        return invalid(None, &format!("a message is one JSON object; {what}: send each request by itself"));
    };
    let id = loose.id.and_then(Id::new);
    match loose.params {
        Some(params) if params.get().starts_with('{') => {
            Fault { id, code: INVALID_PARAMS, message: "`params._meta` must be an object".to_owned() }
        }
        _ => invalid(id, "`params` must be an object"),
    }
}
