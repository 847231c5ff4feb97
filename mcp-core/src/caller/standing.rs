//! What a caller still has of what they had when they began something.

use std::iter::successors;

use super::Caller;
use super::desk::{CallerBooks, KEYS_PER_USER};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::api_keys::{ApiKey, KeyId};

/// Why nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fallen {
    #[error("whoever started the run is let in no more")]
    User,
    #[error("the key by which the run was started lets nobody in any more")]
    Key,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallerBooks {
    /// The caller without what was taken from them since: roles of the user, and what their key carries no more. Who is no user was let
    /// in by others, and has what they had then.
    pub(crate) async fn standing(&self, caller: &Caller, now: Timestamp) -> Result<Caller, Fallen> {
        let mut left = caller.clone();
        if let Some(user) = self.principals().user(caller.tenant(), caller.principal()).await? {
            if user.disabled {
                return Err(Fallen::User);
            }
            left = left.with_roles_of(&user.roles);
        }
        if let Some(id) = caller.key() {
            let key = self.key_in_force(caller, id, now).await?.ok_or(Fallen::Key)?;
            left = left.with_roles_of(&key.roles).with_scopes_of(&key.scopes);
        }
        Ok(left)
    }

    /// The key of that id as long as it lets in, and then the one that took over from it.
    async fn key_in_force(&self, of: &Caller, id: KeyId, now: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        let (tenant, principal) = (of.tenant(), Some(of.principal()));
        let before = id.as_u128().checked_sub(1).map(KeyId::from_u128);
        let found = self.api_keys().keys(tenant, principal, before, 1).await?.pop();
        let Some(key) = found.filter(|key| key.id == id) else { return Ok(None) };
        if !key.has_ended(now) {
            return Ok(Some(key));
        }
        let all = self.api_keys().keys(tenant, principal, None, 2 * KEYS_PER_USER).await?;
        let newer = successors(Some(&key), |old| all.iter().find(|key| key.takes_over_from(old)));
        Ok(newer.take(all.len() + 1).find(|key| !key.has_ended(now)).cloned())
    }
}
