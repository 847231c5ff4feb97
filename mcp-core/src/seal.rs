//! Sealing what leaves the server and comes back.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Seals by the first of its keys, and opens by all of them (XChaCha20-Poly1305, whose nonces are long enough to be drawn at random).
pub(crate) struct Seal(Vec<XChaCha20Poly1305>);

/// What a sealed text begins with: its format.
const FORMAT: u8 = 1;
const NONCE: usize = 24;

impl Seal {
    /// A seal by subkeys of these keys, the newest first.
    pub(crate) fn new(keys: &[[u8; 32]]) -> Self {
        Self(keys.iter().map(|key| XChaCha20Poly1305::new(&subkey(key, b"sealed state of requests").into())).collect())
    }

    /// Seals a text, so that it opens with `bound` alone.
    pub(crate) fn seal(&self, bound: &[u8], text: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| format!("the system has no randomness: {error}"))?;
        let payload = Payload { msg: &text, aad: bound };
        let cipher = self.0.first().ok_or("there is no key")?;
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| "the text is too long to be sealed")?;
        Ok([&[FORMAT][..], &nonce, &sealed].concat())
    }

    /// The text that was sealed so; nothing, where it was not.
    pub(crate) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (format, sealed) = sealed.split_first()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let open = |cipher: &XChaCha20Poly1305| {
            cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound }).ok()
        };
        if *format == FORMAT { self.0.iter().find_map(open) } else { None }
    }
}

/// A key that this process alone has.
pub(crate) fn own_key() -> [[u8; 32]; 1] {
    let mut key = [0; 32];
    // Without randomness the key is none; then nothing is sealed and no secret is made either, since both draw more of it.
    let _ = getrandom::fill(&mut key);
    [key]
}

/// A key for this purpose, made of another one (HKDF-Expand of one block, RFC 5869, section 2.3).
pub(crate) fn subkey(key: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new(&block.into());
    mac.update(purpose);
    mac.update(b"\x01");
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_what_it_was_bound_to() {
        let seal = Seal::new(&[[1; 32]]);
        let sealed = seal.seal(b"one", b"text".to_vec()).unwrap();
        assert_eq!(seal.open(b"one", &sealed).as_deref(), Some(&b"text"[..]));
        assert_eq!(seal.open(b"other", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(b"one", &changed), None, "byte {at}");
            assert_eq!(seal.open(b"one", &sealed[..at]), None, "up to {at}");
        }
        assert_ne!(seal.seal(b"one", b"text".to_vec()).unwrap(), sealed);
    }

    #[test]
    fn an_older_key_opens_and_another_does_not() {
        let sealed = Seal::new(&[[1; 32]]).seal(b"", b"text".to_vec()).unwrap();
        assert!(Seal::new(&[[2; 32], [1; 32]]).open(b"", &sealed).is_some());
        assert!(Seal::new(&[[2; 32]]).open(b"", &sealed).is_none());
        assert!(Seal::new(&own_key()).open(b"", &sealed).is_none());
    }
}
