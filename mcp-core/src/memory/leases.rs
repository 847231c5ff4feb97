//! Leases in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::lock;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::leases::{Lease, Leases};

/// [`Leases`] between those who share it, at most [`MemoryLeases::CAPACITY`] at a time: with more, none is given.
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The epoch and the end of each lease that was not released.
    held: HashMap<String, (u64, Duration)>,
    /// All names share it, so that a name may be forgotten once its lease has ended.
    last_epoch: u64,
}

impl MemoryLeases {
    /// How many leases are held at a time at the most.
    pub const CAPACITY: usize = 1_000;

    /// Nobody has any.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }
}

impl State {
    /// The end of a lease that has not come yet.
    fn end(&mut self, lease: &Lease, now: Duration) -> Option<&mut Duration> {
        let (epoch, end) = self.held.get_mut(&lease.name)?;
        (*epoch == lease.epoch && now < *end).then_some(end)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(&self, name: &str, time: Duration) -> Result<Option<Lease>, StoreError> {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        if state.held.get(name).is_some_and(|(_, end)| now < *end) {
            return Ok(None);
        }
        if state.held.len() >= Self::CAPACITY {
            state.held.retain(|_, (_, end)| now < *end);
        }
        if state.held.len() >= Self::CAPACITY {
            return Err(StoreError::Unavailable { store: "leases", source: None });
        }
        state.last_epoch += 1;
        let lease = Lease { name: name.to_owned(), epoch: state.last_epoch };
        state.held.insert(lease.name.clone(), (lease.epoch, now.saturating_add(time)));
        Ok(Some(lease))
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<bool, StoreError> {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        let end = state.end(lease, now);
        Ok(end.map(|end| *end = now.saturating_add(time)).is_some())
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        if state.end(&lease, now).is_some() {
            state.held.remove(&lease.name);
        }
        Ok(())
    }
}
