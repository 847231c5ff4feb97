//! Leases that break their promises.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::leases::{Lease, Leases};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    GivesToAll,
    LooksFirst,
    ItsHolderMayTakeItAgain,
    OneForAllNames,
    FoldsNames,
    NeverEnds,
    EndsTooEarly,
    EndsTooLate,
    IsNotProlonged,
    IsNotShortened,
    RevivesTheEnded,
    LongOnesEndAtOnce,
    TheSameEpoch,
    CountsFromTheBeginning,
    AnyoneRenews,
    AnyoneReleases,
    AnEarlierHolderRenews,
    AnEarlierHolderReleases,
    NobodyReleases,
    ReleasedOnesAreRenewed,
}

/// Leases; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    rows: Mutex<HashMap<String, Row>>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    epoch: u64,
    end: Duration,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.leases = Arc::new(Broken { flaw, clock: clock.clone(), rows: Mutex::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn name(&self, name: &str) -> String {
        match self.flaw {
            Flaw::OneForAllNames => String::new(),
            Flaw::FoldsNames => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }

    fn end(&self, time: Duration) -> Duration {
        match self.flaw {
            Flaw::LongOnesEndAtOnce => self.clock.monotonic().checked_add(time).unwrap_or_default(),
            _ => self.clock.monotonic().saturating_add(time),
        }
    }

    fn is_held(&self, row: Row) -> bool {
        let now = self.clock.monotonic();
        match self.flaw {
            Flaw::NeverEnds => row.end > Duration::ZERO,
            Flaw::EndsTooEarly => now + Duration::from_secs(30 * 60) < row.end,
            Flaw::EndsTooLate => now <= row.end && row.end > Duration::ZERO,
            _ => now < row.end,
        }
    }
}

#[async_trait]
impl Leases for Broken {
    async fn acquire(&self, name: &str, time: Duration) -> Result<Option<Lease>, StoreError> {
        let key = self.name(name);
        let looked = lock(&self.rows).get(&key).copied();
        if self.flaw == Flaw::LooksFirst {
            // Others look as well, before this one takes it.
            tokio::task::yield_now().await;
        }
        let mut rows = lock(&self.rows);
        let current = if self.flaw == Flaw::LooksFirst { looked } else { rows.get(&key).copied() };
        if current.is_some_and(|row| self.is_held(row)) {
            match self.flaw {
                Flaw::GivesToAll => {}
                Flaw::ItsHolderMayTakeItAgain => {
                    return Ok(current.map(|row| Lease { name: name.to_owned(), epoch: row.epoch }));
                }
                _ => return Ok(None),
            }
        }
        let epoch = match self.flaw {
            Flaw::TheSameEpoch => 1,
            Flaw::CountsFromTheBeginning if current.is_some_and(|row| row.end == Duration::ZERO) => 1,
            _ => current.map_or(1, |row| row.epoch + 1),
        };
        rows.insert(key, Row { epoch, end: self.end(time) });
        Ok(Some(Lease { name: name.to_owned(), epoch }))
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<bool, StoreError> {
        let end = self.end(time);
        let mut rows = lock(&self.rows);
        let Some(row) = rows.get_mut(&self.name(&lease.name)) else { return Ok(self.flaw == Flaw::AnyoneRenews) };
        let is_holder = match self.flaw {
            Flaw::AnyoneRenews => true,
            Flaw::AnEarlierHolderRenews => lease.epoch <= row.epoch,
            _ => lease.epoch == row.epoch,
        };
        let is_alive = match self.flaw {
            Flaw::RevivesTheEnded => row.end > Duration::ZERO,
            Flaw::ReleasedOnesAreRenewed => row.end == Duration::ZERO || self.is_held(*row),
            _ => self.is_held(*row),
        };
        if !is_holder || !is_alive {
            return Ok(false);
        }
        match self.flaw {
            Flaw::IsNotProlonged => {}
            Flaw::IsNotShortened => row.end = row.end.max(end),
            _ => row.end = end,
        }
        Ok(true)
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        if let Some(row) = lock(&self.rows).get_mut(&self.name(&lease.name)) {
            let may = match self.flaw {
                Flaw::AnyoneReleases => true,
                Flaw::AnEarlierHolderReleases => lease.epoch <= row.epoch,
                Flaw::NobodyReleases => false,
                _ => lease.epoch == row.epoch,
            };
            if may {
                row.end = Duration::ZERO;
            }
        }
        Ok(())
    }
}

super::each_case_fails! {
    leases, broken,
    one_holder_at_a_time: [
        Flaw::GivesToAll,
        Flaw::LooksFirst,
        Flaw::ItsHolderMayTakeItAgain,
        Flaw::OneForAllNames,
        Flaw::FoldsNames,
        Flaw::NobodyReleases,
    ],
    a_lease_ends_by_itself: [
        Flaw::NeverEnds,
        Flaw::EndsTooEarly,
        Flaw::EndsTooLate,
        Flaw::IsNotProlonged,
        Flaw::IsNotShortened,
        Flaw::RevivesTheEnded,
        Flaw::LongOnesEndAtOnce,
    ],
    each_holder_has_a_greater_epoch_than_all_before: [Flaw::TheSameEpoch, Flaw::CountsFromTheBeginning],
    only_its_holder_renews_or_releases: [
        Flaw::AnyoneRenews,
        Flaw::AnyoneReleases,
        Flaw::AnEarlierHolderRenews,
        Flaw::AnEarlierHolderReleases,
        Flaw::ReleasedOnesAreRenewed,
    ],
}
