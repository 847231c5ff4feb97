//! Notes that break their promises.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::notes::{Note, Notes};
use crate::store::words::words;
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    CutsAtNul,
    TrimsTheName,
    FoldsTheName,
    KeepsOldTexts,
    AnyOwner,
    AnyTenant,
    JoinsTheNames,
    HalfWords,
    AnyWord,
    MindsCase,
    FindsAllWithoutWords,
    FoldsAccents,
    CutsLongWords,
    TextAlone,
    OldestFirst,
    FirstWritingCounts,
    NoLimit,
    ListsAsWritten,
    ListsFromTheGivenOn,
    ListsAll,
    ListsFolded,
}

/// Notes in a list; sound, but for its flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    notes: Mutex<Vec<(String, Note)>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.notes = Arc::new(Broken { flaw, clock: clock.clone(), notes: Mutex::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn caller(&self, tenant: &Tenant, owner: &Principal) -> String {
        match self.flaw {
            Flaw::AnyOwner => format!("{tenant:?}"),
            Flaw::AnyTenant => format!("{owner:?}"),
            Flaw::JoinsTheNames => format!("{tenant}{owner}"),
            _ => format!("{tenant:?} {owner:?}"),
        }
    }

    fn name(&self, name: &str) -> String {
        match self.flaw {
            Flaw::TrimsTheName => name.trim_matches(|c: char| !c.is_alphanumeric()).to_owned(),
            Flaw::FoldsTheName => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }

    fn words(&self, text: &str) -> BTreeSet<String> {
        let words = match self.flaw {
            Flaw::MindsCase => {
                let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
                return words.map(str::to_owned).collect();
            }
            _ => words(text),
        };
        let fold = |mut word: String| {
            match self.flaw {
                Flaw::FoldsAccents => word = word.replace(['û', 'ú'], "u").replace('é', "e").replace('ö', "o"),
                Flaw::CutsLongWords => word.truncate(word.floor_char_boundary(32_768)),
                _ => {}
            }
            word
        };
        words.map(fold).collect()
    }

    fn holds(&self, note: &Note, wanted: &BTreeSet<String>) -> bool {
        let text = if self.flaw == Flaw::TextAlone { &note.text } else { &format!("{} {}", note.name, note.text) };
        match self.flaw {
            Flaw::HalfWords => wanted.iter().all(|word| text.to_lowercase().contains(word)),
            Flaw::AnyWord => !wanted.is_disjoint(&self.words(text)),
            _ => wanted.is_subset(&self.words(text)),
        }
    }
}

#[async_trait]
impl Notes for Broken {
    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError> {
        let written = Note { name: self.name(name), text: text.to_owned(), written: self.clock.now() };
        let mut kept = written.clone();
        if self.flaw == Flaw::CutsAtNul {
            kept.text = text.split('\0').next().unwrap_or_default().to_owned();
        }
        let caller = self.caller(tenant, owner);
        let mut notes = lock(&self.notes);
        let place = notes.iter().position(|(of, note)| *of == caller && note.name == written.name);
        match place {
            Some(place) if self.flaw == Flaw::FirstWritingCounts => notes[place].1 = kept,
            place => {
                if let Some(place) = place.filter(|_| self.flaw != Flaw::KeepsOldTexts) {
                    notes.remove(place);
                }
                notes.push((caller, kept));
            }
        }
        Ok(written)
    }

    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError> {
        let (caller, name) = (self.caller(tenant, owner), self.name(name));
        let notes = lock(&self.notes);
        Ok(notes.iter().rev().find(|(of, note)| *of == caller && note.name == name).map(|(_, note)| note.clone()))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let caller = self.caller(tenant, owner);
        let notes = lock(&self.notes);
        let own = notes.iter().filter(|(of, _)| *of == caller).map(|(_, note)| note);
        let mut listed: Vec<_> = own
            .filter(|note| match (after, self.flaw) {
                (Some(after), Flaw::ListsFromTheGivenOn) => *note.name >= *after,
                (Some(after), _) => *note.name > *after,
                (None, _) => true,
            })
            .cloned()
            .collect();
        match self.flaw {
            Flaw::ListsAsWritten => {}
            Flaw::ListsFolded => listed.sort_by_key(|note| note.name.to_lowercase()),
            _ => listed.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        if self.flaw != Flaw::ListsAll {
            listed.truncate(limit.into());
        }
        Ok(listed)
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let wanted = self.words(query);
        if wanted.is_empty() && self.flaw != Flaw::FindsAllWithoutWords {
            return Ok(Vec::new());
        }
        let caller = self.caller(tenant, owner);
        let notes = lock(&self.notes);
        let own = notes.iter().filter(|(of, _)| *of == caller).map(|(_, note)| note);
        let mut found: Vec<_> = own.filter(|note| self.holds(note, &wanted)).cloned().collect();
        if self.flaw != Flaw::OldestFirst {
            found.reverse();
        }
        if self.flaw != Flaw::NoLimit {
            found.truncate(limit.into());
        }
        Ok(found)
    }
}

super::each_case_fails! {
    notes, broken,
    a_written_note_is_read_back: [Flaw::CutsAtNul, Flaw::TrimsTheName, Flaw::FoldsTheName],
    writing_again_replaces: [Flaw::KeepsOldTexts],
    callers_are_apart: [Flaw::AnyOwner, Flaw::AnyTenant, Flaw::JoinsTheNames],
    search_finds_whole_words_in_any_case: [
        Flaw::HalfWords,
        Flaw::AnyWord,
        Flaw::MindsCase,
        Flaw::FindsAllWithoutWords,
        Flaw::FoldsAccents,
        Flaw::CutsLongWords,
        Flaw::TextAlone,
    ],
    search_shows_the_newest_first: [Flaw::OldestFirst, Flaw::FirstWritingCounts, Flaw::NoLimit],
    notes_are_listed_in_the_order_of_their_names: [
        Flaw::AnyOwner,
        Flaw::ListsAsWritten,
        Flaw::ListsFromTheGivenOn,
        Flaw::ListsAll,
        Flaw::ListsFolded,
    ],
}
