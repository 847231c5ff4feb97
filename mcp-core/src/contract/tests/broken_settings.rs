//! Settings that break their promises.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use crate::caller::Tenant;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::settings::{Key, LARGEST, Setting, Settings};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    TextOnly,
    KeepsTheFirst,
    TellsAnotherVersion,
    StoresBlindly,
    OverwritesWhatWasNotSeen,
    MakesWhatWasSeen,
    RemovesBlindly,
    LooksFirst,
    CountsFromTheBeginning,
    SaysThatItIsUnavailable,
    NeverRemoves,
    RemovedOnesAreListed,
    RemovingAgainFails,
    RemovesTheLikes,
    InTheOrderOfStoring,
    InTheOrderOfWords,
    APrefixIsAPattern,
    AnyPartIsAPrefix,
    TheSameOnceMore,
    AsManyAsThereAre,
    StopsAtTheLastCharacter,
    FoldsNames,
    SharedTenants,
    JoinsTheNames,
    TheHouseIsATenant,
    TheHouseIsTheTenantOfThatName,
    TakesAnySize,
    RefusesTheLargest,
}

/// Settings in a list; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    rows: Mutex<Vec<(Key, Setting)>>,
    last_version: Mutex<u64>,
    removed: Mutex<Vec<(Key, Setting)>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.settings =
        Arc::new(Broken { flaw, rows: Mutex::default(), last_version: Mutex::default(), removed: Mutex::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn key(&self, key: &Key) -> Key {
        let tenant = key.tenant().map_or("", Tenant::as_str);
        match self.flaw {
            Flaw::FoldsNames => match key.tenant() {
                Some(tenant) => Key::of(tenant, key.name().to_lowercase()),
                None => Key::of_the_house(key.name().to_lowercase()),
            },
            Flaw::SharedTenants => Key::of_the_house(key.name()),
            Flaw::JoinsTheNames => Key::of_the_house(format!("{tenant}{}", key.name())),
            Flaw::TheHouseIsATenant => Key::of(&Tenant::from(tenant), key.name()),
            Flaw::TheHouseIsTheTenantOfThatName => {
                Key::of(&Tenant::from(key.tenant().map_or("house", Tenant::as_str)), key.name())
            }
            _ => key.clone(),
        }
    }

    fn version(&self, key: &Key) -> Option<u64> {
        lock(&self.rows).iter().find(|(own, _)| own == key).map(|(_, setting)| setting.version)
    }

    fn conflict(&self) -> StoreError {
        match self.flaw {
            Flaw::SaysThatItIsUnavailable => StoreError::Unavailable { store: "settings", source: None },
            _ => StoreError::Conflict { store: "settings" },
        }
    }
}

#[async_trait]
impl Settings for Broken {
    async fn load(&self, key: &Key) -> Result<Option<Setting>, StoreError> {
        let key = self.key(key);
        let mut found = lock(&self.rows).iter().find(|(own, _)| *own == key).map(|(_, setting)| setting.clone());
        if let Some(setting) = &mut found
            && self.flaw == Flaw::TellsAnotherVersion
        {
            setting.version += 1_000;
        }
        Ok(found)
    }

    async fn store(&self, key: &Key, mut value: Bytes, seen: Option<u64>) -> Result<u64, StoreError> {
        let largest = if self.flaw == Flaw::RefusesTheLargest { LARGEST - 1 } else { LARGEST };
        if value.len() > largest && self.flaw != Flaw::TakesAnySize {
            return Err(StoreError::Refused { store: "settings", source: None });
        }
        let key = self.key(key);
        let current = self.version(&key);
        let may = match self.flaw {
            Flaw::StoresBlindly => true,
            Flaw::OverwritesWhatWasNotSeen => seen.is_none() || current == seen,
            Flaw::MakesWhatWasSeen => current.is_none() || current == seen,
            _ => current == seen,
        };
        if !may {
            return Err(self.conflict());
        }
        if self.flaw == Flaw::LooksFirst {
            // Others look as well, before this one stores.
            tokio::task::yield_now().await;
        }
        if self.flaw == Flaw::TextOnly {
            value = String::from_utf8_lossy(&value).into_owned().into();
        }
        let version = match self.flaw {
            Flaw::CountsFromTheBeginning => current.unwrap_or_default() + 1,
            _ => {
                let mut last = lock(&self.last_version);
                *last += 1;
                *last
            }
        };
        let mut rows = lock(&self.rows);
        match rows.iter_mut().find(|(own, _)| *own == key) {
            Some((_, setting)) if self.flaw == Flaw::KeepsTheFirst => setting.version = version,
            Some((_, setting)) => *setting = Setting { value, version },
            None => rows.push((key, Setting { value, version })),
        }
        Ok(version)
    }

    async fn remove(&self, key: &Key, seen: u64) -> Result<(), StoreError> {
        let key = self.key(key);
        match self.version(&key) {
            None if self.flaw == Flaw::RemovingAgainFails => return Err(self.conflict()),
            Some(version) if version != seen && self.flaw != Flaw::RemovesBlindly => return Err(self.conflict()),
            _ => {}
        }
        let mut rows = lock(&self.rows);
        match self.flaw {
            Flaw::NeverRemoves => {}
            Flaw::RemovesTheLikes => rows.retain(|(own, _)| !own.name().starts_with(key.name())),
            _ => lock(&self.removed).extend(rows.extract_if(.., |(own, _)| *own == key)),
        }
        Ok(())
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: u16) -> Result<Vec<(String, Setting)>, StoreError> {
        let (asked, prefix) = (prefix.name().to_owned(), self.key(prefix));
        let mut rows = lock(&self.rows).clone();
        if self.flaw == Flaw::RemovedOnesAreListed {
            rows.extend(lock(&self.removed).iter().cloned());
        }
        match self.flaw {
            Flaw::InTheOrderOfStoring => {}
            Flaw::InTheOrderOfWords => rows.sort_by_key(|(key, _)| (key.name().to_lowercase(), key.name().to_owned())),
            _ => rows.sort_by(|(one, _), (other, _)| one.cmp(other)),
        }
        rows.retain(|(key, _)| {
            let (name, prefix_name) = (key.name(), prefix.name());
            let begins = match self.flaw {
                Flaw::AnyPartIsAPrefix => name.contains(prefix_name),
                Flaw::APrefixIsAPattern => {
                    let fits = |(one, other): (char, char)| one == other || one == '_';
                    name.chars().count() >= prefix_name.chars().count()
                        && prefix_name.chars().zip(name.chars()).all(fits)
                }
                Flaw::StopsAtTheLastCharacter => {
                    name.starts_with(prefix_name) && *name < *format!("{prefix_name}\u{10ffff}")
                }
                _ => name.starts_with(prefix_name),
            };
            let is_later = match self.flaw {
                Flaw::TheSameOnceMore => after.is_none_or(|after| name >= after),
                _ => after.is_none_or(|after| name > after),
            };
            key.tenant() == prefix.tenant() && begins && is_later
        });
        if self.flaw != Flaw::AsManyAsThereAre {
            rows.truncate(limit.into());
        }
        let shown = |key: Key| if key.name() == prefix.name() { asked.clone() } else { key.name().to_owned() };
        Ok(rows.into_iter().map(|(key, setting)| (shown(key), setting)).collect())
    }
}

super::each_case_fails! {
    settings, broken,
    a_stored_value_is_loaded: [Flaw::TextOnly, Flaw::KeepsTheFirst, Flaw::TellsAnotherVersion],
    only_what_was_seen_is_changed: [
        Flaw::StoresBlindly,
        Flaw::OverwritesWhatWasNotSeen,
        Flaw::MakesWhatWasSeen,
        Flaw::RemovesBlindly,
        Flaw::LooksFirst,
        Flaw::CountsFromTheBeginning,
        Flaw::SaysThatItIsUnavailable,
    ],
    what_is_removed_is_gone: [
        Flaw::NeverRemoves,
        Flaw::RemovedOnesAreListed,
        Flaw::RemovingAgainFails,
        Flaw::RemovesTheLikes,
    ],
    a_list_is_in_the_order_of_names: [
        Flaw::InTheOrderOfStoring,
        Flaw::InTheOrderOfWords,
        Flaw::APrefixIsAPattern,
        Flaw::AnyPartIsAPrefix,
        Flaw::TheSameOnceMore,
        Flaw::AsManyAsThereAre,
        Flaw::StopsAtTheLastCharacter,
    ],
    keys_are_apart: [
        Flaw::FoldsNames,
        Flaw::SharedTenants,
        Flaw::JoinsTheNames,
        Flaw::TheHouseIsATenant,
        Flaw::TheHouseIsTheTenantOfThatName,
    ],
    a_value_is_small: [Flaw::TakesAnySize, Flaw::RefusesTheLargest],
}
