//! API keys in stores that break their promises.

use std::sync::Arc;

use async_trait::async_trait;

use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::MemoryPrincipals;
use crate::store::api_keys::{ApiKey, ApiKeys, KeyHash, KeyHolder, KeyId};
use crate::store::principals::{Principals, User};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    CutsAtNul,
    SplitsScopes,
    ForgetsTheEnd,
    ForgetsTheReplaced,
    HalfTheHash,
    TheUserAsTheyWere,
    TakesThoseOfNobody,
    SaysThatItIsUnavailable,
    TheLastStays,
    TwiceIsAConflict,
    TakesAnyHash,
    HidesTheConflict,
    TheLastRevocationCounts,
    RevokesAllOfTheUser,
    RevokesAtOnce,
    AlwaysSaysThatItRevoked,
    NotesEachUse,
    NotesTheFirst,
    NotesTooLate,
    NotesWhatIsEarlier,
    NotesAll,
    LastFirst,
    InTheOrderOfMaking,
    TheSameOnceMore,
    OneTooMany,
    OfAnyone,
    FiltersThePage,
    NeverRemoves,
    RemovesAllOfTheUser,
    AlwaysSaysThatItRemoved,
    RevokesInAnyTenant,
    RemovesInAnyTenant,
    ListsAnyTenant,
}

/// Keys; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    sound: Arc<MemoryPrincipals>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let sound = Arc::new(MemoryPrincipals::default());
    stores.principals = sound.clone();
    stores.api_keys = Arc::new(Broken { flaw, sound });
    Fresh::new(stores, clock)
}

impl Broken {
    async fn all(&self, tenant: &Tenant) -> Result<Vec<ApiKey>, StoreError> {
        self.sound.keys(tenant, None, None, u16::MAX).await
    }

    /// Puts a key in the place of the one that has its id.
    async fn put(&self, tenant: &Tenant, key: &ApiKey) -> Result<(), StoreError> {
        ApiKeys::remove(&*self.sound, tenant, key.id).await?;
        ApiKeys::create(&*self.sound, tenant, key).await
    }

    /// The tenants in which a key is looked for.
    async fn tenants(&self, tenant: &Tenant, flaw: Flaw) -> Vec<Tenant> {
        let mut tenants = vec![tenant.clone()];
        if self.flaw == flaw {
            tenants.extend(["acme", "acme2"].map(Tenant::from));
        }
        tenants
    }
}

