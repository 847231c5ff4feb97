//! What callers keep, sealed.
//!
//! A value is sealed on its way into its column, and opened on its way out; what stands in the column tells which it is: sealed
//! values begin with a mark, and so do those plain ones, after which something else stands, that happen to begin with it. So plain rows
//! and rows under several keys live together, and no other column knows of it.

mod batch;
mod key;
mod pieces;
mod place;
pub(crate) mod renewal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mcp_core::caller::Tenant;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::ByteStream;
use ring::hmac;

use super::Database;
use super::keys::{HouseKey, subkey};
use super::text::{shown, stored};
use crate::error::OpenError;
pub(super) use batch::SealedBatch;
use key::{ContentKey, ID, KeyId};
pub(super) use pieces::{plain_size, sealed_size};
pub(crate) use place::Place;

/// Seals and opens what callers keep. Cheap to clone; by default it knows no key, and seals nothing.
#[derive(Clone, Default)]
pub(crate) struct Content(Option<Arc<Inner>>);

struct Inner {
    database: Database,
    secrets: Vec<[u8; 32]>,
    /// All that are known to be in the database.
    keys: RwLock<Vec<Arc<ContentKey>>>,
    /// The one that seals; nothing, where content is kept as it comes.
    seals: Option<Arc<ContentKey>>,
    /// Whether the words of what is sealed are kept for searches.
    indexes: bool,
    /// Digests of what is sealed are under this key: without it, short texts would be found out by trying.
    digests: hmac::Key,
}

/// What a value begins with that is sealed, or that needs to be told from one. No text in UTF-8 has this byte.
const MARK: u8 = 0xff;
/// Behind the mark: what follows is plain.
const PLAIN: u8 = 0;
/// Behind the mark: what follows is the id of a key, a salt and what AES-256-GCM made of the value, under a key made of both.
const SEALED: u8 = 1;
/// What a text begins with that is sealed: no plain one is [stored] so. What was sealed follows in base64.
const SEALED_TEXT: &str = "\u{1}s";

/// How many bytes more a sealed value has.
pub(crate) const OVERHEAD: usize = 2 + ID + key::SALT + key::TAG;

impl Content {
    /// That of a database: it opens what was sealed there, and seals where `seals` says so.
    ///
    /// # Errors
    /// [`OpenError::Sealed`] where none of the secrets opens a key of the content that is there; [`OpenError::Key`] where there are no
    /// secrets under which to seal.
    pub(crate) async fn load(
        database: &Database,
        secrets: &[[u8; 32]],
        audit: Option<&HouseKey>,
        (seals, indexes): (bool, bool),
    ) -> Result<Self, OpenError> {
        let seals = match seals {
            true => Some(Arc::new(ContentKey::from(&HouseKey::of_content(database, secrets).await?))),
            false => None,
        };
        let keys = HouseKey::all_of_content(database, secrets, true).await?;
        Ok(Self::new(database, secrets, audit, keys, seals, indexes))
    }

    /// For whoever only reads: no key is made or sealed anew.
    ///
    /// # Errors
    /// As [`Content::load`].
    pub(crate) async fn existing(
        database: &Database,
        secrets: &[[u8; 32]],
        audit: Option<&HouseKey>,
    ) -> Result<Self, OpenError> {
        let keys = HouseKey::all_of_content(database, secrets, false).await?;
        Ok(Self::new(database, secrets, audit, keys, None, false))
    }

    fn new(
        database: &Database,
        secrets: &[[u8; 32]],
        audit: Option<&HouseKey>,
        keys: Vec<HouseKey>,
        seals: Option<Arc<ContentKey>>,
        indexes: bool,
    ) -> Self {
        // Where there are no secrets, nothing can have been sealed.
        let Some(audit) = audit else { return Self::default() };
        let digests = hmac::Key::new(hmac::HMAC_SHA256, &subkey(audit.bytes(), "digests of sealed content"));
        let keys = RwLock::new(keys.iter().map(ContentKey::from).map(Arc::new).collect());
        let (database, secrets) = (database.clone(), secrets.to_vec());
        Self(Some(Arc::new(Inner { database, secrets, keys, seals, indexes, digests })))
    }

