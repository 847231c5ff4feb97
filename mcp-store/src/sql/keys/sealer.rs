//! What seals the house's keys.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use super::random;
use mcp_core::store::hex::hex;

/// A secret key, as far as it seals keys of the house.
pub(super) struct Sealer {
    id: String,
    key: [u8; 32],
}

impl Sealer {
    pub(super) fn of(secret: &[u8; 32]) -> Self {
        let id = hex(&subkey(secret, "the id of a secret key")[..6]);
        Self { id, key: subkey(secret, "keys of the house") }
    }

    /// Tells which secret key it is, and nothing of it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Seals a key, so that it opens with `bound` alone. Nothing, where the system has no randomness.
    pub(super) fn seal(&self, bound: &str, key: &[u8; 32]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut text = key.to_vec();
        let aad = Aad::from(bound.as_bytes());
        self.aead()?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).ok()?;
        Some([&nonce[..], &text].concat())
    }

    /// The key that was sealed so; nothing, where it was not.
    pub(super) fn open(&self, bound: &str, sealed: &[u8]) -> Option<[u8; 32]> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let aad = Aad::from(bound.as_bytes());
        let opened = self.aead()?.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text).ok()?;
        (&*opened).try_into().ok()
    }

    fn aead(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.key).ok().map(LessSafeKey::new)
    }
}

/// A key for one purpose, made of another one (HKDF-SHA256, RFC 5869).
pub(in crate::sql) fn subkey(key: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut subkey = [0; 32];
    // 32 bytes are far below the 8160 at which this fails.
    let info = [purpose.as_bytes()];
    let made =
        Salt::new(HKDF_SHA256, &[]).extract(key).expand(&info, HKDF_SHA256).and_then(|made| made.fill(&mut subkey));
    debug_assert!(made.is_ok());
    subkey
}
