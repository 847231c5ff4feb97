//! Bytes to a JSON-RPC message and back, by the rules that MCP adds to JSON-RPC 2.0.
//!
//! [`decode`] reads the envelope and the union of the methods' parameters in one pass, and leaves each parameter as the
//! text that came.

#[cfg(any(test, feature = "fuzz"))]
pub mod judge;
pub(crate) mod reader;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use reader::{Raw, Read, ReadError, Reader};

use crate::tool::key::IdempotencyKey;

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
    fn new(raw: Raw<'a>) -> Option<Self> {
        is_id(raw).then(|| Id(raw.get()))
    }

    /// The JSON text of the id.
    pub(crate) fn as_json(self) -> &'a str {
        self.0
    }
}

#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    method: Option<Raw<'a>>,
    params: Params<'a>,
    is_response: bool,
}

/// The union of what the methods take; each is checked by the method that wants it. One that is `null` counts as given.
#[derive(Debug, Default)]
pub(crate) struct Params<'a> {
    pub(crate) meta: Option<Meta<'a>>,
    pub(crate) name: Option<Raw<'a>>,
    pub(crate) arguments: Option<Raw<'a>>,
    pub(crate) cursor: Option<Raw<'a>>,
    rare: Option<Box<Rare<'a>>>,
}

/// Those that few requests have, apart: what a call of a tool brings stays small.
#[derive(Debug)]
pub(crate) struct Rare<'a> {
    pub(crate) uri: Option<Raw<'a>>,
    pub(crate) reference: Option<Raw<'a>>,
    pub(crate) argument: Option<Raw<'a>>,
    pub(crate) context: Option<Raw<'a>>,
    pub(crate) input_responses: Option<Raw<'a>>,
    pub(crate) request_state: Option<Raw<'a>>,
    pub(crate) notifications: Option<Raw<'a>>,
    pub(crate) capabilities: Option<Raw<'a>>,
    pub(crate) level: Option<Raw<'a>>,
    pub(crate) request_id: Option<Raw<'a>>,
    pub(crate) protocol_version: Option<Raw<'a>>,
    pub(crate) task_id: Option<Raw<'a>>,
}

/// `_meta` of a request (basic, "`_meta`").
#[derive(Debug, Default)]
pub(crate) struct Meta<'a> {
    pub(crate) protocol_version: Option<Raw<'a>>,
    pub(crate) client_capabilities: Option<Raw<'a>>,
    pub(crate) log_level: Option<Raw<'a>>,
    pub(crate) progress_token: Option<Raw<'a>>,
    pub(crate) idempotency_key: Option<Raw<'a>>,
    pub(crate) traceparent: Option<Raw<'a>>,
    pub(crate) tracestate: Option<Raw<'a>>,
}

/// What is no object and must be one: its error code, and what to tell the client.
type Wrong = Option<(i32, &'static str)>;

impl<'a> Envelope<'a> {
    fn read(reader: &mut Reader<'a>, wrong: &mut Wrong) -> Read<Self> {
        let mut envelope = Self::default();
        let is_object = reader.members(|reader, key| {
            match key {
                "jsonrpc" => envelope.jsonrpc = Some(reader.value()?),
                "id" => envelope.id = Some(reader.value()?),
                "method" => envelope.method = Some(reader.value()?),
                "params" => envelope.params = Params::read(reader, wrong)?,
                _ => {
                    envelope.is_response |= matches!(key, "result" | "error");
                    reader.value()?;
                }
            }
            Ok(())
        })?;
        if !is_object {
            *wrong = Some((
                INVALID_REQUEST,
                "a message is one JSON object, and batches are not part of this protocol; send each request by itself",
            ));
        }
        Ok(envelope)
    }
}

impl<'a> Params<'a> {
    fn read(reader: &mut Reader<'a>, wrong: &mut Wrong) -> Read<Self> {
        let mut params = Self::default();
        let is_object = reader.members(|reader, key| {
            match key {
                "_meta" => params.meta = Some(Meta::read(reader, wrong)?),
                "name" => params.name = Some(reader.value()?),
                "arguments" => params.arguments = Some(reader.value()?),
                "cursor" => params.cursor = Some(reader.value()?),
                rare if Rare::NAMES.contains(&rare) => {
                    let value = reader.value()?;
                    params.rare.get_or_insert_with(|| Box::new(Rare::NONE)).set(rare, value);
                }
                _ => drop(reader.value()?),
            }
            Ok(())
        })?;
        if !is_object {
            *wrong = Some((INVALID_REQUEST, "`params` must be an object"));
        }
        Ok(params)
    }
}

impl<'a> Params<'a> {
    /// What few requests have.
    pub(crate) fn rare(&self) -> &Rare<'a> {
        static NONE: Rare<'static> = Rare::NONE;
        self.rare.as_deref().unwrap_or(&NONE)
    }
}

impl<'a> Rare<'a> {
    const NONE: Self = Self {
        uri: None,
        reference: None,
        argument: None,
        context: None,
        input_responses: None,
        request_state: None,
        notifications: None,
        capabilities: None,
        level: None,
        request_id: None,
        protocol_version: None,
        task_id: None,
    };

    const NAMES: [&'static str; 12] = [
        "uri",
        "ref",
        "argument",
        "context",
        "inputResponses",
        "requestState",
        "notifications",
        "capabilities",
        "level",
        "requestId",
        "protocolVersion",
        "taskId",
    ];

