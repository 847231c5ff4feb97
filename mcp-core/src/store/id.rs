//! Ids that are made before the rows.

use std::fmt;

use crate::clock::Timestamp;

/// A kind of id, and the error of a text that is none.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bad:ident, $of:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The id with these 128 bits.
            pub const fn from_u128(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits of the id.
            pub const fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::store::id::show(self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::store::id::show(self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $bad;

            fn from_str(text: &str) -> Result<Self, $bad> {
                $crate::store::id::read(text).map(Self).ok_or($bad)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        #[doc = concat!("A text that is no id of ", $of, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("expected the id of {}, such as 0198c0de-0000-7000-8000-000000000001", $of)]
        pub struct $bad;
    };
}
pub(crate) use id;

/// A UUID of version 7 (RFC 9562, section 5.7) out of its parts: milliseconds since 1970, 12 bits, and 62 bits.
pub(crate) fn version_7(millis: u64, high: u64, low: u64) -> u128 {
    const VERSION: u128 = 7;
    const VARIANT: u128 = 0b10;
    let bits = |value: u64, count: u32| u128::from(value) & ((1 << count) - 1);
    bits(millis, 48) << 80 | VERSION << 76 | bits(high, 12) << 64 | VARIANT << 62 | bits(low, 62)
}

/// The id of what belongs to another thing under a name: the same each time, and next to it in order.
pub(crate) fn derived(id: u128, name: &[u8]) -> u128 {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::new().chain_update(id.to_be_bytes()).chain_update(name).finalize().into();
    let [high, low] =
        [&digest[..8], &digest[8..16]].map(|bytes| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    version_7((id >> 80) as u64, high, low)
}

/// The milliseconds since 1970 of a moment, as an id holds them: none is before that.
pub(crate) fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros() / 1_000).unwrap_or(0)
}

/// Shows an id in the usual way.
pub(super) fn show(id: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mask = |bits: u32| (1_u128 << bits) - 1;
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        id >> 80 & mask(16),
        id >> 64 & mask(16),
        id >> 48 & mask(16),
        id & mask(48)
    )
}

/// Reads what [`show`] shows.
pub(super) fn read(text: &str) -> Option<u128> {
    let groups = [8, 4, 4, 4, 12];
    let parts = text.split('-').collect::<Vec<_>>();
    let sound = parts.len() == groups.len()
        && parts.iter().zip(groups).all(|(part, len)| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit()));
    sound.then(|| u128::from_str_radix(&parts.concat(), 16).ok()).flatten()
}
