//! Notes in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::notes::{Note, Notes};
use crate::store::words::words;

/// The notes of all callers, in the order in which they were written.
#[derive(Default)]
pub(super) struct Shelf {
    by_order: BTreeMap<u64, (Key, Note)>,
    orders: HashMap<Key, u64>,
    last_order: u64,
    bytes: usize,
}

pub(super) type Key = (Tenant, Principal, String);

impl Shelf {
    fn put(&mut self, key: Key, note: Note) {
        self.last_order += 1;
        if let Some(order) = self.orders.insert(key.clone(), self.last_order) {
            self.remove(order);
        }
        self.bytes += size(&note);
        self.by_order.insert(self.last_order, (key, note));
        while self.orders.len() > MemoryStore::CAPACITY || self.bytes > MemoryStore::BYTES {
            let Some((oldest, _)) = self.by_order.first_key_value() else { break };
            self.forget(*oldest);
        }
    }

    /// All notes, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Key, &Note)> {
        self.by_order.iter().map(|(order, (key, note))| (*order, key, note))
    }

    pub(super) fn forget(&mut self, order: u64) {
        if let Some(key) = self.remove(order) {
            self.orders.remove(&key);
        }
    }

    fn remove(&mut self, order: u64) -> Option<Key> {
        let (key, note) = self.by_order.remove(&order)?;
        self.bytes -= size(&note);
        Some(key)
    }
}

fn size(note: &Note) -> usize {
    note.name.len() + note.text.len()
}

#[async_trait]
impl Notes for MemoryStore {
    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError> {
        let note = Note { name: name.to_owned(), text: text.to_owned(), written: self.clock.now() };
        lock(&self.notes).put((tenant.clone(), owner.clone(), name.to_owned()), note.clone());
        Ok(note)
    }

    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError> {
        let key = (tenant.clone(), owner.clone(), name.to_owned());
        let notes = lock(&self.notes);
        let note = notes.orders.get(&key).and_then(|order| notes.by_order.get(order));
        Ok(note.map(|(_, note)| note.clone()))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let notes = lock(&self.notes);
        let own = notes.by_order.values().filter(|((of, by, _), _)| of == tenant && by == owner).map(|(_, note)| note);
        let behind = own.filter(|note| after.is_none_or(|after| note.name.as_str() > after));
        let by_name: BTreeMap<_, _> = behind.map(|note| (&note.name, note)).collect();
        Ok(by_name.into_values().take(limit.into()).cloned().collect())
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let wanted: BTreeSet<String> = words(query).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let holds = |note: &Note| {
            let held: BTreeSet<String> = words(&note.name).chain(words(&note.text)).collect();
            wanted.is_subset(&held)
        };
        let notes = lock(&self.notes);
        let own = notes.by_order.values().rev().filter(|((of, by, _), _)| of == tenant && by == owner);
        Ok(own.map(|(_, note)| note).filter(|note| holds(note)).take(limit.into()).cloned().collect())
    }
}
