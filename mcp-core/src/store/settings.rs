//! Small values that somebody set.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Keeps small values under names. Whoever changes one says which version they have seen, so that no change is lost between two
/// who make one at the same time.
///
/// # Promises
/// - **a stored value is loaded**: to the last byte, and with the version that storing it gave.
/// - **only what was seen is changed**: by whoever names its version; of several who do so at once, by one, and the others are
///   told. A version is never there again, also not under a name that was removed and stored anew.
/// - **what is removed is gone**: and may be removed again.
/// - **a list is in the order of names**: by their bytes; all that begin with the prefix and come after the given one, at most
///   `limit`.
/// - **keys are apart**: also those of two tenants, and those of the house.
/// - **a value is small**: one of more than [`LARGEST`] bytes is refused.
#[async_trait]
pub trait Settings: Send + Sync + 'static {
    /// What is under `key`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn load(&self, key: &Key) -> Result<Option<Setting>, StoreError>;

    /// Keeps `value` under `key` in the place of the one whose version is `seen`, or where there is none, and gives its version.
    ///
    /// Not cancel safe: a dropped future may or may not have stored.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: there is another version; nothing was changed. [`StoreError::Refused`]: the value is too large.
    /// [`StoreError::Unavailable`]: it may have been stored.
    async fn store(&self, key: &Key, value: Bytes, seen: Option<u64>) -> Result<u64, StoreError>;

    /// Removes the value whose version is `seen`. It may be gone already.
    ///
    /// Not cancel safe: a dropped future may or may not have removed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: there is another version, which stays. [`StoreError::Unavailable`]: it may have been removed.
    async fn remove(&self, key: &Key, seen: u64) -> Result<(), StoreError>;

    /// The settings whose names begin with that of `prefix`, each with its name: those that come after `after`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn list(&self, prefix: &Key, after: Option<&str>, limit: u16) -> Result<Vec<(String, Setting)>, StoreError>;
}

/// How many bytes a value has at the most.
pub const LARGEST: usize = 64 * 1024;

/// A value, as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What was stored.
    pub value: Bytes,
    /// Which of the values it is that were ever stored under this name. It tells no order.
    pub version: u64,
}

impl Setting {
    /// The value as JSON.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: it is of another version, or is something else.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        serde_json::from_slice(&self.value).map_err(refused)
    }
}

/// A value as JSON.
pub(crate) fn written(value: &impl Serialize) -> Result<Bytes, StoreError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(refused)
}

fn refused(error: serde_json::Error) -> StoreError {
    StoreError::Refused { store: "settings", source: Some(Arc::new(error)) }
}

/// Which setting.
pub use super::key::Key;