    /// Whether bytes that are stored have to be opened.
    pub(crate) fn is_marked(stored: &[u8]) -> bool {
        stored.first() == Some(&MARK)
    }

    fn sealing(&self) -> Option<&Arc<ContentKey>> {
        self.0.as_ref()?.seals.as_ref()
    }

    /// Whether what is written from now on is sealed.
    pub(crate) fn seals(&self) -> bool {
        self.sealing().is_some()
    }

    /// Whether the words of what is written are kept for searches.
    pub(crate) fn indexes(&self) -> bool {
        !self.seals() || self.0.as_ref().is_some_and(|inner| inner.indexes)
    }

    /// What is stored for `bytes`. What is empty stays empty.
    pub(crate) fn seal<'b>(&self, place: impl FnOnce() -> Place, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, StoreError> {
        match self.sealing() {
            Some(key) if !bytes.is_empty() => key.seal(&place(), bytes).map(Cow::Owned),
            _ if bytes.first() == Some(&MARK) => Ok(Cow::Owned([&[MARK, PLAIN], bytes].concat())),
            _ => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// The bytes that are stored as `bytes`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where they were sealed for another place, or under a key that is not there, or were altered.
    pub(crate) async fn open(&self, place: impl FnOnce() -> Place, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        match bytes[..] {
            [MARK, PLAIN, MARK, ..] => Ok(bytes[2..].to_vec()),
            [MARK, SEALED, ..] => self.unseal(place(), bytes).await,
            [MARK, ..] => Err(refused(Problem::Format)),
            _ => Ok(bytes),
        }
    }

    async fn unseal(&self, place: Place, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let id = *bytes[2..].first_chunk().ok_or_else(|| refused(Problem::Altered))?;
        self.key(id).await?.open(&place, bytes).ok_or_else(|| refused(Problem::Altered))
    }

    /// What is stored for a text.
    pub(crate) fn seal_text(&self, place: impl FnOnce() -> Place, text: &str) -> Result<String, StoreError> {
        match self.sealing() {
            Some(key) if !text.is_empty() => {
                let sealed = key.seal(&place(), text.as_bytes())?;
                Ok(format!("{SEALED_TEXT}{}", STANDARD_NO_PAD.encode(&sealed[2..])))
            }
            _ => Ok(stored(text).into_owned()),
        }
    }

    /// The text that is stored as `text`.
    ///
    /// # Errors
    /// As [`Content::open`].
    pub(crate) async fn open_text(&self, place: impl FnOnce() -> Place, text: String) -> Result<String, StoreError> {
        let Some(sealed) = text.strip_prefix(SEALED_TEXT) else { return Ok(shown(text)) };
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| refused(Problem::Altered))?;
        let opened = self.unseal(place(), [&[MARK, SEALED][..], &sealed].concat()).await?;
        String::from_utf8(opened).map_err(|_| refused(Problem::Altered))
    }

    /// Which key seals now, if one does.
    fn sealing_name(&self) -> Option<String> {
        self.sealing().map(|key| key.name())
    }

    /// Which key seals blobs now, and bytes of `tenant` as they are in a blob that has this name: nothing, where they are as they come.
    pub(super) fn seal_blob(&self, tenant: &Tenant, blob: &str, bytes: ByteStream) -> (Option<String>, ByteStream) {
        match self.sealing() {
            Some(key) => (Some(key.name()), pieces::sealed(key.of_blob(tenant, blob), bytes)),
            None => (None, bytes),
        }
    }

    /// What opens the blob of this name, which was sealed under the key `name`.
    ///
    /// # Errors
    /// As [`Content::open`].
    pub(super) async fn opening_blob(
        &self,
        tenant: &Tenant,
        blob: &str,
        name: &str,
    ) -> Result<pieces::BlobKey, StoreError> {
        let id = key::id_of(name).ok_or_else(|| refused(Problem::Altered))?;
        Ok(self.key(id).await?.of_blob(tenant, blob))
    }