#[async_trait]
impl ApiKeys for Broken {
    async fn create(&self, tenant: &Tenant, key: &ApiKey) -> Result<(), StoreError> {
        let (mut key, is_there) = (key.clone(), self.all(tenant).await?.iter().any(|own| own.id == key.id));
        match self.flaw {
            Flaw::CutsAtNul => key.name = key.name.split('\0').next().unwrap_or_default().to_owned(),
            Flaw::SplitsScopes => {
                key.scopes = key.scopes.iter().flat_map(|scope| scope.split(' ').map(str::to_owned)).collect();
            }
            Flaw::ForgetsTheEnd => key.expires = None,
            Flaw::ForgetsTheReplaced => key.replaces = None,
            Flaw::TakesThoseOfNobody => {
                let nobody = self.sound.user(tenant, &key.principal).await?.is_none();
                if nobody {
                    return Ok(());
                }
            }
            Flaw::TheLastStays if is_there => return self.put(tenant, &key).await,
            Flaw::TwiceIsAConflict if is_there => return Err(StoreError::Conflict { store: "keys" }),
            Flaw::TakesAnyHash if !is_there && self.find(&key.hash).await?.is_some() => key.hash = KeyHash([77; 32]),
            _ => {}
        }
        match ApiKeys::create(&*self.sound, tenant, &key).await {
            Err(StoreError::Refused { store, source }) if self.flaw == Flaw::SaysThatItIsUnavailable => {
                Err(StoreError::Unavailable { store, source })
            }
            Err(StoreError::Conflict { .. }) if self.flaw == Flaw::HidesTheConflict => Ok(()),
            created => created,
        }
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyHolder>, StoreError> {
        if self.flaw == Flaw::HalfTheHash {
            for tenant in ["a tenant", "another"].map(Tenant::from) {
                if let Some(key) = self.all(&tenant).await?.iter().find(|key| key.hash.0[16..] <= hash.0[16..]) {
                    return self.sound.find(&key.hash).await;
                }
            }
        }
        let mut holder = self.sound.find(hash).await?;
        if let (Flaw::TheUserAsTheyWere, Some(holder)) = (self.flaw, &mut holder) {
            holder.user = User { disabled: false, ..holder.user.clone() };
        }
        Ok(holder)
    }

    async fn keys(
        &self,
        tenant: &Tenant,
        principal: Option<&Principal>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = Vec::new();
        for tenant in self.tenants(tenant, Flaw::ListsAnyTenant).await {
            keys.extend(self.all(&tenant).await?);
        }
        match self.flaw {
            Flaw::LastFirst => keys.reverse(),
            Flaw::InTheOrderOfMaking => keys.sort_by_key(|key| key.hash),
            _ => {}
        }
        keys.retain(|key| match self.flaw {
            Flaw::TheSameOnceMore => after.is_none_or(|after| key.id >= after),
            _ => after.is_none_or(|after| key.id > after),
        });
        if self.flaw == Flaw::FiltersThePage {
            keys.truncate(limit.into());
        }
        keys.retain(|key| self.flaw == Flaw::OfAnyone || principal.is_none_or(|principal| key.principal == *principal));
        keys.truncate(usize::from(limit) + usize::from(self.flaw == Flaw::OneTooMany));
        Ok(keys)
    }

    async fn revoke(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<bool, StoreError> {
        let mut revoked = self.flaw == Flaw::AlwaysSaysThatItRevoked;
        for tenant in self.tenants(tenant, Flaw::RevokesInAnyTenant).await {
            let keys = self.all(&tenant).await?;
            let wanted = keys.iter().find(|key| key.id == id);
            for key in &keys {
                match self.flaw {
                    Flaw::TheLastRevocationCounts if key.id == id => {
                        self.put(&tenant, &ApiKey { revoked: Some(at), ..key.clone() }).await?;
                    }
                    Flaw::RevokesAtOnce if key.id == id => {
                        self.put(&tenant, &ApiKey { revoked: Some(key.created), ..key.clone() }).await?;
                    }
                    Flaw::RevokesAllOfTheUser if wanted.is_some_and(|wanted| wanted.principal == key.principal) => {
                        self.sound.revoke(&tenant, key.id, at).await?;
                    }
                    _ => {}
                }
            }
            revoked |= match self.flaw {
                Flaw::TheLastRevocationCounts | Flaw::RevokesAtOnce => wanted.is_some(),
                _ => self.sound.revoke(&tenant, id, at).await?,
            };
        }
        Ok(revoked)
    }

    async fn note_use(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        for key in self.all(tenant).await? {
            let is_later = key.used.is_none_or(|used| used < at);
            let note = match self.flaw {
                Flaw::NotesEachUse => key.id == id && is_later,
                Flaw::NotesTheFirst => key.id == id && key.used.is_none(),
                Flaw::NotesTooLate => key.id == id && key.used.is_none_or(|used| used < at && !key.is_worth_noting(at)),
                Flaw::NotesWhatIsEarlier => key.id == id && (key.is_worth_noting(at) || !is_later),
                Flaw::NotesAll => key.is_worth_noting(at),
                _ => key.id == id && key.is_worth_noting(at),
            };
            if note {
                self.put(tenant, &ApiKey { used: Some(at), ..key }).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, tenant: &Tenant, id: KeyId) -> Result<bool, StoreError> {
        let mut removed = self.flaw == Flaw::AlwaysSaysThatItRemoved;
        for tenant in self.tenants(tenant, Flaw::RemovesInAnyTenant).await {
            let keys = self.all(&tenant).await?;
            removed |= match self.flaw {
                Flaw::NeverRemoves => keys.iter().any(|key| key.id == id),
                Flaw::RemovesAllOfTheUser => {
                    for key in &keys {
                        ApiKeys::remove(&*self.sound, &tenant, key.id).await?;
                    }
                    !keys.is_empty()
                }
                _ => ApiKeys::remove(&*self.sound, &tenant, id).await?,
            };
        }
        Ok(removed)
    }
}

super::each_case_fails! {
    api_keys, broken,
    a_created_key_is_found_by_its_hash: [
        Flaw::CutsAtNul,
        Flaw::SplitsScopes,
        Flaw::ForgetsTheEnd,
        Flaw::ForgetsTheReplaced,
        Flaw::HalfTheHash,
        Flaw::TheUserAsTheyWere,
    ],
    a_key_belongs_to_a_user: [Flaw::TakesThoseOfNobody, Flaw::SaysThatItIsUnavailable],
    the_same_key_twice_is_one_key: [
        Flaw::TheLastStays,
        Flaw::TwiceIsAConflict,
        Flaw::TakesAnyHash,
        Flaw::HidesTheConflict,
    ],
    a_key_is_revoked_for_good: [
        Flaw::TheLastRevocationCounts,
        Flaw::RevokesAllOfTheUser,
        Flaw::RevokesAtOnce,
        Flaw::AlwaysSaysThatItRevoked,
    ],
    use_is_noted_by_the_minute: [
        Flaw::NotesEachUse,
        Flaw::NotesTheFirst,
        Flaw::NotesTooLate,
        Flaw::NotesWhatIsEarlier,
        Flaw::NotesAll,
    ],
    keys_are_listed_in_the_order_of_their_ids: [
        Flaw::LastFirst,
        Flaw::InTheOrderOfMaking,
        Flaw::TheSameOnceMore,
        Flaw::OneTooMany,
        Flaw::OfAnyone,
        Flaw::FiltersThePage,
    ],
    a_removed_key_is_gone: [Flaw::NeverRemoves, Flaw::RemovesAllOfTheUser, Flaw::AlwaysSaysThatItRemoved],
    tenants_are_apart: [
        Flaw::RevokesInAnyTenant,
        Flaw::RemovesInAnyTenant,
        Flaw::ListsAnyTenant,
    ],
}
