//! Users and their keys in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::api_keys::{ApiKey, ApiKeys, KeyHash, KeyHolder, KeyId};
use crate::store::principals::{Principals, User, UserChange};

/// [`Principals`] and [`ApiKeys`] in memory: at most [`MemoryPrincipals::CAPACITY`] of each. Nobody is forgotten to make room: when
/// it is full it takes no more.
#[derive(Default)]
pub struct MemoryPrincipals {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: BTreeMap<(Tenant, Principal), User>,
    keys: BTreeMap<(Tenant, KeyId), ApiKey>,
    by_hash: BTreeMap<KeyHash, (Tenant, KeyId)>,
}

impl MemoryPrincipals {
    /// How many users, and how many keys, it holds at the most.
    pub const CAPACITY: usize = 10_000;
}

const USERS: &str = "store of users";
const KEYS: &str = "store of keys";

#[async_trait]
impl Principals for MemoryPrincipals {
    async fn create(&self, tenant: &Tenant, user: &User) -> Result<(), StoreError> {
        let (key, mut state) = ((tenant.clone(), user.principal.clone()), lock(&self.state));
        if state.users.contains_key(&key) {
            return Err(StoreError::Conflict { store: USERS });
        }
        if state.users.len() >= Self::CAPACITY {
            return Err(StoreError::Unavailable { store: USERS, source: None });
        }
        state.users.insert(key, user.clone());
        Ok(())
    }

    async fn user(&self, tenant: &Tenant, principal: &Principal) -> Result<Option<User>, StoreError> {
        Ok(lock(&self.state).users.get(&(tenant.clone(), principal.clone())).cloned())
    }

    async fn users(&self, tenant: &Tenant, after: Option<&Principal>, limit: u16) -> Result<Vec<User>, StoreError> {
        let from = match after {
            Some(after) => Bound::Excluded((tenant.clone(), after.clone())),
            None => Bound::Included((tenant.clone(), Principal::from(""))),
        };
        let state = lock(&self.state);
        let own = state.users.range((from, Bound::Unbounded)).take_while(|((of, _), _)| of == tenant);
        Ok(own.take(limit.into()).map(|(_, user)| user.clone()).collect())
    }

    async fn change(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        change: &UserChange,
    ) -> Result<Option<User>, StoreError> {
        let mut state = lock(&self.state);
        let Some(user) = state.users.get_mut(&(tenant.clone(), principal.clone())) else { return Ok(None) };
        let UserChange { display_name, disabled, roles } = change.clone();
        user.display_name = display_name.unwrap_or(std::mem::take(&mut user.display_name));
        user.disabled = disabled.unwrap_or(user.disabled);
        user.roles = roles.unwrap_or(std::mem::take(&mut user.roles));
        Ok(Some(user.clone()))
    }

    async fn remove(&self, tenant: &Tenant, principal: &Principal) -> Result<bool, StoreError> {
        let state = &mut *lock(&self.state);
        let was_there = state.users.remove(&(tenant.clone(), principal.clone())).is_some();
        let theirs = |(of, _): &(Tenant, KeyId), key: &mut ApiKey| of == tenant && key.principal == *principal;
        for (_, key) in state.keys.extract_if(.., theirs) {
            state.by_hash.remove(&key.hash);
        }
        Ok(was_there)
    }
}

#[async_trait]
impl ApiKeys for MemoryPrincipals {
    async fn create(&self, tenant: &Tenant, key: &ApiKey) -> Result<(), StoreError> {
        let state = &mut *lock(&self.state);
        let id = (tenant.clone(), key.id);
        if !state.users.contains_key(&(tenant.clone(), key.principal.clone())) {
            return Err(StoreError::Refused { store: KEYS, source: None });
        }
        match (state.keys.get(&id), state.by_hash.get(&key.hash)) {
            (None, None) if state.keys.len() < Self::CAPACITY => {}
            (None, None) => return Err(StoreError::Unavailable { store: KEYS, source: None }),
            (Some(own), Some(of)) if *of == id && own.principal == key.principal => return Ok(()),
            _ => return Err(StoreError::Conflict { store: KEYS }),
        }
        state.by_hash.insert(key.hash, id.clone());
        state.keys.insert(id, key.clone());
        Ok(())
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyHolder>, StoreError> {
        let state = lock(&self.state);
        let holder = state.by_hash.get(hash).and_then(|id| {
            let (tenant, key) = (id.0.clone(), state.keys.get(id)?.clone());
            let user = state.users.get(&(tenant.clone(), key.principal.clone()))?.clone();
            Some(KeyHolder { tenant, user, key })
        });
        Ok(holder)
    }

    async fn keys(
        &self,
        tenant: &Tenant,
        principal: Option<&Principal>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let from = match after {
            Some(after) => Bound::Excluded((tenant.clone(), after)),
            None => Bound::Included((tenant.clone(), KeyId::from_u128(0))),
        };
        let state = lock(&self.state);
        let own = state.keys.range((from, Bound::Unbounded)).take_while(|((of, _), _)| of == tenant);
        let own = own.map(|(_, key)| key).filter(|key| principal.is_none_or(|principal| *principal == key.principal));
        Ok(own.take(limit.into()).cloned().collect())
    }

    async fn revoke(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<bool, StoreError> {
        let mut state = lock(&self.state);
        let Some(key) = state.keys.get_mut(&(tenant.clone(), id)) else { return Ok(false) };
        key.revoked = Some(key.revoked.map_or(at, |before| before.min(at)));
        Ok(true)
    }

    async fn note_use(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        if let Some(key) = state.keys.get_mut(&(tenant.clone(), id)).filter(|key| key.is_worth_noting(at)) {
            key.used = Some(at);
        }
        Ok(())
    }

    async fn remove(&self, tenant: &Tenant, id: KeyId) -> Result<bool, StoreError> {
        let mut state = lock(&self.state);
        let Some(key) = state.keys.remove(&(tenant.clone(), id)) else { return Ok(false) };
        state.by_hash.remove(&key.hash);
        Ok(true)
    }
}
