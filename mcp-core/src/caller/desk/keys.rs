//! What callers may do with API keys.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::super::secret::KeySecret;
use super::super::{Caller, Principal, Tenant, rules};
use super::{CallerDesk, CallerError, forbidden, is_admin, may_grant, may_grant_scopes, may_touch, needs_admin};
use crate::act::Act;
use crate::clock::Timestamp;
use crate::store::api_keys::{ApiKey, KeyId, Replaced};
use crate::store::principals::User;

/// How many keys a user has at the most that have not ended; some more, where several are made at the same time.
pub const KEYS_PER_USER: u16 = 100;

/// For how long an old key lets in beside the one in its place, where nothing is said.
pub const OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// For how long it does at the most.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// Whose it is, if it is not the caller's own.
    pub principal: Option<Principal>,
    /// Which of its user's roles it carries; all of them, or all that the caller has, where nothing is said.
    pub roles: Option<BTreeSet<String>>,
    /// What it is granted; for a key of the caller's own what the caller has, and else nothing, where nothing is said.
    pub scopes: Option<BTreeSet<String>>,
    /// From when on it lets nobody in.
    pub expires: Option<Timestamp>,
}

/// A key that was made, and its secret, which is nowhere else.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// To be shown once.
    pub secret: KeySecret,
}

/// A key in the place of another one.
#[derive(Clone, Debug)]
pub struct RotatedKey {
    /// The new one.
    pub made: MadeKey,
    /// From when on the old one lets nobody in.
    pub old_ends: Timestamp,
}

