//! Writing JSON straight into a buffer.

use serde::Serialize;
use serde_json::{Map, Value};

/// Writes a value of which it is known that it becomes JSON; what does not is `null`.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// The members of an object; none, of what is something else.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Writes the members of an object, without its braces.
pub(crate) fn write_members(out: &mut Vec<u8>, object: &impl Serialize) {
    let json = serde_json::to_vec(object).unwrap_or_default();
    out.extend_from_slice(json.strip_prefix(b"{").and_then(|json| json.strip_suffix(b"}")).unwrap_or_default());
}

/// Writes `items`, each by `write`, as a list.
pub(crate) fn write_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Writes `text` as a JSON string, quotes and all. It gives what serde_json gives.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = find_special(rest) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The place of the first byte that stands in a JSON string for something else than itself, or not at all: a quote, a
/// backslash, a control character. It looks at eight bytes at once.
pub(crate) fn find_special(bytes: &[u8]) -> Option<usize> {
    /// A word of this byte alone.
    const fn word_of(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    let mut clean = 0;
    while let Some(word) = bytes[clean..].first_chunk() {
        let word = u64::from_le_bytes(*word);
        // Subtracting sets the highest bit of each byte that is below 0x20, or equal to the one looked for, unless that bit was
        // set before. By the carry it may set others as well, but only behind the first.
        let control = word.wrapping_sub(word_of(0x20));
        let quote = (word ^ word_of(b'"')).wrapping_sub(word_of(1));
        let backslash = (word ^ word_of(b'\\')).wrapping_sub(word_of(1));
        let found = (control | quote | backslash) & !word & word_of(0x80);
        if found != 0 {
            return Some(clean + found.trailing_zeros() as usize / 8);
        }
        clean += size_of_val(&word);
    }
    bytes[clean..].iter().position(|byte| is_special(*byte)).map(|at| clean + at)
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, ..0x20 | b'"' | b'\\')
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let digit = |nibble: u8| HEX[usize::from(nibble & 0xf)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::{find_special, is_special, write_string};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in r#"[\x00-\x7f"\\\n\u{80}-\u{10ffff}]{0,200}"#) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_vec(&text).unwrap());
        }

        #[test]
        fn the_first_special_byte_is_found_wherever_it_is(
            bytes in proptest::collection::vec(prop_oneof![20 => Just(b'x'), 20 => b'\x80'.., 1 => any::<u8>()], 0..100),
        ) {
            prop_assert_eq!(find_special(&bytes), bytes.iter().position(|byte| is_special(*byte)));
        }
    }
}
