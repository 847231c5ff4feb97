//! What must hold of the decoder for any bytes at all, with serde_json as the second reader of the same bytes. The properties
//! and the fuzz targets ask here. A function returns where all is well and panics where not. It is given the bytes for us and
//! those for serde_json: the same, unless a target is to have something to find.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::reader::{MAX_DEPTH, Raw, ReadError};
use super::{INVALID_PARAMS, INVALID_REQUEST, MOST_DIGITS, Message, PARSE_ERROR};

/// Holds the reader of one value against serde_json.
pub fn read(ours: &[u8], body: &[u8]) {
    let ours = Raw::read(ours).map(Raw::get);
    match Verdict::on(body) {
        Verdict::Sound => {
            let text = std::str::from_utf8(body).expect("serde_json takes UTF-8 alone");
            assert_eq!(ours, Ok(text.trim_matches([' ', '\t', '\r', '\n'])));
        }
        Verdict::TooDeep => assert!(
            matches!(&ours, Err(error) if matches!(**error, ReadError::Depth { .. })),
            "it is too deep: {ours:?}"
        ),
        Verdict::Broken(why) => assert!(ours.is_err(), "serde_json says {why}, and we read {ours:?}"),
        Verdict::Unknown => {}
    }
}

/// Holds the decoder of a message against the rules of the envelope, applied to what serde_json read.
pub fn decode(ours: &[u8], body: &[u8]) {
    let ours = super::decode(ours);
    match Verdict::on(body) {
        Verdict::Sound => {
            let value: Value = serde_json::from_slice(body).expect("it was read before");
            let id = id(body, &value);
            match (ours, envelope(&value, id)) {
                (Ok(message), Ok(())) => assert_eq!(seen(&message), shown(&value)),
                (Err(fault), Err((code, id))) => {
                    assert_eq!((fault.code, fault.id.map(|id| id.as_json())), (code, id), "{}", fault.message);
                }
                (ours, rules) => panic!("by the rules it is {rules:?}, and we decode {ours:?}"),
            }
        }
        Verdict::TooDeep | Verdict::Broken(_) => {
            let fault = ours.expect_err("it is not JSON, or too deep");
            assert_eq!((fault.code, fault.id), (PARSE_ERROR, None), "{}", fault.message);
        }
        Verdict::Unknown => {}
    }
}

/// What serde_json says of a text.
enum Verdict {
    /// JSON in which each object has each key once.
    Sound,
    /// The same, but nested deeper than we read.
    TooDeep,
    Broken(serde_json::Error),
    /// JSON has numbers that serde_json does not hold; they are for the tool to refuse.
    Unknown,
}

impl Verdict {
    fn on(body: &[u8]) -> Self {
        match serde_json::from_slice::<Document>(body) {
            Ok(Document { depth }) if depth <= MAX_DEPTH => Self::Sound,
            Ok(_) => Self::TooDeep,
            Err(error) if error.to_string().contains("number out of range") => Self::Unknown,
            Err(error) => Self::Broken(error),
        }
    }
}

/// Any document whose objects have each key once.
struct Document {
    depth: usize,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        macro_rules! leaves {
            ($($visit:ident: $type:ty),*) => { $(fn $visit<E>(self, _: $type) -> Result<Document, E> { Ok(Document { depth: 0 }) })* };
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Document;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            leaves! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }
            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document { depth: 0 })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Document, A::Error> {
                let mut depth = 0;
                while let Some(element) = list.next_element::<Document>()? {
                    depth = depth.max(element.depth);
                }
                Ok(Document { depth: depth + 1 })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let (mut keys, mut depth) = (BTreeSet::new(), 0);
                while let Some((key, member)) = map.next_entry::<String, Document>()? {
                    depth = depth.max(member.depth);
                    if !keys.insert(key) {
                        return Err(A::Error::custom("a key stands twice"));
                    }
                }
                Ok(Document { depth: depth + 1 })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The text of the id of a message, if it has one that may be used.
fn id<'a>(body: &'a [u8], message: &Value) -> Option<&'a str> {
    #[derive(serde::Deserialize)]
    struct Identified<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let is_id = match message.as_object()?.get("id")? {
        Value::String(_) => |_: &str| true,
        Value::Number(_) => {
            |text: &str| !text.contains(['.', 'e', 'E']) && text.trim_start_matches('-').len() <= MOST_DIGITS
        }
        _ => return None,
    };
    let text = serde_json::from_slice::<Identified<'_>>(body).expect("it has an id").id.get();
    is_id(text).then_some(text)
}

/// The rules of the envelope: the code and the id of what is answered where one is broken.
fn envelope<'a>(message: &Value, id: Option<&'a str>) -> Result<(), (i32, Option<&'a str>)> {
    let Some(members) = message.as_object() else { return Err((INVALID_REQUEST, None)) };
    if let Some(params) = members.get("params") {
        if !params.is_object() {
            return Err((INVALID_REQUEST, id));
        }
        if params.get("_meta").is_some_and(|meta| !meta.is_object()) {
            return Err((INVALID_PARAMS, id));
        }
    }
    let has_bad_id = id.is_none() && members.contains_key("id");
    if has_bad_id || message["jsonrpc"] != "2.0" || !message["method"].is_string() {
        return Err((INVALID_REQUEST, id));
    }
    Ok(())
}

/// The members of a decoded message.
fn seen(message: &Message<'_>) -> Value {
    let (id, method, params) = match message {
        Message::Request(request) => (Some(request.id), &request.method, &request.params),
        Message::Notification(notification) => (None, &notification.method, &notification.params),
    };
    let parse = |raw: &str| serde_json::from_str::<Value>(raw).expect("the whole was parsed");
    let parse = |raw: Option<Raw<'_>>| raw.map(|raw| parse(raw.get()));
    let meta = params.meta.as_ref();
    json!({
        "id": id.map(|id| parse(Raw::read(id.as_json().as_bytes()).ok())),
        "method": method,
        "name": parse(params.name),
        "arguments": parse(params.arguments),
        "cursor": parse(params.cursor),
        "protocolVersion": parse(params.rare().protocol_version),
        "taskId": parse(params.rare().task_id),
        "meta": {
            "version": parse(meta.and_then(|meta| meta.protocol_version)),
            "capabilities": parse(meta.and_then(|meta| meta.client_capabilities)),
            "logLevel": parse(meta.and_then(|meta| meta.log_level)),
            "progressToken": parse(meta.and_then(|meta| meta.progress_token)),
        },
    })
}

/// The same members as serde_json shows them.
fn shown(message: &Value) -> Value {
    let params = &message["params"];
    let meta = &params["_meta"];
    json!({
        "id": message["id"],
        "method": message["method"],
        "name": params["name"],
        "arguments": params["arguments"],
        "cursor": params["cursor"],
        "protocolVersion": params["protocolVersion"],
        "taskId": params["taskId"],
        "meta": {
            "version": meta["io.modelcontextprotocol/protocolVersion"],
            "capabilities": meta["io.modelcontextprotocol/clientCapabilities"],
            "logLevel": meta["io.modelcontextprotocol/logLevel"],
            "progressToken": meta["progressToken"],
        },
    })
}
