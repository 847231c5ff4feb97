//! What a provider's API is like: how it is asked, and how its answer is read.

use std::collections::VecDeque;

use mcp_core::model::delta::{Delta, End, FinishReason};
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::frames::{Frame, Framing};
use super::names::Names;

/// An API of providers.
pub(super) trait Dialect: Send + Sync + 'static {
    /// Where it is, if nothing else is configured.
    fn base_url(&self) -> Option<&'static str>;

    /// What follows the base URL.
    fn path(&self, model: &str) -> String;

    /// The header that lets a request in, with this key.
    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    /// Other headers.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How pieces of its answers are told apart.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// The body of a request that is answered as a stream.
    fn body(&self, model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError>;

    /// Reads one answer.
    fn reader(&self, names: Names) -> Box<dyn Reader>;
}

/// Reads an answer, piece by piece.
pub(super) trait Reader: Send {
    /// Takes a piece, and gives what it says.
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError>;

    /// There are no more pieces. Where the reply is complete without its end having been given, it is now.
    fn finish(&mut self, out: &mut VecDeque<Delta>) {
        let _ = out;
    }
}

/// What was told of the end of a reply, for providers who say more after the reason for it, or no last word.
#[derive(Default)]
pub(super) struct Ending {
    pub(super) finish: Option<FinishReason>,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
}

impl Ending {
    /// Gives the end, once, where there was a reason for it.
    pub(super) fn give(&mut self, out: &mut VecDeque<Delta>) {
        if let Some(finish) = self.finish.take() {
            out.push_back(Delta::End(End { finish, usage: self.usage, cost: None, model: self.model.take() }));
        }
    }
}

/// Reads the JSON of a piece.
pub(super) fn decode<T: DeserializeOwned>(frame: &Frame) -> Result<T, ModelError> {
    serde_json::from_slice(&frame.data)
        .map_err(|_| ModelError::broken("a piece of the answer is not what was expected"))
}

/// Something that this provider cannot be asked.
pub(super) fn cannot(what: &str) -> ModelError {
    ModelError::BadRequest { message: format!("the provider {what}") }
}

/// The arguments of a call, for a provider that wants an object: what a model wrote that is none goes back to it as a text.
pub(super) fn arguments(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Value::Object(arguments),
        _ if text.trim().is_empty() => Value::Object(Map::new()),
        _ => serde_json::json!({ "invalid_arguments": text }),
    }
}

/// Whether a schema is of the kind that providers can hold a model to: each object lists all its members, and has no others.
pub(super) fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let is_object =
                members.get("type").is_some_and(|kind| kind == "object") || members.contains_key("properties");
            let is_closed = !is_object || {
                let required = members.get("required").and_then(Value::as_array);
                let is_required = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
                members.get("additionalProperties") == Some(&Value::Bool(false))
                    && members
                        .get("properties")
                        .and_then(Value::as_object)
                        .is_some_and(|all| all.keys().all(is_required))
            };
            is_closed && members.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

/// A text as one segment of a path (RFC 3986, section 3.3).
pub(super) fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            segment.push(byte.into());
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Adds what is configured to a body, where the body says nothing itself.
pub(super) fn merge(into: &mut Value, extra: &Map<String, Value>) {
    let Value::Object(members) = into else { return };
    for (name, value) in extra {
        match (members.get_mut(name), value) {
            (Some(inner @ Value::Object(_)), Value::Object(extra)) => merge(inner, extra),
            (Some(_), _) => {}
            (None, _) => {
                members.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_configured_is_added_and_replaces_nothing() {
        let mut body = json!({"model": "m", "options": {"a": 1}});
        let extra = json!({"model": "x", "options": {"a": 2, "b": 3}, "seed": 4});
        merge(&mut body, extra.as_object().unwrap());
        assert_eq!(body, json!({"model": "m", "options": {"a": 1, "b": 3}, "seed": 4}));
    }

    #[test]
    fn a_schema_is_strict_where_all_of_its_objects_are_closed() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
        let of = |inner: &Value| json!({"type": "object", "properties": {"a": {"type": "array", "items": inner}}, "required": ["a"], "additionalProperties": false});
        let open = json!({"type": "object", "properties": {"a": {}}});
        assert!(is_strict(&closed) && is_strict(&of(&closed)) && is_strict(&json!({"type": "string"})));
        assert!(!is_strict(&open) && !is_strict(&of(&open)));
    }

    #[test]
    fn a_model_is_one_segment_of_a_path_whatever_it_is_called() {
        assert_eq!(segment("a-b.c_d~1"), "a-b.c_d~1");
        assert_eq!(segment("us.m:0/../x?y"), "us.m%3A0%2F..%2Fx%3Fy");
    }

    #[test]
    fn arguments_that_are_none_are_told_as_they_are() {
        assert_eq!(arguments("{\"a\": 1}"), json!({"a": 1}));
        assert_eq!(arguments(" "), json!({}));
        assert_eq!(arguments("[1"), json!({"invalid_arguments": "[1"}));
    }
}
