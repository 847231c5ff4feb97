//! What is not recorded of arguments.

use bytes::Bytes;
use serde_json::Value;

/// Places in arguments whose values are not recorded: JSON pointers (RFC 6901).
#[derive(Clone, Debug, Default)]
pub(crate) struct Redacted(Vec<String>);

/// What is recorded in their place.
const SHOWN: &str = "[redacted]";

impl Redacted {
    pub(crate) fn extend(&mut self, pointers: impl IntoIterator<Item = impl Into<String>>) {
        self.0.extend(pointers.into_iter().map(Into::into));
    }

    /// Takes out of arguments what stands at these places, and at those of `other`. Where there are none, they are what they were, to the
    /// byte.
    pub(crate) fn and(&self, other: &Self, arguments: &Bytes) -> Bytes {
        if self.0.is_empty() && other.0.is_empty() {
            return arguments.clone();
        }
        // What cannot be read has no places.
        let Ok(mut value) = serde_json::from_slice::<Value>(arguments) else { return hidden().to_string().into() };
        let mut any = false;
        for pointer in self.0.iter().chain(&other.0) {
            if let Some(place) = value.pointer_mut(pointer) {
                *place = hidden();
                any = true;
            }
        }
        if any { value.to_string().into() } else { arguments.clone() }
    }
}

fn hidden() -> Value {
    Value::from(SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(pointers: &[&str]) -> Redacted {
        let mut places = Redacted::default();
        places.extend(pointers.iter().copied());
        places
    }

    #[test]
    fn what_stands_at_a_place_is_hidden_and_the_rest_stays() {
        let shown = |own: &[&str], arguments: &'static str| {
            let shown = places(own).and(&places(&["/password"]), &Bytes::from_static(arguments.as_bytes()));
            String::from_utf8(shown.to_vec()).unwrap()
        };
        assert_eq!(shown(&[], r#"{"user": "ada", "password": "x"}"#), r#"{"password":"[redacted]","user":"ada"}"#);
        assert_eq!(
            shown(&["/card/number", "/a~1b/1"], r#"{"card":{"number":[1,2]},"a/b":[1,2],"password":null}"#),
            r#"{"a/b":[1,"[redacted]"],"card":{"number":"[redacted]"},"password":"[redacted]"}"#
        );
        // Where there is nothing to hide, nothing is changed.
        assert_eq!(shown(&["/card"], r#"{"b": 1.0, "a": 1}"#), r#"{"b": 1.0, "a": 1}"#);
        assert_eq!(shown(&[], "no JSON, and a password"), r#""[redacted]""#);
        assert_eq!(shown(&[""], r#"{"a":1}"#), r#""[redacted]""#);
    }
}
