//! With what somebody may call: the API keys of users.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::id::id;
use super::principals::User;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Keeps the API keys of users: not their secrets, but a keyed hash of each. Which of them let somebody in is
/// [`KeyHolder::is_let_in`].
///
/// Whoever gets a new key in the place of an old one has both for a while: the old one is revoked from some later moment on.
///
/// # Promises
/// - **a created key is found by its hash**: whatever its tenant, to the last byte, with its user as they are now.
/// - **a key belongs to a user**: that of nobody is refused, and when its user is removed it is gone.
/// - **the same key twice is one key**: a creation whose answer was lost can be made again. What is there stays as it is; another
///   key under its id, or another with its hash, is a conflict.
/// - **a key is revoked for good**: from the moment that is named, or from an earlier one that was named before; its user's other
///   keys stay.
/// - **use is noted by the minute**: a moment is noted if it is a minute or more after the one that was noted last.
/// - **keys are listed in the order of their ids**: all of a tenant or of one user that come after the given one, at most `limit`.
/// - **a removed key is gone**: and its user's others stay.
/// - **tenants are apart**: no key of another tenant is listed, revoked, noted as used or removed.
#[async_trait]
pub trait ApiKeys: Send + Sync + 'static {
    /// Adds a key.
    ///
    /// Not cancel safe: a dropped future may or may not have added it.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: there is no such user, or it cannot be stored. [`StoreError::Conflict`]: the id or the hash is another
    /// key's. [`StoreError::Unavailable`]: it may have been added.
    async fn create(&self, tenant: &Tenant, key: &ApiKey) -> Result<(), StoreError>;

    /// The key whose secret has this hash, and whose it is. It looks among all tenants: this is how the tenant of a caller is found.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached, which says nothing of whether there is such a key;
    /// [`StoreError::Refused`] when it holds what this version cannot read.
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyHolder>, StoreError>;

    /// The keys of a tenant, or of one of its users, after `after`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`ApiKeys::find`].
    async fn keys(
        &self,
        tenant: &Tenant,
        principal: Option<&Principal>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Lets nobody in by a key from `at` on, which may be later than now. It tells whether there is such a key.
    ///
    /// Not cancel safe: a dropped future may or may not have revoked it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been revoked.
    async fn revoke(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<bool, StoreError>;

    /// Notes that a key was used, where [`ApiKey::is_worth_noting`]: it need not be waited for, nor succeed.
    ///
    /// Cancel safe: a dropped future has noted it or not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may not have been noted.
    async fn note_use(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<(), StoreError>;

    /// Removes a key, and tells whether there was one.
    ///
    /// Not cancel safe: a dropped future may or may not have removed it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been removed.
    async fn remove(&self, tenant: &Tenant, id: KeyId) -> Result<bool, StoreError>;
}

/// How much later than the last one a use is noted.
pub const NOTED_EVERY: Duration = Duration::from_secs(60);

id! {
    /// The id of an API key, which is no secret: a UUID of version 7 (RFC 9562). It reads and writes as the usual text.
    KeyId, BadKeyId, "an API key"
}

/// What is kept of a key's secret: a keyed hash of it, by which nobody gets the secret back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    /// Without the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id; made before it is stored.
    pub id: KeyId,
    /// Whose it is.
    pub principal: Principal,
    /// What it is for, as its user calls it.
    pub name: String,
    /// The hash of its secret.
    pub hash: KeyHash,
    /// What it was granted.
    pub scopes: BTreeSet<String>,
    /// Which of its user's roles it carries.
    pub roles: BTreeSet<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it lets nobody in, if it has an end.
    pub expires: Option<Timestamp>,
    /// From when on it lets nobody in, if somebody said so.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to [`NOTED_EVERY`], if it was.
    pub used: Option<Timestamp>,
    /// In whose place it was made, if it was.
    pub replaces: Option<Replaced>,
}

/// A key in whose place another one was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its id.
    pub key: KeyId,
    /// From when on it was to let nobody in. What was begun with it goes on with the new one, unless it was revoked before that.
    pub ends: Timestamp,
}

impl ApiKey {
    /// Whether it lets nobody in any more, whoever its user is.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        [self.expires, self.revoked].into_iter().flatten().any(|end| end <= now)
    }

    /// Whether what was begun with `old` goes on with this one, once that lets nobody in any more.
    pub fn takes_over_from(&self, old: &Self) -> bool {
        self.replaces.is_some_and(|replaced| replaced.key == old.id && old.revoked == Some(replaced.ends))
    }

    /// Whether a use at `at` is so much later than the last one that it is noted.
    pub fn is_worth_noting(&self, at: Timestamp) -> bool {
        self.used.is_none_or(|used| used.after(NOTED_EVERY) <= at)
    }
}

/// A key, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// To whom the user belongs.
    pub tenant: Tenant,
    /// The user, as they are now.
    pub user: User,
    /// The key.
    pub key: ApiKey,
}

impl KeyHolder {
    /// Whether the key lets its user in at this moment.
    pub fn is_let_in(&self, now: Timestamp) -> bool {
        !self.user.disabled && !self.key.has_ended(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lets_in_until_it_expires_or_is_revoked_or_its_user_is_disabled() {
        let at = Timestamp::from_micros;
        let user = User {
            principal: Principal::from("ada"),
            display_name: String::new(),
            disabled: false,
            created: at(0),
            roles: BTreeSet::new(),
        };
        let key = ApiKey {
            id: KeyId::from_u128(1),
            principal: user.principal.clone(),
            name: String::new(),
            hash: KeyHash([0; 32]),
            scopes: BTreeSet::new(),
            roles: BTreeSet::new(),
            created: at(0),
            expires: None,
            revoked: None,
            used: None,
            replaces: None,
        };
        for (disabled, expires, revoked, expected) in [
            (false, None, None, true),
            (false, Some(11), Some(11), true),
            (false, Some(10), None, false),
            (false, None, Some(10), false),
            (false, Some(9), Some(11), false),
            (true, None, None, false),
        ] {
            let key = ApiKey { expires: expires.map(at), revoked: revoked.map(at), ..key.clone() };
            let holder = KeyHolder { tenant: Tenant::from("a"), user: User { disabled, ..user.clone() }, key };
            assert_eq!(holder.is_let_in(at(10)), expected, "{holder:?}");
        }
    }
}
