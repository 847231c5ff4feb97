//! The keys of an issuer, as it publishes them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::public_key::{Jwk, PublicKey};

/// A JWK set (RFC 7517, section 5): the keys with which one issuer signs.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<PublicKey>);

#[derive(Deserialize)]
struct Published<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// How many keys a set may have.
    pub const MOST: usize = 100;

    /// Reads a set. Keys that are of no use here are passed over: those of other types, for encryption, or broken.
    ///
    /// # Errors
    /// [`BadKeySet`] where it is none, or too large.
    pub fn decode(json: &[u8]) -> Result<Self, BadKeySet> {
        let published: Published<'_> = serde_json::from_slice(json).map_err(BadKeySet::Json)?;
        if published.keys.len() > Self::MOST {
            return Err(BadKeySet::TooMany);
        }
        let keys = published.keys.iter().filter_map(|key| serde_json::from_str::<Jwk>(key.get()).ok()?.into_key());
        Ok(Self(keys.collect()))
    }

    /// The key of that id; without one, the only key that there is.
    pub fn find(&self, id: Option<&str>) -> Option<&PublicKey> {
        match (id, &*self.0) {
            (Some(id), keys) => keys.iter().find(|key| key.id() == Some(id)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// How many keys it has that can be used.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What should be a set of keys, and is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadKeySet {
    /// It is no JSON object with a list `keys`.
    #[error("it is no JWK set, which is an object with a list `keys`")]
    Json(#[source] serde_json::Error),
    /// It has more keys than [`KeySet::MOST`].
    #[error("it has more than {} keys", KeySet::MOST)]
    TooMany,
}
