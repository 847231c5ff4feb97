//! Notes in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::notes::{Note, Notes, words};

#[async_trait]
impl Notes for MemoryStore {
    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError> {
        let note = Note { name: name.to_owned(), text: text.to_owned(), written: self.clock.now() };
        let mut notes = lock(&self.notes);
        let latest = notes.values().map(|(order, _)| *order).max().unwrap_or(0);
        notes.insert((tenant.clone(), owner.clone(), name.to_owned()), (latest + 1, note.clone()));
        if notes.len() > Self::CAPACITY {
            let oldest = notes.iter().min_by_key(|(_, (order, _))| *order).map(|(key, _)| key.clone());
            oldest.and_then(|key| notes.remove(&key));
        }
        Ok(note)
    }

    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError> {
        let key = (tenant.clone(), owner.clone(), name.to_owned());
        Ok(lock(&self.notes).get(&key).map(|(_, note)| note.clone()))
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
        let notes = lock(&self.notes);
        let mut found: Vec<_> = notes
            .iter()
            .filter(|((of, by, _), _)| of == tenant && by == owner)
            .map(|(_, note)| note)
            .filter(|(_, note)| {
                let held: BTreeSet<String> = words(&note.name).chain(words(&note.text)).collect();
                wanted.is_subset(&held)
            })
            .collect();
        found.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        Ok(found.into_iter().take(limit.into()).map(|(_, note)| note.clone()).collect())
    }
}