    /// A digest of what is sealed, which tells nothing to who does not have the keys. Nothing, where content is kept as it comes.
    pub(crate) fn digest(&self, of: Digested, bytes: &[u8]) -> Option<[u8; 32]> {
        self.sealing()?;
        self.any_digest(of, bytes)
    }

    /// The same, also where content is kept as it comes. Nothing, where there is no key.
    pub(super) fn any_digest(&self, of: Digested, bytes: &[u8]) -> Option<[u8; 32]> {
        let mut digest = hmac::Context::with_key(&self.0.as_ref()?.digests);
        let of = of.as_str();
        digest.update(&(of.len() as u64).to_be_bytes());
        digest.update(of.as_bytes());
        digest.update(bytes);
        digest.sign().as_ref().try_into().ok()
    }

    /// Whether a link holds the digest of a record: of one that was sealed when it was written, or of a plain one.
    pub(super) fn is_linked(&self, linked: [u8; 32], record: [u8; 32]) -> bool {
        linked == record || self.any_digest(Digested::Record, &record) == Some(linked)
    }

    /// Whether it is stored as it would be today.
    fn is_current(&self, stored: &[u8]) -> bool {
        match (self.sealing(), stored) {
            (_, []) => true,
            (Some(key), [MARK, SEALED, rest @ ..]) => rest.starts_with(&key.id()),
            (None, stored) => !stored.starts_with(&[MARK, SEALED]),
            _ => false,
        }
    }

    /// Whether it is stored as it would be today.
    fn is_current_text(&self, stored: &str) -> bool {
        match (self.sealing(), stored.strip_prefix(SEALED_TEXT)) {
            (_, None) if stored.is_empty() => true,
            (Some(key), Some(sealed)) => {
                STANDARD_NO_PAD.decode(sealed).is_ok_and(|sealed| sealed.starts_with(&key.id()))
            }
            (None, None) => true,
            _ => false,
        }
    }

    /// The key of that id. Another replica may have made it meanwhile.
    async fn key(&self, id: KeyId) -> Result<Arc<ContentKey>, StoreError> {
        let Some(inner) = &self.0 else { return Err(refused(Problem::NoKey(key::name_of(id)))) };
        if let Some(key) = inner.known(id) {
            return Ok(key);
        }
        let keys = HouseKey::all_of_content(&inner.database, &inner.secrets, false).await;
        let keys = keys.map_err(|error| refused(Problem::Unopened(error.to_string())))?;
        *inner.keys.write().unwrap_or_else(PoisonError::into_inner) =
            keys.iter().map(ContentKey::from).map(Arc::new).collect();
        inner.known(id).ok_or_else(|| refused(Problem::NoKey(key::name_of(id))))
    }
}

impl Inner {
    fn known(&self, id: KeyId) -> Option<Arc<ContentKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().chain(&self.seals).find(|key| key.id() == id).cloned()
    }
}

/// Of what there are digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digested {
    /// A record, as its link holds it.
    Record,
    /// The arguments of a call with a key.
    Arguments,
    /// The name of a cached value.
    Name,
}

impl Digested {
    fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Arguments => "arguments",
            Self::Name => "name",
        }
    }
}

const STORE: &str = "sealed content";

/// Why what is sealed cannot be opened, or not be sealed.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it was sealed for another place, or was altered: restore it from a backup")]
    Altered,
    #[error("a newer version has written it: start that version")]
    Format,
    #[error("it was sealed under the key {0}, which is not in the database: restore it from a backup")]
    NoKey(String),
    #[error("{0}")]
    Unopened(String),
    #[error("the system has no randomness")]
    Randomness,
}

fn refused(problem: Problem) -> StoreError {
    StoreError::Refused { store: STORE, source: Some(Arc::new(problem)) }
}
