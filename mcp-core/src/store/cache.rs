//! Results that may be used again for a while.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::caller::Tenant;

/// Keeps values for a while. It may lose any of them at any time; it never shows a wrong one.
///
/// What must no longer be used is not hunted down. A reader asks for the version of a tag **before** it looks at the data, and
/// makes the version part of its key; whoever changes the data invalidates the tag, and older keys are never asked for again.
/// A value that was computed from old data, and stored after the change, is thereby harmless.
///
/// # Promises
/// - **a stored value is loaded**: until its lifetime is over, and not after.
/// - **an invalidated tag has a version that it never had**: so does one that the cache forgot.
/// - **a version stays until it is invalidated**: or forgotten for want of room.
/// - **tenants are apart**: equal keys and tags of two tenants have nothing to do with each other.
/// - **the cache is bounded**: however much is stored.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// The value under `key`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; a caller goes on as if nothing were cached.
    async fn load(&self, tenant: &Tenant, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Keeps `value` under `key` for at most `lifetime`.
    ///
    /// Cancel safe: a dropped future has stored the whole value or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; nothing was stored.
    async fn store(&self, tenant: &Tenant, key: &str, value: Bytes, lifetime: Duration) -> Result<(), StoreError>;

    /// The version of `tag` at this moment.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; a caller must then neither load nor store under the tag.
    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError>;

    /// Gives `tag` a new version. When it returns, this process sees the new version.
    ///
    /// Not cancel safe: a dropped future may not have invalidated.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; other processes may see the old version for a while.
    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError>;
}
