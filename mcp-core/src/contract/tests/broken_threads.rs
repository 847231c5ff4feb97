//! Threads in stores that break their promises.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::caller::{Principal, Tenant};
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::contract::threads::thread as plain;
use crate::memory::MemoryThreads;
use crate::store::threads::{Message, MessageId, Place, Placed, Thread, ThreadId, Threads};
use crate::store::words::words;
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    CutsAtNul,
    ForgetsTheRole,
    ForgetsTheTime,
    InTheOrderOfIds,
    AfterIncludes,
    OneMessageTooMany,
    TheFirstComeFirst,
    LatestIncludesThePlace,
    OneOfTheLatestTooMany,
    KeepsBoth,
    TheLastStays,
    TheLastThreadStays,
    OneIdForAllThreads,
    SaysThatItIsNotThere,
    OldestThreadFirst,
    BeforeIncludes,
    OneThreadTooMany,
    NeverRemoves,
    KeepsTheMessages,
    RemovesAll,
    AlwaysSaysThatItRemoved,
    MakesTheThread,
    NeverSaysThatItIsNotThere,
    AnyOwner,
    AnyTenant,
    JoinsTheNames,
    HalfWords,
    AnyWord,
    MindsCase,
    FindsAllWithoutWords,
    CutsLongWords,
    SearchesRolesToo,
    OldestFoundFirst,
    SearchIncludesThePlace,
    OneFoundTooMany,
    OneThreadAfterTheOther,
}

/// Threads; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    sound: MemoryThreads,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.threads = Arc::new(Broken { flaw, sound: MemoryThreads::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn caller(&self, tenant: &Tenant, owner: &Principal) -> (Tenant, Principal) {
        match self.flaw {
            Flaw::AnyOwner => (tenant.clone(), Principal::from("anyone")),
            Flaw::AnyTenant => (Tenant::from("all"), owner.clone()),
            Flaw::JoinsTheNames => (Tenant::from("all"), Principal::from(format!("{tenant}{owner}"))),
            _ => (tenant.clone(), owner.clone()),
        }
    }

    async fn all(&self, (tenant, owner): &(Tenant, Principal)) -> Result<Vec<Placed>, StoreError> {
        let mut all = Vec::new();
        for thread in self.sound.list(tenant, owner, None, u16::MAX).await? {
            all.extend(self.sound.messages(tenant, owner, thread.id, None, u16::MAX).await?);
        }
        Ok(all)
    }

    fn words(&self, text: &str) -> BTreeSet<String> {
        let cut = |mut word: String| {
            if self.flaw == Flaw::CutsLongWords {
                word.truncate(word.floor_char_boundary(32_768));
            }
            word
        };
        match self.flaw {
            Flaw::MindsCase => {
                let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
                words.map(str::to_owned).collect()
            }
            _ => words(text).map(cut).collect(),
        }
    }

    fn holds(&self, message: &Message, wanted: &BTreeSet<String>) -> bool {
        let text = match self.flaw {
            Flaw::SearchesRolesToo => format!("{} {}", message.role, message.text),
            _ => message.text.clone(),
        };
        match self.flaw {
            Flaw::HalfWords => wanted.iter().all(|word| text.to_lowercase().contains(word)),
            Flaw::AnyWord => !wanted.is_disjoint(&self.words(&text)),
            _ => wanted.is_subset(&self.words(&text)),
        }
    }
}

#[async_trait]
impl Threads for Broken {
    async fn create(&self, tenant: &Tenant, owner: &Principal, thread: &Thread) -> Result<(), StoreError> {
        let (tenant, owner) = self.caller(tenant, owner);
        if self.flaw == Flaw::TheLastThreadStays {
            let had = self.sound.messages(&tenant, &owner, thread.id, None, u16::MAX).await?;
            self.sound.remove(&tenant, &owner, thread.id).await?;
            self.sound.create(&tenant, &owner, thread).await?;
            for placed in had {
                self.sound.append(&tenant, &owner, thread.id, &placed.message).await?;
            }
        }
        self.sound.create(&tenant, &owner, thread).await
    }

