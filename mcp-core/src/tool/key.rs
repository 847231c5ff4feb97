//! Under what a client sends a call again.

use std::fmt;
use std::str::FromStr;

use crate::endpoint::head::Header;

/// What a client makes up for a call, so that it can send the call again: 1 to 255 visible characters of ASCII, such as a UUID. It is
/// the caller's own, and for one tool. In MCP it is the member [`IdempotencyKey::META`] of `_meta`, and over HTTP as well the header
/// [`IdempotencyKey::HEADER`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The member of a request's `_meta`.
    pub const META: &'static str = "io.github.mcp-embed/idempotencyKey";
    /// The member of a result's `_meta` that is `true` where the result is that of an earlier call.
    pub const REPLAYED_META: &'static str = "io.github.mcp-embed/replayed";
    /// The header of a request, in lower case.
    pub const HEADER: &'static str = "idempotency-key";
    /// The header of a response of REST that is `true` where it is that of an earlier call, in lower case.
    pub const REPLAYED_HEADER: &'static str = "idempotency-replayed";

    /// Reads the header of a request.
    ///
    /// # Errors
    /// [`BadKey`], where there is one that is none, or more than one.
    pub fn from_header(header: Header<'_>) -> Result<Option<Self>, BadKey> {
        match header {
            Header::Absent => Ok(None),
            Header::One(text) => text.parse().map(Some),
            Header::Refused(_) => Err(BadKey),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let sound = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(Self(text.to_owned())) } else { Err(BadKey) }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 255 visible characters of ASCII, and is given once; a UUID is a good one")]
pub struct BadKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_not_too_long() {
        for sound in ["k", "550e8400-e29b-41d4-a716-446655440000", "!~\"\\", &"k".repeat(255)] {
            assert_eq!(sound.parse::<IdempotencyKey>().unwrap().as_str(), sound);
        }
        for bad in ["", " ", "a key", "k\n", "é", "k\u{7f}", &"k".repeat(256)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(BadKey), "{bad:?}");
        }
    }
}