impl CallerDesk<'_> {
    /// Makes a key. An administrator makes them for everybody, and becomes a user who is kept if they were none; others make their own.
    ///
    /// Not cancel safe: a dropped future may have made a key whose secret nobody knows.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn create_key(&self, caller: &Caller, new: NewKey) -> Result<MadeKey, CallerError> {
        let id = self.new_id();
        let details = json!({
            "key": id,
            "name": new.name,
            "user": new.principal.as_ref().map(Principal::as_str),
            "roles": new.roles,
            "scopes": new.scopes,
            "expires": new.expires,
        });
        self.server.act(caller, Act { what: "create_key", details }, self.create(caller, id, new)).await
    }

    /// The keys that the caller may see, of one user or of all, in the order in which they were made: an administrator sees all of the
    /// tenant's, others their own. Those after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`CallerError::Store`].
    pub async fn keys(
        &self,
        caller: &Caller,
        of: Option<&Principal>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, CallerError> {
        let of = if is_admin(caller) { of } else { Some(caller.principal()) };
        Ok(self.books().api_keys.keys(caller.tenant(), of, after, limit).await?)
    }

    /// Makes a key in the place of another one: of the same name, scopes and roles, as far as its user has those still, and for as long. The old
    /// one lets in for `overlap` more, or for [`OVERLAP`].
    ///
    /// Not cancel safe: a dropped future may have made a key whose secret nobody knows; the old one ends in time, or stays.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        id: KeyId,
        overlap: Option<Duration>,
    ) -> Result<RotatedKey, CallerError> {
        let act = Act { what: "rotate_key", details: json!({"key": id}) };
        self.server.act(caller, act, self.rotate(caller, id, overlap.unwrap_or(OVERLAP))).await
    }

    /// Lets nobody in by a key any more, and gives it as it is now.
    ///
    /// Not cancel safe: a dropped future may or may not have revoked it.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<ApiKey, CallerError> {
        let revoke = async {
            let (mut key, _) = self.find(caller, id).await?;
            let now = self.server.clock().now();
            self.books().api_keys.revoke(caller.tenant(), id, now).await?;
            self.server.stored_keys().forget(caller.tenant(), &key.principal).await;
            key.revoked = Some(key.revoked.map_or(now, |before| before.min(now)));
            Ok(key)
        };
        self.server.act(caller, Act { what: "revoke_key", details: json!({"key": id}) }, revoke).await
    }

    fn new_id(&self) -> KeyId {
        KeyId::from_u128(self.server.new_call_id().as_u128())
    }

    async fn create(&self, caller: &Caller, id: KeyId, new: NewKey) -> Result<MadeKey, CallerError> {
        let NewKey { name, principal, roles, scopes, expires } = new;
        rules::key(&name)?;
        let (own, of) = (principal.as_ref().is_none_or(|of| of == caller.principal()), principal.as_ref());
        let of = of.unwrap_or(caller.principal());
        if !own {
            needs_admin(caller, "making keys for others")?;
        }
        let user = self.holder(caller, of, own).await?;
        may_touch(caller, &user)?;
        let roles = match roles {
            Some(roles) => {
                rules::roles(&roles)?;
                if let Some(role) = roles.difference(&user.roles).next() {
                    let problem = format!("the user does not have the role `{role}`: give it to them first");
                    return Err(rules::invalid("roles", problem));
                }
                roles
            }
            None if own => user.roles.iter().filter(|role| caller.has_role(role)).cloned().collect(),
            None => user.roles.clone(),
        };
        may_grant(caller, &roles)?;
        let scopes = match scopes {
            Some(scopes) => scopes,
            None if own => caller.scopes().map(str::to_owned).collect(),
            None => BTreeSet::new(),
        };
        rules::scopes(&scopes)?;
        may_grant_scopes(caller, &scopes)?;
        let created = self.server.clock().now();
        if expires.is_some_and(|end| end <= created) {
            return Err(rules::invalid("expires", format!("it is over; it is {created} now")));
        }
        let key = |hash| ApiKey {
            id,
            principal: user.principal,
            name,
            hash,
            scopes,
            roles,
            created,
            expires,
            revoked: None,
            used: None,
            replaces: None,
        };
        self.keep(caller.tenant(), key).await
    }

    /// Whose the new key is to be.
    async fn holder(&self, caller: &Caller, of: &Principal, own: bool) -> Result<User, CallerError> {
        let principals = &self.books().principals;
        if let Some(user) = principals.user(caller.tenant(), of).await? {
            return Ok(user);
        }
        if !own {
            return Err(CallerError::UnknownUser);
        }
        // Whoever comes by way of somebody else's word has their roles for as long as that stands, and no longer.
        if !is_admin(caller) {
            return Err(forbidden("you are no user who is kept here; ask an administrator to add you"));
        }
        let user = User {
            principal: of.clone(),
            display_name: String::new(),
            disabled: false,
            created: self.server.clock().now(),
            roles: caller.roles().map(str::to_owned).collect(),
        };
        principals.create(caller.tenant(), &user).await?;
        Ok(user)
    }

    /// A key that the caller may have to do with, and whose it is.
    async fn find(&self, caller: &Caller, id: KeyId) -> Result<(ApiKey, User), CallerError> {
        let (books, tenant) = (self.books(), caller.tenant());
        let before = id.as_u128().checked_sub(1).map(KeyId::from_u128);
        let found = books.api_keys.keys(tenant, None, before, 1).await?.pop();
        let visible = |key: &ApiKey| key.id == id && (is_admin(caller) || key.principal == *caller.principal());
        let key = found.filter(visible).ok_or(CallerError::UnknownKey)?;
        let user = books.principals.user(tenant, &key.principal).await?.ok_or(CallerError::UnknownKey)?;
        may_touch(caller, &user)?;
        Ok((key, user))
    }

    async fn rotate(&self, caller: &Caller, id: KeyId, overlap: Duration) -> Result<RotatedKey, CallerError> {
        if overlap > LONGEST_OVERLAP {
            let days = LONGEST_OVERLAP.as_secs() / (24 * 60 * 60);
            return Err(rules::invalid("overlap", format!("it is {days} days at the most")));
        }
        let (old, user) = self.find(caller, id).await?;
        let created = self.server.clock().now();
        let ends = created.after(overlap);
        if old.has_ended(created) {
            return Err(CallerError::KeyEnded);
        }
        let roles = old.roles.intersection(&user.roles).cloned().collect();
        may_grant(caller, &roles)?;
        may_grant_scopes(caller, &old.scopes)?;
        let (api_keys, tenant) = (&self.books().api_keys, caller.tenant());
        let key = |hash| ApiKey {
            id: self.new_id(),
            hash,
            roles,
            created,
            expires: old.expires.map(|end| created.after(old.created.until(end))),
            revoked: None,
            used: None,
            replaces: Some(Replaced { key: id, ends }).filter(|_| !overlap.is_zero()),
            ..old.clone()
        };
        let made = self.keep(tenant, key).await?;
        if let Err(error) = api_keys.revoke(tenant, id, ends).await {
            // A key whose secret nobody was told is of no use.
            let _ = api_keys.remove(tenant, made.key.id).await;
            return Err(error.into());
        }
        self.server.stored_keys().forget(tenant, &old.principal).await;
        let old_ends = [old.expires, old.revoked].into_iter().flatten().fold(ends, Timestamp::min);
        Ok(RotatedKey { made, old_ends })
    }

    /// Draws a secret, and keeps the key that is made of its hash.
    async fn keep(
        &self,
        tenant: &Tenant,
        key: impl FnOnce(crate::store::api_keys::KeyHash) -> ApiKey,
    ) -> Result<MadeKey, CallerError> {
        let (secret, hash) = self.server.stored_keys().draw()?;
        let key = key(hash);
        self.make_room(tenant, &key.principal).await?;
        self.books().api_keys.create(tenant, &key).await?;
        Ok(MadeKey { key, secret })
    }

    /// Removes keys that have ended, where there are as many as may be.
    async fn make_room(&self, tenant: &Tenant, of: &Principal) -> Result<(), CallerError> {
        let api_keys = &self.books().api_keys;
        let keys = api_keys.keys(tenant, Some(of), None, KEYS_PER_USER).await?;
        if keys.len() < KEYS_PER_USER.into() {
            return Ok(());
        }
        let now = self.server.clock().now();
        let mut room = false;
        for ended in keys.iter().filter(|key| key.has_ended(now)) {
            room |= api_keys.remove(tenant, ended.id).await?;
        }
        if room { Ok(()) } else { Err(CallerError::TooManyKeys) }
    }
}
