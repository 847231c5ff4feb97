//! Replicas in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::lock;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::replicas::{Living, Replica, ReplicaId, Replicas};

/// [`Replicas`] between those who share it, at most [`MemoryReplicas::CAPACITY`] at a time: with more, none joins.
pub struct MemoryReplicas {
    clock: Arc<dyn Clock>,
    /// With the monotonic time until which each lives.
    all: Mutex<HashMap<ReplicaId, (Replica, Duration)>>,
}

impl MemoryReplicas {
    /// How many live at a time at the most.
    pub const CAPACITY: usize = 1_000;

    /// There are none.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, all: Mutex::default() }
    }

    /// Whether a replica lives.
    pub(super) fn lives(&self, id: ReplicaId) -> bool {
        let now = self.clock.monotonic();
        lock(&self.all).get(&id).is_some_and(|(_, until)| now < *until)
    }

    /// One that lives, with the end of its time on the wall clock.
    fn living(&self, (replica, until): &(Replica, Duration)) -> Living {
        let left = until.saturating_sub(self.clock.monotonic());
        Living { replica: replica.clone(), until: self.clock.now().after(left) }
    }
}

#[async_trait]
impl Replicas for MemoryReplicas {
    async fn join(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError> {
        let now = self.clock.monotonic();
        let mut all = lock(&self.all);
        all.retain(|_, (_, until)| now < *until);
        let in_the_way = |other: &&(Replica, Duration)| other.0.id != replica.id && (other.0.alone || replica.alone);
        if let Some(other) = all.values().find(in_the_way) {
            return Ok(Some(self.living(other)));
        }
        if all.len() >= Self::CAPACITY && !all.contains_key(&replica.id) {
            return Err(StoreError::Unavailable { store: "replicas", source: None });
        }
        all.insert(replica.id, (replica.clone(), now.saturating_add(time)));
        Ok(None)
    }

    async fn leave(&self, id: ReplicaId) -> Result<(), StoreError> {
        lock(&self.all).remove(&id);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Living>, StoreError> {
        let now = self.clock.monotonic();
        let mut living: Vec<_> =
            lock(&self.all).values().filter(|(_, until)| now < *until).map(|one| self.living(one)).collect();
        living.sort_by_key(|living| (living.replica.started, living.replica.id));
        Ok(living)
    }
}