    fn set(&mut self, name: &str, value: Raw<'a>) {
        let place = match name {
            "uri" => &mut self.uri,
            "ref" => &mut self.reference,
            "argument" => &mut self.argument,
            "context" => &mut self.context,
            "inputResponses" => &mut self.input_responses,
            "requestState" => &mut self.request_state,
            "notifications" => &mut self.notifications,
            "capabilities" => &mut self.capabilities,
            "level" => &mut self.level,
            "requestId" => &mut self.request_id,
            "taskId" => &mut self.task_id,
            _ => &mut self.protocol_version,
        };
        *place = Some(value);
    }
}

impl<'a> Meta<'a> {
    fn read(reader: &mut Reader<'a>, wrong: &mut Wrong) -> Read<Self> {
        let mut meta = Self::default();
        let is_object = reader.members(|reader, key| {
            match key {
                "io.modelcontextprotocol/protocolVersion" => meta.protocol_version = Some(reader.value()?),
                "io.modelcontextprotocol/clientCapabilities" => meta.client_capabilities = Some(reader.value()?),
                "io.modelcontextprotocol/logLevel" => meta.log_level = Some(reader.value()?),
                IdempotencyKey::META => meta.idempotency_key = Some(reader.value()?),
                "traceparent" => meta.traceparent = Some(reader.value()?),
                "tracestate" => meta.tracestate = Some(reader.value()?),
                "progressToken" => meta.progress_token = Some(reader.value()?),
                _ => drop(reader.value()?),
            }
            Ok(())
        })?;
        if !is_object {
            *wrong = Some((INVALID_PARAMS, "`params._meta` must be an object"));
        }
        Ok(meta)
    }
}

/// Why a body is no message; always HTTP 400.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault<'a> {
    /// Whether it is a response, which a server that has asked takes.
    pub(crate) is_response: bool,
    pub(crate) id: Option<Id<'a>>,
    pub(crate) code: i32,
    pub(crate) message: String,
}

pub(crate) const PARSE_ERROR: i32 = -32700;
pub(crate) const INVALID_REQUEST: i32 = -32600;
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
pub(crate) const INVALID_PARAMS: i32 = -32602;
pub(crate) const INTERNAL_ERROR: i32 = -32603;

impl From<Box<ReadError>> for Fault<'_> {
    fn from(error: Box<ReadError>) -> Self {
        Self { is_response: false, id: None, code: PARSE_ERROR, message: error.to_string() }
    }
}

/// Decodes one message. The parameters borrow from `body`.
pub(crate) fn decode(body: &[u8]) -> Result<Message<'_>, Fault<'_>> {
    let mut reader = Reader::new(body)?;
    let mut wrong = None;
    let envelope = Envelope::read(&mut reader, &mut wrong)?;
    reader.end()?;
    let id = envelope.id.map(Id::new);
    if let Some((code, message)) = wrong {
        return Err(Fault { is_response: false, id: id.flatten(), code, message: message.to_owned() });
    }
    if id == Some(None) {
        return Err(invalid(
            None,
            "`id` must be a string or an integer of at most 300 digits; leave it out to send a notification",
        ));
    }
    let id = id.flatten();
    if envelope.jsonrpc.and_then(Raw::string).as_deref() != Some("2.0") {
        return Err(invalid(id, "`jsonrpc` must be \"2.0\""));
    }
    let Some(method) = envelope.method else {
        return Err(if envelope.is_response {
            Fault {
                is_response: true,
                ..invalid(
                    id,
                    "this is a JSON-RPC response; the server has asked nothing, send a request or a notification",
                )
            }
        } else {
            invalid(id, "`method` is missing; name the method to call, such as \"tools/list\"")
        });
    };
    let Some(method) = method.string() else {
        return Err(invalid(id, "`method` must be a string"));
    };
    let params = envelope.params;
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification(Notification { method, params }),
    })
}

/// How many digits an id has at the most: what is past 1e308 is out of the range of most readers, and they could not read our answer.
pub(crate) const MOST_DIGITS: usize = 300;

/// Whether a value is what ids and progress tokens are: a string or an integer.
pub(crate) fn is_id(raw: Raw<'_>) -> bool {
    let text = raw.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with('"') || digits.len() <= MOST_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn invalid<'a>(id: Option<Id<'a>>, message: &str) -> Fault<'a> {
    Fault { is_response: false, id, code: INVALID_REQUEST, message: message.to_owned() }
}

/// What a client answers, and the id of the question.
pub(crate) fn read_response(body: &[u8]) -> Option<(String, Result<serde_json::Value, String>)> {
    #[derive(serde::Deserialize)]
    struct Response {
        id: String,
        #[serde(default)]
        result: Option<serde_json::Value>,
        #[serde(default)]
        error: Option<Refusal>,
    }
    #[derive(serde::Deserialize)]
    struct Refusal {
        #[serde(default)]
        message: String,
    }
    let response: Response = serde_json::from_slice(body).ok()?;
    Some(match (response.result, response.error) {
        (Some(result), _) => (response.id, Ok(result)),
        (None, error) => (response.id, Err(error.map(|error| error.message).unwrap_or_default())),
    })
}
