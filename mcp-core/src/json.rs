//! Writing JSON straight into a buffer.

/// Writes `text` as a JSON string, quotes and all. It gives what serde_json gives, and copies what needs no escape in blocks.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes.get(at..at + BLOCK) {
            Some(block) if !block.iter().fold(false, |any, byte| any | needs_escape(*byte)) => at += BLOCK,
            _ => {
                let end = bytes.len().min(at + BLOCK);
                for place in at..end {
                    if needs_escape(bytes[place]) {
                        out.extend_from_slice(&bytes[done..place]);
                        escape(out, bytes[place]);
                        done = place + 1;
                    }
                }
                at = end;
            }
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Long enough for the compiler to look at many bytes at once.
const BLOCK: usize = 32;

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
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
    use super::write_string;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in r#"[\x00-\x7f"\\\n\u{80}-\u{10ffff}]{0,200}"#) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_vec(&text).unwrap());
        }
    }
}
