//! The way in of a server that has one key, or none.

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Authenticate, Caller, Challenge, is_local, presented_key};
use crate::endpoint::head::Head;

/// Lets in whoever brings the key, and whoever calls from this machine without a proxy in between. Both are administrators of
/// the tenant `default`, and operators of the server, with all scopes.
#[derive(Clone, Debug)]
pub struct KeyOrLoopback {
    /// A hash, so that comparing takes the same time for keys of every length.
    key: Option<[u8; 32]>,
    loopback: bool,
    holder: Caller,
    local: Caller,
}

impl KeyOrLoopback {
    /// The name of whoever brings the key.
    pub(super) const HOLDER: &'static str = "admin";

    /// The name of whoever calls from this machine without it.
    pub(super) const LOCAL: &'static str = "local";

    /// Nobody but callers from this machine.
    pub fn loopback_only() -> Self {
        Self { key: None, loopback: true, holder: Caller::operator(Self::HOLDER), local: Caller::operator(Self::LOCAL) }
    }

    /// Whoever brings `key` as well.
    #[must_use]
    pub fn or_key(mut self, key: &str) -> Self {
        self.key = Some(Sha256::digest(key).into());
        self
    }

    /// Nobody without the key, not even from this machine: for a server that others can reach.
    #[must_use]
    pub fn everyone_needs_it(mut self) -> Self {
        self.loopback = false;
        self
    }
}

#[async_trait]
impl Authenticate for KeyOrLoopback {
    async fn authenticate(&self, head: &dyn Head) -> Result<Caller, Challenge> {
        match presented_key(head)? {
            Some(presented) => {
                let presented: [u8; 32] = Sha256::digest(presented).into();
                let known = self.key.is_some_and(|key| key.ct_eq(&presented).into());
                known.then(|| self.holder.clone()).ok_or(Challenge::Invalid)
            }
            None if self.loopback && is_local(head) => Ok(self.local.clone()),
            None if self.key.is_none() => {
                Err(Challenge::Missing("; the server has none yet: set API_KEY and start it again"))
            }
            None => Err(Challenge::Missing("")),
        }
    }
}