    async fn append(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        message: &Message,
    ) -> Result<bool, StoreError> {
        let (caller, mut message) = (self.caller(tenant, owner), message.clone());
        let known = self.all(&caller).await?;
        let is_known = known.iter().any(|placed| placed.message.id == message.id && placed.thread == thread);
        let is_known_anywhere = known.iter().any(|placed| placed.message.id == message.id);
        match self.flaw {
            Flaw::CutsAtNul => message.text = message.text.split('\0').next().unwrap_or_default().to_owned(),
            Flaw::ForgetsTheRole => message.role = "user".to_owned(),
            Flaw::ForgetsTheTime => message.at = Default::default(),
            Flaw::KeepsBoth if is_known => message.id = MessageId::from_u128(u128::MAX),
            Flaw::OneIdForAllThreads if is_known_anywhere => return Ok(true),
            Flaw::TheLastStays if is_known => {
                self.sound.remove(&caller.0, &caller.1, thread).await?;
                self.sound.create(&caller.0, &caller.1, &plain(thread.as_u128())).await?;
            }
            Flaw::MakesTheThread => {
                let made = plain(thread.as_u128());
                self.sound.create(&caller.0, &caller.1, &made).await?;
            }
            _ => {}
        }
        let is_there = self.sound.append(&caller.0, &caller.1, thread, &message).await?;
        match self.flaw {
            Flaw::SaysThatItIsNotThere => Ok(is_there && !is_known),
            Flaw::NeverSaysThatItIsNotThere => Ok(true),
            _ => Ok(is_there),
        }
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        before: Option<ThreadId>,
        limit: u16,
    ) -> Result<Vec<Thread>, StoreError> {
        let (tenant, owner) = self.caller(tenant, owner);
        let mut threads = self.sound.list(&tenant, &owner, None, u16::MAX).await?;
        if self.flaw == Flaw::OldestThreadFirst {
            threads.reverse();
        }
        threads.retain(|thread| match self.flaw {
            Flaw::BeforeIncludes => before.is_none_or(|before| thread.id <= before),
            _ => before.is_none_or(|before| thread.id < before),
        });
        threads.truncate(usize::from(limit) + usize::from(self.flaw == Flaw::OneThreadTooMany));
        Ok(threads)
    }

    async fn messages(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        after: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let (tenant, owner) = self.caller(tenant, owner);
        let mut messages = self.sound.messages(&tenant, &owner, thread, None, u16::MAX).await?;
        if self.flaw == Flaw::InTheOrderOfIds {
            messages.sort_by_key(|placed| placed.message.id);
        }
        messages.retain(|placed| match self.flaw {
            Flaw::AfterIncludes => after.is_none_or(|after| placed.place >= after),
            _ => after.is_none_or(|after| placed.place > after),
        });
        messages.truncate(usize::from(limit) + usize::from(self.flaw == Flaw::OneMessageTooMany));
        Ok(messages)
    }

