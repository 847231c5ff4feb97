//! Lines, whichever way they end.

use mcp_core::ModelError;

use super::{LARGEST, too_large};

/// Holds what has no end yet.
#[derive(Default)]
pub(crate) struct Lines {
    held: Vec<u8>,
    /// Whether the last byte was a carriage return, which ends a line with or without what follows.
    after_return: bool,
    is_begun: bool,
}

impl Lines {
    /// Gives each line that is whole by now, without its end.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut give: impl FnMut(&[u8]) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = after;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                if self.held.len() + rest.len() > LARGEST {
                    return Err(too_large());
                }
                self.held.extend_from_slice(rest);
                break;
            };
            self.after_return = rest[end] == b'\r';
            if self.held.len() + end > LARGEST {
                return Err(too_large());
            }
            self.held.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.held);
            // The mark that may stand before everything else.
            let begin =
                if std::mem::replace(&mut self.is_begun, true) { None } else { line.strip_prefix(b"\xef\xbb\xbf") };
            give(begin.unwrap_or(&line))?;
        }
        Ok(())
    }
}
