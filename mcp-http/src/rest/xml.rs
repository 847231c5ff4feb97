//! JSON as XML, for clients that ask for it.
//!
//! | JSON | XML |
//! |---|---|
//! | the whole | `<response>…</response>` |
//! | a member of an object | `<key>…</key>` |
//! | one whose key is not of ASCII letters, digits, `_`, `-` and `.`, with a letter or `_` first and no `xml` there | `<entry name="key">…</entry>` |
//! | an element of an array | `<item>…</item>` |
//! | an object, array, number, boolean, `null` | its content, with this word as the attribute `type` |
//! | a string | its text, with no `type` |
//! | a string with characters that XML 1.0 cannot hold | its UTF-8 in base64, with `encoding="base64"` |
//! | a key with such characters | `<entry name="…" name-encoding="base64">`, likewise |
//!
//! So nothing is lost, and order is kept. Numbers are read as 64-bit ones.
//!
//! A problem is written as RFC 9457, Appendix B, has it: `<problem xmlns="urn:ietf:rfc:7807">`, arrays of `<i>`, no attributes,
//! and U+FFFD for what XML cannot hold.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesStart, BytesText, Event};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// One kind of document.
#[derive(Debug)]
pub(super) struct Document {
    root: &'static str,
    namespace: Option<&'static str>,
    item: &'static str,
    /// Whether attributes say what the text cannot.
    attributes: bool,
}

/// An answer.
pub(super) const RESPONSE: Document = Document { root: "response", namespace: None, item: "item", attributes: true };

/// A problem (RFC 9457, Appendix B).
pub(super) const PROBLEM: Document =
    Document { root: "problem", namespace: Some("urn:ietf:rfc:7807"), item: "i", attributes: false };

impl Document {
    /// Writes `json` as XML, in one pass.
    ///
    /// # Errors
    /// When it is no JSON, or nests deeper than the 127 levels that are read.
    pub(super) fn write(&self, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Writer::new(Vec::with_capacity(json.len() + json.len() / 2));
        let mut json = serde_json::Deserializer::from_slice(json);
        out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None))).map_err(serde_json::Error::custom)?;
        let mut start = BytesStart::new(self.root);
        start.extend_attributes(self.namespace.map(|namespace| ("xmlns", namespace)));
        Element { start, document: self, out: &mut out }.deserialize(&mut json)?;
        json.end()?;
        Ok(out.into_inner())
    }
}

/// An element that waits for its value, whose kind its start tag tells.
struct Element<'a> {
    start: BytesStart<'a>,
    document: &'a Document,
    out: &'a mut Writer<Vec<u8>>,
}

impl Element<'_> {
    fn begin<E: Error>(&mut self, attribute: Option<(&str, &str)>) -> Result<(), E> {
        if self.document.attributes {
            self.start.extend_attributes(attribute);
        }
        self.out.write_event(Event::Start(self.start.borrow())).map_err(E::custom)
    }

    fn end<E: Error>(self) -> Result<(), E> {
        self.out.write_event(Event::End(self.start.to_end())).map_err(E::custom)
    }

    /// All of an element that holds nothing but text.
    fn text<E: Error>(mut self, attribute: Option<(&str, &str)>, text: &str) -> Result<(), E> {
        self.begin(attribute)?;
        if !text.is_empty() {
            // Quotes need no escaping here, and the text of a tool is full of them.
            let text = BytesText::from_escaped(partial_escape(text));
            self.out.write_event(Event::Text(text)).map_err(E::custom)?;
        }
        self.end()
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.text(Some(("type", "null")), "")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.text(Some(("type", "boolean")), if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.text(Some(("type", "number")), &value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.text(Some(("type", "number")), &value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"))?;
        self.text(Some(("type", "number")), &number.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match holdable(value) {
            Cow::Borrowed(value) => self.text(None, value),
            Cow::Owned(_) if self.document.attributes => {
                self.text(Some(("encoding", "base64")), &STANDARD.encode(value))
            }
            Cow::Owned(replaced) => self.text(None, &replaced),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.begin(Some(("type", "array")))?;
        let document = self.document;
        loop {
            let item = Element { start: BytesStart::new(document.item), document, out: &mut *self.out };
            if list.next_element_seed(item)?.is_none() {
                return self.end();
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.begin(Some(("type", "object")))?;
        let document = self.document;
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(Element { start: start(&key), document, out: &mut *self.out })?;
        }
        self.end()
    }
}

/// The start tag of a member.
fn start(key: &str) -> BytesStart<'_> {
    if is_name(key) {
        return BytesStart::new(key);
    }
    let entry = BytesStart::new("entry");
    match holdable(key) {
        Cow::Borrowed(key) => entry.with_attributes([("name", key)]),
        Cow::Owned(_) => entry.with_attributes([("name", STANDARD.encode(key).as_str()), ("name-encoding", "base64")]),
    }
}

/// Whether a key is a name in every edition of XML 1.0, and in no namespace.
fn is_name(key: &str) -> bool {
    let mut bytes = key.bytes();
    let reserved = || key.as_bytes().get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"xml"));
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !reserved()
}

/// A text as it is, or with U+FFFD for each character that XML 1.0 cannot hold (section 2.2).
fn holdable(text: &str) -> Cow<'_, str> {
    let is_held = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    if text.chars().all(is_held) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_held(c) { c } else { char::REPLACEMENT_CHARACTER }).collect())
}

#[cfg(test)]
mod tests;