    async fn latest(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let (tenant, owner) = self.caller(tenant, owner);
        let mut messages = self.sound.messages(&tenant, &owner, thread, None, u16::MAX).await?;
        if self.flaw != Flaw::TheFirstComeFirst {
            messages.reverse();
        }
        messages.retain(|placed| match self.flaw {
            Flaw::LatestIncludesThePlace => before.is_none_or(|before| placed.place <= before),
            _ => before.is_none_or(|before| placed.place < before),
        });
        messages.truncate(usize::from(limit) + usize::from(self.flaw == Flaw::OneOfTheLatestTooMany));
        Ok(messages)
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, thread: ThreadId) -> Result<bool, StoreError> {
        let (tenant, owner) = self.caller(tenant, owner);
        let threads = self.sound.list(&tenant, &owner, None, u16::MAX).await?;
        let is_there = threads.iter().any(|own| own.id == thread);
        match self.flaw {
            Flaw::NeverRemoves => return Ok(is_there),
            Flaw::RemovesAll => {
                for own in threads {
                    self.sound.remove(&tenant, &owner, own.id).await?;
                }
                return Ok(is_there);
            }
            _ => {}
        }
        let had = self.sound.messages(&tenant, &owner, thread, None, u16::MAX).await?;
        let removed = self.sound.remove(&tenant, &owner, thread).await?;
        if self.flaw == Flaw::KeepsTheMessages {
            // Under an id by which nobody asks: a search finds them all the same.
            let hidden = plain(0);
            self.sound.create(&tenant, &owner, &hidden).await?;
            for placed in had {
                self.sound.append(&tenant, &owner, hidden.id, &placed.message).await?;
            }
        }
        Ok(removed || self.flaw == Flaw::AlwaysSaysThatItRemoved)
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let wanted = self.words(query);
        if wanted.is_empty() && self.flaw != Flaw::FindsAllWithoutWords {
            return Ok(Vec::new());
        }
        let mut found = self.all(&self.caller(tenant, owner)).await?;
        if self.flaw != Flaw::OneThreadAfterTheOther {
            found.sort_by_key(|placed| placed.place);
        }
        if self.flaw != Flaw::OldestFoundFirst {
            found.reverse();
        }
        found.retain(|placed| {
            let is_wanted = match self.flaw {
                Flaw::SearchIncludesThePlace => before.is_none_or(|before| placed.place <= before),
                _ => before.is_none_or(|before| placed.place < before),
            };
            is_wanted && self.holds(&placed.message, &wanted)
        });
        found.truncate(usize::from(limit) + usize::from(self.flaw == Flaw::OneFoundTooMany));
        Ok(found)
    }
}

super::each_case_fails! {
    threads, broken,
    an_appended_message_is_read_back: [Flaw::CutsAtNul, Flaw::ForgetsTheRole, Flaw::ForgetsTheTime],
    messages_stay_in_the_order_of_appending: [Flaw::InTheOrderOfIds, Flaw::AfterIncludes, Flaw::OneMessageTooMany],
    the_latest_come_first: [Flaw::TheFirstComeFirst, Flaw::LatestIncludesThePlace, Flaw::OneOfTheLatestTooMany],
    the_same_id_twice_is_one_thread_and_one_message: [
        Flaw::KeepsBoth,
        Flaw::TheLastStays,
        Flaw::TheLastThreadStays,
        Flaw::OneIdForAllThreads,
        Flaw::SaysThatItIsNotThere,
    ],
    threads_are_listed_newest_first: [Flaw::OldestThreadFirst, Flaw::BeforeIncludes, Flaw::OneThreadTooMany],
    a_removed_thread_is_gone: [
        Flaw::NeverRemoves,
        Flaw::KeepsTheMessages,
        Flaw::RemovesAll,
        Flaw::AlwaysSaysThatItRemoved,
    ],
    nothing_is_appended_to_a_thread_that_is_not_there: [Flaw::MakesTheThread, Flaw::NeverSaysThatItIsNotThere],
    callers_are_apart: [Flaw::AnyOwner, Flaw::AnyTenant, Flaw::JoinsTheNames],
    search_finds_whole_words_in_any_case: [
        Flaw::HalfWords,
        Flaw::AnyWord,
        Flaw::MindsCase,
        Flaw::FindsAllWithoutWords,
        Flaw::CutsLongWords,
        Flaw::SearchesRolesToo,
    ],
    search_shows_the_newest_first: [
        Flaw::OldestFoundFirst,
        Flaw::SearchIncludesThePlace,
        Flaw::OneFoundTooMany,
        Flaw::OneThreadAfterTheOther,
    ],
}
