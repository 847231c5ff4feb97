//! Audits, and the ledgers that they are about, that break their promises.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::MemoryStore;
use crate::store::audit::{Audit, ChainId, Finding, Kind, Link, LinkQuery, Place, Verification};
use crate::store::ledger::{Entry, Ledger};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    NoLink,
    AnotherDigest,
    KeepsWhatIsRemoved,
    RemovesUntold,
    RemovesOfAnyTenant,
    BeforeIncludes,
    BeforeSkips,
    AnySubject,
    AnyKind,
    AnyTime,
    FiltersThePage,
    AnyTenant,
    WalksOneTenant,
    WalksPastSome,
    WalksAgain,
    FindsWhatCameTwice,
    FindsWhatIsRemoved,
    CountsNothing,
    TrimsNothing,
    TrimsAll,
    TrimsTheNew,
}

/// A store in memory; sound, but for its flaw.
struct Broken {
    flaw: Flaw,
    store: Arc<MemoryStore>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let broken = Arc::new(Broken { flaw, store: store.clone() });
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    (stores.ledger, stores.history, stores.audit) = (broken.clone(), store.clone(), broken);
    (stores.replicas, stores.runs, stores.idempotency) = (store.replicas(), store.clone(), store);
    Fresh::new(stores, clock)
}

impl Ledger for Broken {
    fn commit(&self, mut entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        if self.flaw == Flaw::KeepsWhatIsRemoved {
            entries.retain(|entry| !matches!(entry, Entry::Removal(_)));
        }
        if self.flaw == Flaw::RemovesOfAnyTenant {
            let removals = entries.iter().filter_map(|entry| match entry {
                Entry::Removal(removal) => Some(removal.clone()),
                _ => None,
            });
            let others: Vec<_> = removals
                .map(|mut removal| {
                    removal.tenant = Tenant::from("another tenant");
                    Entry::Removal(removal)
                })
                .collect();
            entries.extend(others);
        }
        self.store.commit(entries)
    }
}

#[async_trait]
impl Audit for Broken {
    async fn links(&self, tenant: &Tenant, query: &LinkQuery) -> Result<Vec<Link>, StoreError> {
        let mut asked = query.clone();
        let moved = |place: Place, by: i64| Place { sequence: place.sequence.wrapping_add_signed(by), ..place };
        match self.flaw {
            Flaw::NoLink => return Ok(Vec::new()),
            Flaw::BeforeIncludes => asked.before = asked.before.map(|place| moved(place, 1)),
            Flaw::BeforeSkips => {
                asked.before = asked.before.map(|place| Place { subject: place.subject.saturating_sub(1), ..place });
            }
            Flaw::AnySubject => asked.subject = None,
            Flaw::AnyKind => asked.kind = None,
            Flaw::AnyTime => (asked.from, asked.to) = (None, None),
            Flaw::FiltersThePage => (asked.kind, asked.subject) = (None, None),
            _ => {}
        }
        let tenants = if self.flaw == Flaw::AnyTenant {
            ["acme", "acme2", "Acme", ""].map(Tenant::from).to_vec()
        } else {
            vec![tenant.clone()]
        };
        let mut links = Vec::new();
        for tenant in tenants {
            links.extend(self.store.links(&tenant, &asked).await?);
        }
        if self.flaw == Flaw::FiltersThePage {
            links.retain(|link| query.matches(link));
        }
        if self.flaw == Flaw::RemovesUntold {
            links.retain(|link| link.kind == Kind::CALL);
        }
        if self.flaw == Flaw::AnotherDigest {
            links.iter_mut().for_each(|link| link.digest = [0; 32]);
        }
        Ok(links)
    }

    async fn walk(&self, after: Option<(ChainId, u64)>, limit: u16) -> Result<Vec<Link>, StoreError> {
        let after = match self.flaw {
            Flaw::WalksAgain => after.map(|(chain, sequence)| (chain, sequence.saturating_sub(1))),
            Flaw::WalksPastSome => after.map(|(chain, sequence)| (chain, sequence + 1)),
            _ => after,
        };
        let mut links = self.store.walk(after, limit).await?;
        if self.flaw == Flaw::WalksOneTenant {
            links.retain(|link| link.tenant.as_ref().is_some_and(|tenant| tenant.as_str() == "acme"));
        }
        Ok(links)
    }

    async fn verify(&self) -> Result<Verification, StoreError> {
        let mut verified = self.store.verify().await?;
        let is_wrong = match self.flaw {
            Flaw::FindsWhatCameTwice => verified.links > 1_401,
            Flaw::FindsWhatIsRemoved => verified.removed > 0,
            _ => false,
        };
        if is_wrong {
            verified.find(Finding::PinBroken);
        }
        if self.flaw == Flaw::CountsNothing {
            verified = Verification::default();
        }
        Ok(verified)
    }

    async fn anchor(&self) -> Result<(), StoreError> {
        self.store.anchor().await
    }

    async fn trim(&self, before: Timestamp) -> Result<bool, StoreError> {
        match self.flaw {
            Flaw::TrimsNothing => Ok(false),
            Flaw::TrimsAll => {
                self.store.forget_links();
                Ok(false)
            }
            Flaw::TrimsTheNew => self.store.trim(before.after(std::time::Duration::from_secs(1))).await,
            _ => self.store.trim(before).await,
        }
    }
}

super::each_case_fails! {
    audit, broken,
    each_entry_has_its_link: [Flaw::NoLink, Flaw::AnotherDigest],
    what_is_removed_is_gone_and_told: [Flaw::KeepsWhatIsRemoved, Flaw::RemovesUntold, Flaw::RemovesOfAnyTenant],
    pages_neither_repeat_nor_skip: [Flaw::BeforeIncludes, Flaw::BeforeSkips],
    every_filter_holds: [Flaw::AnySubject, Flaw::AnyKind, Flaw::AnyTime, Flaw::FiltersThePage],
    tenants_are_apart: [Flaw::AnyTenant],
    a_walk_passes_each_link_once: [Flaw::WalksOneTenant, Flaw::WalksPastSome, Flaw::WalksAgain],
    what_was_written_verifies: [Flaw::FindsWhatCameTwice, Flaw::FindsWhatIsRemoved, Flaw::CountsNothing],
    what_is_old_and_gone_is_trimmed: [Flaw::TrimsNothing, Flaw::TrimsAll, Flaw::TrimsTheNew],
}
