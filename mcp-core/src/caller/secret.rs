//! The secrets of API keys: how they look, and what is kept of them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::seal::subkey;
use crate::store::api_keys::KeyHash;

/// The secret of an API key: [`KeySecret::PREFIX`], by which those who scan for secrets know it, and 32 random bytes in base64 (RFC
/// 4648, section 5). It is shown to whoever made the key, once; nothing but a hash of it is kept.
///
/// It has no checksum: one that was mistyped has the right length at the most, and costs one look into the store.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(Zeroizing<String>);

impl KeySecret {
    /// What each of them begins with.
    pub const PREFIX: &'static str = "mcp_";

    /// A new one.
    pub(super) fn draw() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| NoRandomness)?;
        let mut text = Zeroizing::new(String::with_capacity(Self::PREFIX.len() + 43));
        text.push_str(Self::PREFIX);
        URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
        Ok(Self(text))
    }

    /// The text, to be shown to whoever made the key.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text may be one at all.
    pub(super) fn is_like(text: &str) -> bool {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        text.strip_prefix(Self::PREFIX).is_some_and(|rest| rest.len() == 43 && rest.bytes().all(is_base64))
    }
}

impl fmt::Debug for KeySecret {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

/// The system has no randomness to make a secret of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness to make a secret of")]
pub struct NoRandomness;

/// Hashes secrets by HMAC-SHA256 under keys of the server, so that whoever reads the store cannot try out secrets, and nobody who
/// sends one knows what it is compared with: how long a comparison takes tells nothing.
pub(super) struct KeyHasher(Vec<Hmac<Sha256>>);

impl KeyHasher {
    /// By subkeys of these keys, the newest first.
    pub(super) fn new(keys: &[[u8; 32]]) -> Self {
        let keyed = |key| {
            let mut block = [0; 64];
            block[..32].copy_from_slice(&subkey(key, b"hashes of API keys"));
            <Hmac<Sha256> as hmac::KeyInit>::new(&block.into())
        };
        Self(keys.iter().map(keyed).collect())
    }

    /// The hash under each of the keys, the newest first: the first is kept, all of them are looked for.
    pub(super) fn hashes(&self, secret: &str) -> impl Iterator<Item = KeyHash> {
        self.0.iter().map(move |keyed| {
            let mut mac = keyed.clone();
            mac.update(secret.as_bytes());
            KeyHash(mac.finalize().into_bytes().into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_another_and_looks_like_one() {
        let (one, other) = (KeySecret::draw().unwrap(), KeySecret::draw().unwrap());
        assert_ne!(one, other);
        assert!(KeySecret::is_like(one.expose()), "{}", one.expose());
        assert_eq!(format!("{one:?}"), "KeySecret(…)");
        let text = one.expose();
        for bad in [&text[1..], &text[..46], &format!("{text}A"), &text.replace("mcp_", "MCP_"), "mcp_", "", "key"] {
            assert!(!KeySecret::is_like(bad), "{bad}");
        }
        assert!(!KeySecret::is_like(&format!("{}=", &text[..46])));
    }

    #[test]
    fn a_hash_is_another_under_another_key_and_is_not_that_of_the_secret_alone() {
        let hasher = KeyHasher::new(&[[2; 32], [1; 32]]);
        let hashes: Vec<_> = hasher.hashes("mcp_a").collect();
        assert_ne!(hashes[0], hashes[1]);
        assert_eq!(KeyHasher::new(&[[1; 32]]).hashes("mcp_a").next(), Some(hashes[1]));
        assert_ne!(hasher.hashes("mcp_b").next(), Some(hashes[0]));
    }
}
