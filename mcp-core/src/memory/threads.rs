//! Threads in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use super::records::overdue;
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::records::Keep;
use crate::store::threads::{Message, MessageId, Place, Placed, Thread, ThreadId, Threads};
use crate::store::words::words;

/// [`Threads`] in memory: at most [`MemoryThreads::CAPACITY`] threads and as many messages, of [`MemoryThreads::BYTES`] together.
/// The oldest messages go first, and the oldest threads with theirs.
#[derive(Default)]
pub struct MemoryThreads {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    threads: BTreeMap<Key, Thread>,
    /// In the order in which they were begun.
    ages: BTreeMap<u64, Key>,
    messages: BTreeMap<Place, (Key, Message)>,
    places: BTreeMap<(Key, MessageId), Place>,
    /// Of threads and of messages.
    last: u64,
    bytes: usize,
}

type Key = (Tenant, Principal, ThreadId);

impl MemoryThreads {
    /// How many threads, and how many messages, it holds at the most.
    pub const CAPACITY: usize = 10_000;

    /// How many bytes titles and messages have together at the most.
    pub const BYTES: usize = 64 * 1024 * 1024;
}

impl MemoryThreads {
    /// The messages that are not to be kept; where there are none, the threads that were begun before, and in which nothing is.
    pub(super) fn remove_overdue(&self, keep: Keep, batch: u16) -> u64 {
        let state = &mut *lock(&self.state);
        let rows: Vec<_> = state.messages.iter().map(|(place, (key, message))| (&key.0, message.at, *place)).collect();
        let messages = overdue(&rows, keep, batch);
        messages.iter().for_each(|place| state.forget(*place));
        if !messages.is_empty() {
            return messages.len() as u64;
        }
        let is_old = |thread: &Thread| keep.since.is_some_and(|since| thread.created < since);
        let threads = state.threads.iter().filter(|(key, thread)| is_old(thread) && state.places_of(key).is_empty());
        let threads: Vec<_> = threads.map(|(key, _)| key.clone()).take(batch.into()).collect();
        for key in &threads {
            state.remove(key);
        }
        threads.len() as u64
    }

    /// Messages of somebody's; where there are none, threads.
    pub(super) fn remove_all_of(&self, tenant: &Tenant, owner: &Principal, batch: u16) -> u64 {
        let state = &mut *lock(&self.state);
        let is_theirs = |(of, by, _): &Key| of == tenant && by == owner;
        let messages = state.messages.iter().filter(|(_, (key, _))| is_theirs(key)).map(|(place, _)| *place);
        let messages: Vec<_> = messages.take(batch.into()).collect();
        messages.iter().for_each(|place| state.forget(*place));
        if !messages.is_empty() {
            return messages.len() as u64;
        }
        let threads: Vec<_> = state.threads.keys().filter(|key| is_theirs(key)).take(batch.into()).cloned().collect();
        for key in &threads {
            state.remove(key);
        }
        threads.len() as u64
    }
}

impl State {
    /// Removes a thread with its messages, and tells whether there was one.
    fn remove(&mut self, key: &Key) -> bool {
        let Some(thread) = self.threads.remove(key) else { return false };
        self.bytes -= thread.title.len();
        self.ages.retain(|_, of| of != key);
        self.forget_messages_of(key);
        true
    }

    fn forget(&mut self, place: Place) {
        if let Some((thread, message)) = self.messages.remove(&place) {
            self.bytes -= size(&message);
            self.places.remove(&(thread, message.id));
        }
    }

    fn forget_messages_of(&mut self, thread: &Key) {
        let places = self.places_of(thread);
        places.into_iter().for_each(|place| self.forget(place));
    }

    /// In their order.
    fn places_of(&self, thread: &Key) -> BTreeSet<Place> {
        let id = |bits| (thread.clone(), MessageId::from_u128(bits));
        self.places.range(id(0)..=id(u128::MAX)).map(|(_, place)| *place).collect()
    }

    fn forget_the_oldest(&mut self) {
        let is_too_large = |bytes| bytes > MemoryThreads::BYTES;
        while self.messages.len() > MemoryThreads::CAPACITY || is_too_large(self.bytes) {
            let Some((oldest, _)) = self.messages.first_key_value() else { break };
            self.forget(*oldest);
        }
        while self.threads.len() > MemoryThreads::CAPACITY || is_too_large(self.bytes) {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            self.forget_messages_of(&oldest);
            self.bytes -= self.threads.remove(&oldest).map_or(0, |thread| thread.title.len());
        }
    }
}

fn size(message: &Message) -> usize {
    message.role.len() + message.text.len()
}

fn key(tenant: &Tenant, owner: &Principal, thread: ThreadId) -> Key {
    (tenant.clone(), owner.clone(), thread)
}

fn placed((place, ((_, _, thread), message)): (&Place, &(Key, Message))) -> Placed {
    Placed { thread: *thread, place: *place, message: message.clone() }
}

#[async_trait]
impl Threads for MemoryThreads {
    async fn create(&self, tenant: &Tenant, owner: &Principal, thread: &Thread) -> Result<(), StoreError> {
        let (key, state) = (key(tenant, owner, thread.id), &mut *lock(&self.state));
        if !state.threads.contains_key(&key) {
            state.last += 1;
            state.bytes += thread.title.len();
            state.ages.insert(state.last, key.clone());
            state.threads.insert(key, thread.clone());
            state.forget_the_oldest();
        }
        Ok(())
    }

    async fn append(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        message: &Message,
    ) -> Result<bool, StoreError> {
        let (key, state) = (key(tenant, owner, thread), &mut *lock(&self.state));
        if !state.threads.contains_key(&key) {
            return Ok(false);
        }
        let id = (key.clone(), message.id);
        if !state.places.contains_key(&id) {
            state.last += 1;
            state.bytes += size(message);
            state.places.insert(id, state.last);
            state.messages.insert(state.last, (key, message.clone()));
            state.forget_the_oldest();
        }
        Ok(true)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        before: Option<ThreadId>,
        limit: u16,
    ) -> Result<Vec<Thread>, StoreError> {
        let id = ThreadId::from_u128;
        let state = lock(&self.state);
        let own = state.threads.range(key(tenant, owner, id(0))..=key(tenant, owner, id(u128::MAX))).rev();
        let own = own.map(|(_, thread)| thread).filter(|thread| before.is_none_or(|before| thread.id < before));
        Ok(own.take(limit.into()).cloned().collect())
    }

    async fn messages(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        after: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let key = key(tenant, owner, thread);
        let state = lock(&self.state);
        let places = state.places_of(&key).into_iter().filter(|place| after.is_none_or(|after| *place > after));
        Ok(places.take(limit.into()).filter_map(|place| state.messages.get_key_value(&place)).map(placed).collect())
    }

    async fn latest(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let key = key(tenant, owner, thread);
        let state = lock(&self.state);
        let places =
            state.places_of(&key).into_iter().rev().filter(|place| before.is_none_or(|before| *place < before));
        Ok(places.take(limit.into()).filter_map(|place| state.messages.get_key_value(&place)).map(placed).collect())
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, thread: ThreadId) -> Result<bool, StoreError> {
        Ok(lock(&self.state).remove(&key(tenant, owner, thread)))
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let wanted: BTreeSet<String> = words(query).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let holds = |text: &str| wanted.is_subset(&words(text).collect());
        let state = lock(&self.state);
        let found = state.messages.iter().rev().filter(|(place, ((of, by, _), message))| {
            of == tenant && by == owner && before.is_none_or(|before| **place < before) && holds(&message.text)
        });
        Ok(found.take(limit.into()).map(placed).collect())
    }
}
