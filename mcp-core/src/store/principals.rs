//! Who may call: the users of each tenant, and their roles.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::StoreError;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Keeps the users of each tenant. Their keys are in [`ApiKeys`](super::api_keys::ApiKeys), and go with them.
///
/// # Promises
/// - **a created user is found**: to the last byte, with each of the roles.
/// - **a principal is one user**: to create one that is there is a conflict, and changes nothing.
/// - **a change touches what it names**: and gives the user as they are now; of two changes of different things at the same time
///   none is lost. Where there is no such user nothing is made.
/// - **a removed user is gone**: with roles and keys, also for whoever is created under the same name.
/// - **users are listed in the order of principals**: by their bytes; all that come after the given one, at most `limit`.
/// - **tenants are apart**: nobody of another tenant is found, changed, removed or listed.
#[async_trait]
pub trait Principals: Send + Sync + 'static {
    /// Adds a user.
    ///
    /// Not cancel safe: a dropped future may or may not have added them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the principal is somebody already. [`StoreError::Unavailable`]: they may have been added.
    /// [`StoreError::Refused`] when they cannot be stored.
    async fn create(&self, tenant: &Tenant, user: &User) -> Result<(), StoreError>;

    /// One user.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when it holds what this version cannot
    /// read.
    async fn user(&self, tenant: &Tenant, principal: &Principal) -> Result<Option<User>, StoreError>;

    /// The users after `after`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Principals::user`].
    async fn users(&self, tenant: &Tenant, after: Option<&Principal>, limit: u16) -> Result<Vec<User>, StoreError>;

    /// Changes a user, and gives them as they are now, if there is such a user.
    ///
    /// Not cancel safe: a dropped future may or may not have changed them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: they may have been changed. [`StoreError::Refused`] when that cannot be stored.
    async fn change(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        change: &UserChange,
    ) -> Result<Option<User>, StoreError>;

    /// Removes a user with all roles and keys, and tells whether there was one.
    ///
    /// Not cancel safe: a dropped future may or may not have removed them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: they may have been removed.
    async fn remove(&self, tenant: &Tenant, principal: &Principal) -> Result<bool, StoreError>;
}

/// A person or service that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name under which they call, unique in their tenant.
    pub principal: Principal,
    /// How they are shown to people.
    pub display_name: String,
    /// Whether they are kept out for the time being, with all their keys.
    pub disabled: bool,
    /// When they were added.
    pub created: Timestamp,
    /// What they may do: `admin` is one.
    pub roles: BTreeSet<String>,
}

/// What is to be changed of a user; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// How they are shown from now on.
    pub display_name: Option<String>,
    /// Whether they are kept out from now on.
    pub disabled: Option<bool>,
    /// All roles that they have from now on.
    pub roles: Option<BTreeSet<String>>,
}
