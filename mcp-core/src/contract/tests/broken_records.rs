//! Records that do not go as they should.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::caller::{Principal, Tenant};
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::store::records::{Keep, Records};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    NothingGoes,
    AllGoes,
    WhatIsYoungerGoes,
    TheLastHourStays,
    IgnoresTheCount,
    CountsOneMore,
    CountsOneLess,
    ALargeBatch,
    StopsTooEarly,
    NeverStops,
    NobodyIsForgotten,
    OfAnyPrincipal,
    OfAnyTenant,
    TwiceTheKind,
}

/// Sound records, but for a flaw.
struct Broken {
    flaw: Flaw,
    sound: Arc<dyn Records>,
    tenants: [Tenant; 2],
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let tenants = ["a tenant", "another tenant"].map(Tenant::from);
    let records = std::mem::take(&mut stores.records);
    for sound in records {
        let broken = Arc::new(Broken { flaw, sound, tenants: tenants.clone() });
        stores.records.push(broken.clone());
        if flaw == Flaw::TwiceTheKind {
            stores.records.push(broken);
        }
    }
    Fresh::new(stores, clock)
}

#[async_trait]
impl Records for Broken {
    fn kind(&self) -> &'static str {
        self.sound.kind()
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let hour = Duration::from_secs(3_600);
        let (mut keep, mut batch) = (keep, batch);
        match self.flaw {
            Flaw::NothingGoes => return Ok(0),
            Flaw::AllGoes => keep.most = Some(0),
            Flaw::WhatIsYoungerGoes => keep.since = keep.since.map(|since| since.after(hour)),
            Flaw::TheLastHourStays => keep.since = keep.since.map(|since| since.before(hour)),
            Flaw::IgnoresTheCount => keep.most = None,
            Flaw::CountsOneMore => keep.most = keep.most.map(|most| most + 1),
            Flaw::CountsOneLess => keep.most = keep.most.map(|most| most - 1),
            Flaw::ALargeBatch => batch = u16::MAX,
            Flaw::StopsTooEarly if batch == 4 => {
                return self.sound.expire(keep, batch).await.map(|removed| removed & !2);
            }
            _ => {}
        }
        let removed = self.sound.expire(keep, batch).await?;
        Ok(if self.flaw == Flaw::NeverStops { removed.max(1) } else { removed })
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        match self.flaw {
            Flaw::NobodyIsForgotten => return Ok(0),
            Flaw::OfAnyPrincipal => {
                let other = Principal::from("Somebody");
                self.sound.forget(tenant, &other, batch).await?;
            }
            Flaw::OfAnyTenant => {
                for other in &self.tenants {
                    self.sound.forget(other, principal, batch).await?;
                }
            }
            _ => {}
        }
        let batch = if self.flaw == Flaw::ALargeBatch { u16::MAX } else { batch };
        self.sound.forget(tenant, principal, batch).await
    }
}

super::each_case_fails! {
    records, broken,
    what_is_old_goes: [
        Flaw::NothingGoes,
        Flaw::AllGoes,
        Flaw::WhatIsYoungerGoes,
        Flaw::TheLastHourStays,
        Flaw::NeverStops,
        Flaw::TwiceTheKind,
    ],
    what_is_too_many_goes: [Flaw::IgnoresTheCount, Flaw::CountsOneMore, Flaw::CountsOneLess, Flaw::NothingGoes],
    a_batch_is_small: [Flaw::ALargeBatch, Flaw::StopsTooEarly, Flaw::NeverStops],
    somebody_is_forgotten: [Flaw::NobodyIsForgotten, Flaw::OfAnyPrincipal, Flaw::OfAnyTenant],
}
