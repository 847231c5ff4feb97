//! The head of a request, as a shell shows it.

use std::net::IpAddr;

/// What comes before the body of a request. A shell implements it over its own request, without copying.
pub trait Head: Send + Sync {
    /// The method, such as `POST`.
    fn verb(&self) -> &str;

    /// The header of that name, given in lower case.
    fn header(&self, name: &str) -> Header<'_>;

    /// Whether the name of any header passes `test`.
    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool;

    /// The address at the other end of the connection.
    fn peer(&self) -> Option<IpAddr>;
}

/// A header that must be there once, if at all: two would let two readers each see another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// There is none.
    Absent,
    /// There is one, of visible ASCII, spaces and tabs.
    One(&'a str),
    /// What is there must not be used, for this reason.
    Refused(&'static str),
}

impl<'a> Header<'a> {
    /// Reads all the values that a request has under one name.
    pub fn from_values(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        let Some(value) = values.next() else { return Self::Absent };
        if values.next().is_some() {
            return Self::Refused("it is there more than once");
        }
        let visible = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
        match std::str::from_utf8(value.trim_ascii()) {
            Ok(text) if value.iter().all(visible) => Self::One(text),
            _ => Self::Refused("it holds characters other than visible ASCII"),
        }
    }
}
