//! Where the keys of issuers come from.

use std::sync::Arc;

use async_trait::async_trait;

use super::public_key::PublicKey;

/// Knows the keys with which issuers sign.
///
/// # Promises
/// - **keys stay with their issuer**: what is found is a key of that issuer, and of no other.
/// - **asking costs nothing**: tokens that name keys at random make it do no more than those that name one key.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The key of that issuer which has that id, or, without an id, its only one. None, where the issuer has no such key.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`KeysUnavailable`] where it is not known whether the issuer has it.
    async fn key(&self, issuer: &str, id: Option<&str>) -> Result<Option<PublicKey>, KeysUnavailable>;
}

#[async_trait]
impl<T: KeySource + ?Sized> KeySource for Arc<T> {
    async fn key(&self, issuer: &str, id: Option<&str>) -> Result<Option<PublicKey>, KeysUnavailable> {
        (**self).key(issuer, id).await
    }
}

/// The keys of an issuer cannot be had at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of the issuer cannot be had at this moment")]
pub struct KeysUnavailable;
