//! One key under which content is sealed.

use mcp_core::caller::Tenant;
use mcp_core::store::StoreError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;

use super::pieces::BlobKey;
use super::{MARK, Place, Problem, SEALED, refused};
use crate::sql::keys::{HouseKey, random};
use mcp_core::store::hex::hex;

/// A key of the house for content. It seals nothing itself: of it and a salt that is drawn for each value a key is made for that value
/// alone. So no nonce is ever used twice under a key, however many values there are.
pub(super) struct ContentKey {
    id: KeyId,
    key: hmac::Key,
}

pub(super) type KeyId = [u8; ID];

/// How many bytes the id of a key has.
pub(super) const ID: usize = 8;
/// How many bytes a salt has.
pub(super) const SALT: usize = 24;
/// How many bytes tell that nothing was altered.
pub(super) const TAG: usize = 16;
/// Where what was sealed begins.
const HEAD: usize = 2 + ID + SALT;
/// What is known without opening: the mark, the format and the key.
const KNOWN: usize = 2 + ID;

impl From<&HouseKey> for ContentKey {
    fn from(key: &HouseKey) -> Self {
        Self { id: id_of(key.id()).unwrap_or_default(), key: hmac::Key::new(hmac::HMAC_SHA256, key.bytes()) }
    }
}

impl ContentKey {
    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// Its id as text.
    pub(super) fn name(&self) -> String {
        name_of(self.id)
    }

    /// A value as it is stored.
    pub(super) fn seal(&self, place: &Place, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let salt: [u8; SALT] = random().ok_or_else(|| refused(Problem::Randomness))?;
        let mut sealed = Vec::with_capacity(HEAD + bytes.len() + TAG);
        sealed.extend_from_slice(&[MARK, SEALED]);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(bytes);
        let aad = Aad::from([&sealed[..KNOWN], place.bytes()].concat());
        let key = self.of_value(&salt).ok_or_else(|| refused(Problem::Altered))?;
        let tag = key.seal_in_place_separate_tag(nonce(), aad, &mut sealed[HEAD..]);
        sealed.extend_from_slice(tag.map_err(|_| refused(Problem::Altered))?.as_ref());
        Ok(sealed)
    }

    /// The value that was sealed so, at this place.
    pub(super) fn open(&self, place: &Place, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let salt: [u8; SALT] = *sealed.get(KNOWN..)?.first_chunk()?;
        let aad = Aad::from([sealed.get(..KNOWN)?, place.bytes()].concat());
        let size = self.of_value(&salt)?.open_in_place(nonce(), aad, sealed.get_mut(HEAD..)?).ok()?.len();
        sealed.truncate(HEAD + size);
        sealed.drain(..HEAD);
        Some(sealed)
    }

    /// The key of one value.
    fn of_value(&self, salt: &[u8; SALT]) -> Option<LessSafeKey> {
        aead(&self.key, &[b"value", salt])
    }

    /// The key of one blob. Its name is used once, and so is this.
    pub(super) fn of_blob(&self, tenant: &Tenant, blob: &str) -> BlobKey {
        let tenant = tenant.as_str();
        let length = (tenant.len() as u64).to_be_bytes();
        BlobKey::new(aead(&self.key, &[b"blob ", &length, tenant.as_bytes(), blob.as_bytes()]))
    }
}

/// Each key seals one value.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn aead(key: &hmac::Key, parts: &[&[u8]]) -> Option<LessSafeKey> {
    let mut made = hmac::Context::with_key(key);
    for part in parts {
        made.update(part);
    }
    UnboundKey::new(&AES_256_GCM, made.sign().as_ref()).ok().map(LessSafeKey::new)
}

/// The id that is written so.
pub(super) fn id_of(name: &str) -> Option<KeyId> {
    let digits = (0..ID).map(|at| name.get(at * 2..at * 2 + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
    let id: Vec<u8> = digits.collect::<Option<_>>()?;
    (name.len() == ID * 2).then_some(id)?.try_into().ok()
}

/// An id as text.
pub(super) fn name_of(id: KeyId) -> String {
    hex(&id)
}
