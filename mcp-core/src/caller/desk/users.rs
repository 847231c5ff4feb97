//! What callers may do with users.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::{Caller, Principal, rules};
use super::{CallerDesk, CallerError, is_admin, may_grant, may_name, may_touch, needs_admin};
use crate::act::Act;
use crate::retention;
use crate::store::StoreError;
use crate::store::principals::{User, UserChange};

/// A user to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name under which they call.
    pub principal: Principal,
    /// How they are shown to people.
    pub display_name: String,
    /// What they may do.
    pub roles: BTreeSet<String>,
}

impl CallerDesk<'_> {
    /// Adds a user.
    ///
    /// Not cancel safe: a dropped future may or may not have added them.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn create_user(&self, caller: &Caller, new: NewUser) -> Result<User, CallerError> {
        let details = json!({"user": new.principal.as_str(), "roles": new.roles});
        let act = Act { what: "create_user", details };
        let create = async {
            needs_admin(caller, "adding users")?;
            let NewUser { principal, display_name, roles } = new;
            rules::principal(principal.as_str())?;
            may_name(caller, &principal)?;
            rules::display_name(&display_name)?;
            rules::roles(&roles)?;
            may_grant(caller, &roles)?;
            let created = self.server.clock().now();
            let user = User { principal, display_name, disabled: false, created, roles };
            match self.books().principals.create(caller.tenant(), &user).await {
                Ok(()) => Ok(user),
                Err(StoreError::Conflict { .. }) => Err(CallerError::UserExists),
                Err(error) => Err(error.into()),
            }
        };
        self.server.act(caller, act, create).await
    }

    /// The users of the caller's tenant after `after`, at most `limit`, for its administrators.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn users(
        &self,
        caller: &Caller,
        after: Option<&Principal>,
        limit: u16,
    ) -> Result<Vec<User>, CallerError> {
        needs_admin(caller, "listing users")?;
        Ok(self.books().principals.users(caller.tenant(), after, limit).await?)
    }

    /// One user, for administrators of their tenant and for themselves.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn user(&self, caller: &Caller, principal: &Principal) -> Result<User, CallerError> {
        if !is_admin(caller) && principal != caller.principal() {
            return Err(CallerError::UnknownUser);
        }
        self.books().principals.user(caller.tenant(), principal).await?.ok_or(CallerError::UnknownUser)
    }

    /// Changes a user, and gives them as they are now.
    ///
    /// Not cancel safe: a dropped future may or may not have changed them.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn change_user(
        &self,
        caller: &Caller,
        principal: &Principal,
        change: &UserChange,
    ) -> Result<User, CallerError> {
        let (principals, tenant) = (&self.books().principals, caller.tenant());
        let work = async {
            needs_admin(caller, "changing users")?;
            if let Some(name) = &change.display_name {
                rules::display_name(name)?;
            }
            let before = principals.user(tenant, principal).await?.ok_or(CallerError::UnknownUser)?;
            may_touch(caller, &before)?;
            if let Some(roles) = &change.roles {
                rules::roles(roles)?;
                may_grant(caller, &roles.difference(&before.roles).cloned().collect())?;
            }
            let changed = principals.change(tenant, principal, change).await?;
            self.server.stored_keys().forget(tenant, principal).await;
            changed.ok_or(CallerError::UnknownUser)
        };
        let details = json!({
            "user": principal.as_str(),
            "display_name": change.display_name,
            "disabled": change.disabled,
            "roles": change.roles,
        });
        self.server.act(caller, Act { what: "change_user", details }, work).await
    }

    /// Removes a user, their keys, and all that is kept of them, and tells how many records of each kind went. It does so also for one
    /// who is no user that is kept, but has left something.
    ///
    /// Not cancel safe: a dropped future has removed a part; whoever asks again goes on.
    ///
    /// # Errors
    /// [`CallerError`]; after [`StoreError::Unavailable`] a part was removed.
    pub async fn erase_user(
        &self,
        caller: &Caller,
        principal: &Principal,
    ) -> Result<Vec<(&'static str, u64)>, CallerError> {
        let (books, tenant) = (self.books(), caller.tenant());
        let work = async {
            needs_admin(caller, "removing users")?;
            may_name(caller, principal)?;
            if let Some(user) = books.principals.user(tenant, principal).await? {
                may_touch(caller, &user)?;
            }
            // Nobody writes more of them once they are out.
            let was_there = books.principals.remove(tenant, principal).await?;
            self.server.stored_keys().forget(tenant, principal).await;
            let forgotten = retention::forget_records(&books.records, tenant, principal).await?;
            let nothing = forgotten.iter().all(|(_, count)| *count == 0);
            if nothing && !was_there { Err(CallerError::UnknownUser) } else { Ok(forgotten) }
        };
        let details = json!({"user": principal.as_str()});
        self.server.act(caller, Act { what: "erase_user", details }, work).await
    }
}
