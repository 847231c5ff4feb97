//! Arguments that are texts by name, as prompts and templates of URIs have them, and how a type is made of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};

use crate::tool::error::{Fault, ToolError};

/// Texts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StringArguments(BTreeMap<String, String>);

impl StringArguments {
    /// The text of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    pub(crate) fn insert(&mut self, name: String, text: String) {
        self.0.insert(name, text);
    }

    /// Makes a `T` of them, which has a field for each. A number or a truth value is read out of its text, and of an enum each
    /// variant is a name alone.
    ///
    /// # Errors
    /// [`ToolError::Arguments`]: a text is missing, or is none of what the field takes.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ToolError> {
        let fields = MapDeserializer::new(self.0.iter().map(|(name, text)| (name.as_str(), Text(text))));
        T::deserialize(fields)
            .map_err(|error: Error| ToolError::Arguments(vec![Fault::quoting("", &error.to_string())]))
    }
}

impl<N: Into<String>, T: Into<String>> FromIterator<(N, T)> for StringArguments {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, text)| (name.into(), text.into())).collect())
    }
}

/// One text, read as whatever is asked for.
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! read_out_of_the_text {
    ($($method:ident, $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                // The visitor says what it expects instead of a text.
                Err(_) => visitor.visit_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        IntoDeserializer::<Error>::into_deserializer(self.0).deserialize_enum(name, variants, visitor)
    }

    read_out_of_the_text! {
        deserialize_bool, visit_bool;
        deserialize_i8, visit_i8;
        deserialize_i16, visit_i16;
        deserialize_i32, visit_i32;
        deserialize_i64, visit_i64;
        deserialize_u8, visit_u8;
        deserialize_u16, visit_u16;
        deserialize_u32, visit_u32;
        deserialize_u64, visit_u64;
        deserialize_f32, visit_f32;
        deserialize_f64, visit_f64;
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Order {
        what: String,
        count: u8,
        fragile: Option<bool>,
        size: Option<Size>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
        Large,
    }

    fn parse(pairs: &[(&str, &str)]) -> Result<Order, String> {
        let texts: StringArguments = pairs.iter().copied().collect();
        texts.parse().map_err(|error: ToolError| error.to_string())
    }

    #[test]
    fn a_type_is_made_of_texts() {
        let lamp = Order { what: "lamp".to_owned(), count: 2, fragile: Some(true), size: Some(Size::Large) };
        assert_eq!(parse(&[("what", "lamp"), ("count", "2"), ("fragile", "true"), ("size", "large")]), Ok(lamp));
        let twelve = Order { what: "12".to_owned(), count: 1, fragile: None, size: None };
        assert_eq!(parse(&[("what", "12"), ("count", "1"), ("more", "x")]), Ok(twelve));
    }

    #[test]
    fn what_does_not_fit_says_why() {
        for (pairs, why) in [
            (&[("what", "lamp")][..], "missing field `count`"),
            (&[("what", "lamp"), ("count", "many")], "expected u8"),
            (&[("what", "lamp"), ("count", "256")], "expected u8"),
            (&[("what", "lamp"), ("count", "1"), ("size", "huge")], "unknown variant `huge`"),
        ] {
            let told = parse(pairs).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
