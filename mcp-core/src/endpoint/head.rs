//! The head of a request, as a shell shows it.

use std::net::IpAddr;

/// What comes before the body of a request. A shell implements it over its own request, without copying.
pub trait Head: Send + Sync {
    /// The method, such as `POST`.
    fn verb(&self) -> &str;

    /// The header of that name, given in lower case.
    fn header(&self, name: &str) -> Header<'_>;

    /// All the values under that name, given in lower case, in their order: for headers to which several may have added.
    fn values(&self, name: &str) -> Vec<&[u8]>;

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
        match std::str::from_utf8(value.trim_ascii()) {
            Ok(text) if is_visible(value) => Self::One(text),
            _ => Self::Refused("it holds characters other than visible ASCII"),
        }
    }
}

/// Whether all bytes are visible ASCII, spaces and tabs. It looks at eight bytes at once.
fn is_visible(mut bytes: &[u8]) -> bool {
    /// A word of this byte alone.
    const fn word_of(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    let visible = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    while let Some((eight, rest)) = bytes.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // Subtracting sets the highest bit of each byte that is below 0x20, or 0x7f; by the carry it may set others as well, and a tab
        // is among them: then each is looked at.
        let control = word.wrapping_sub(word_of(0x20));
        let delete = (word ^ word_of(0x7f)).wrapping_sub(word_of(1));
        if (word | control | delete) & word_of(0x80) != 0 && !eight.iter().all(visible) {
            return false;
        }
        bytes = rest;
    }
    bytes.iter().all(visible)
}

#[cfg(test)]
mod tests {
    use super::is_visible;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_not_visible_is_found_wherever_it_is(
            bytes in proptest::collection::vec(prop_oneof![20 => b' '..=b'~', 1 => Just(b'\t'), 1 => any::<u8>()], 0..40),
        ) {
            let expected = bytes.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            prop_assert_eq!(is_visible(&bytes), expected);
        }
    }
}
