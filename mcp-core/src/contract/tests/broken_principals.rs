//! Users in stores that break their promises.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::{MemoryPrincipals, lock};
use crate::store::api_keys::{ApiKey, ApiKeys};
use crate::store::principals::{Principals, User, UserChange};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    CutsAtNul,
    FoldsThePrincipal,
    OneRole,
    ForgetsThatTheyAreDisabled,
    ReplacesInCreating,
    CreatesTwice,
    RefusesTheSecond,
    ChangesAll,
    AddsRoles,
    GivesWhatWas,
    LooksFirst,
    MakesWhomItChanges,
    NeverRemoves,
    KeepsTheRoles,
    KeepsTheKeys,
    RemovesAllKeys,
    AlwaysSaysThatItRemoved,
    LastFirst,
    InTheOrderOfWords,
    TheSameOnceMore,
    OneTooMany,
    AnyTenant,
    JoinsTheNames,
}

/// Users; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    sound: Arc<MemoryPrincipals>,
    removed: Mutex<Vec<User>>,
    removed_keys: Mutex<Vec<ApiKey>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let sound = Arc::new(MemoryPrincipals::default());
    stores.api_keys = sound.clone();
    stores.principals = Arc::new(Broken { flaw, sound, removed: Mutex::default(), removed_keys: Mutex::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn place(&self, tenant: &Tenant, principal: &Principal) -> (Tenant, Principal) {
        let principal_text = principal.as_str();
        match self.flaw {
            Flaw::FoldsThePrincipal => (tenant.clone(), Principal::from(principal_text.to_lowercase())),
            Flaw::AnyTenant => (Tenant::from("all"), principal.clone()),
            Flaw::JoinsTheNames => (Tenant::from("all"), Principal::from(format!("{tenant}{principal_text}"))),
            _ => (tenant.clone(), principal.clone()),
        }
    }

    /// The user under the name that was asked for.
    fn shown(asked: &Principal, user: Option<User>) -> Option<User> {
        user.map(|user| User { principal: asked.clone(), ..user })
    }
}

#[async_trait]
impl Principals for Broken {
    async fn create(&self, tenant: &Tenant, user: &User) -> Result<(), StoreError> {
        let (tenant, principal) = self.place(tenant, &user.principal);
        let mut user = User { principal, ..user.clone() };
        match self.flaw {
            Flaw::CutsAtNul => user.display_name = user.display_name.split('\0').next().unwrap_or_default().to_owned(),
            Flaw::OneRole => user.roles = user.roles.into_iter().take(1).collect(),
            Flaw::ForgetsThatTheyAreDisabled => user.disabled = false,
            Flaw::ReplacesInCreating => drop(Principals::remove(&*self.sound, &tenant, &user.principal).await?),
            Flaw::KeepsTheRoles => {
                let removed = lock(&self.removed);
                let before = removed.iter().filter(|removed| removed.principal == user.principal);
                user.roles.extend(before.flat_map(|removed| removed.roles.clone()));
            }
            _ => {}
        }
        let created = Principals::create(&*self.sound, &tenant, &user).await;
        let theirs: Vec<_> = lock(&self.removed_keys).extract_if(.., |key| key.principal == user.principal).collect();
        for key in theirs {
            ApiKeys::create(&*self.sound, &tenant, &key).await?;
        }
        match created {
            Err(_) if self.flaw == Flaw::CreatesTwice => Ok(()),
            Err(_) if self.flaw == Flaw::RefusesTheSecond => Err(StoreError::Refused { store: "users", source: None }),
            created => created,
        }
    }

    async fn user(&self, tenant: &Tenant, principal: &Principal) -> Result<Option<User>, StoreError> {
        let (tenant, place) = self.place(tenant, principal);
        Ok(Self::shown(principal, self.sound.user(&tenant, &place).await?))
    }

    async fn users(&self, tenant: &Tenant, after: Option<&Principal>, limit: u16) -> Result<Vec<User>, StoreError> {
        let (tenant, _) = self.place(tenant, &Principal::from(""));
        let mut users = self.sound.users(&tenant, None, u16::MAX).await?;
        match self.flaw {
            Flaw::LastFirst => users.reverse(),
            Flaw::InTheOrderOfWords => users.sort_by_key(|user| user.principal.as_str().to_lowercase()),
            _ => {}
        }
        users.retain(|user| match self.flaw {
            Flaw::TheSameOnceMore => after.is_none_or(|after| user.principal >= *after),
            _ => after.is_none_or(|after| user.principal > *after),
        });
        users.truncate(usize::from(limit) + usize::from(self.flaw == Flaw::OneTooMany));
        Ok(users)
    }

    async fn change(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        change: &UserChange,
    ) -> Result<Option<User>, StoreError> {
        let ((tenant, place), mut change) = (self.place(tenant, principal), change.clone());
        let before = self.sound.user(&tenant, &place).await?;
        match self.flaw {
            Flaw::ChangesAll => {
                change.display_name.get_or_insert_default();
                change.disabled.get_or_insert_default();
                change.roles.get_or_insert_default();
            }
            Flaw::AddsRoles => {
                let had = before.iter().flat_map(|user| user.roles.clone());
                if let Some(roles) = &mut change.roles {
                    roles.extend(had);
                }
            }
            Flaw::LooksFirst => {
                // Others look as well, before this one writes all that it has seen.
                tokio::task::yield_now().await;
                if let Some(before) = &before {
                    change.display_name.get_or_insert(before.display_name.clone());
                    change.disabled.get_or_insert(before.disabled);
                    change.roles.get_or_insert(before.roles.clone());
                }
            }
            Flaw::MakesWhomItChanges if before.is_none() => {
                let user = User {
                    principal: place.clone(),
                    display_name: String::new(),
                    disabled: false,
                    created: Timestamp::default(),
                    roles: Default::default(),
                };
                Principals::create(&*self.sound, &tenant, &user).await?;
            }
            _ => {}
        }
        let after = self.sound.change(&tenant, &place, &change).await?;
        Ok(Self::shown(principal, if self.flaw == Flaw::GivesWhatWas { before } else { after }))
    }

    async fn remove(&self, tenant: &Tenant, principal: &Principal) -> Result<bool, StoreError> {
        let (tenant, place) = self.place(tenant, principal);
        let user = self.sound.user(&tenant, &place).await?;
        lock(&self.removed).extend(user.clone());
        for key in self.sound.keys(&tenant, None, None, u16::MAX).await? {
            match self.flaw {
                Flaw::RemovesAllKeys => drop(ApiKeys::remove(&*self.sound, &tenant, key.id).await?),
                Flaw::KeepsTheKeys => lock(&self.removed_keys).push(key),
                _ => {}
            }
        }
        let removed = match self.flaw {
            Flaw::NeverRemoves => user.is_some(),
            _ => Principals::remove(&*self.sound, &tenant, &place).await?,
        };
        Ok(removed || self.flaw == Flaw::AlwaysSaysThatItRemoved)
    }
}

super::each_case_fails! {
    principals, broken,
    a_created_user_is_found: [
        Flaw::CutsAtNul,
        Flaw::FoldsThePrincipal,
        Flaw::OneRole,
        Flaw::ForgetsThatTheyAreDisabled,
    ],
    a_principal_is_one_user: [Flaw::ReplacesInCreating, Flaw::CreatesTwice, Flaw::RefusesTheSecond],
    a_change_touches_what_it_names: [
        Flaw::ChangesAll,
        Flaw::AddsRoles,
        Flaw::GivesWhatWas,
        Flaw::LooksFirst,
        Flaw::MakesWhomItChanges,
    ],
    a_removed_user_is_gone: [
        Flaw::NeverRemoves,
        Flaw::KeepsTheRoles,
        Flaw::KeepsTheKeys,
        Flaw::RemovesAllKeys,
        Flaw::AlwaysSaysThatItRemoved,
    ],
    users_are_listed_in_the_order_of_principals: [
        Flaw::LastFirst,
        Flaw::InTheOrderOfWords,
        Flaw::TheSameOnceMore,
        Flaw::OneTooMany,
    ],
    tenants_are_apart: [Flaw::AnyTenant, Flaw::JoinsTheNames],
}
