//! Stores that live in this process: the contract, executable, and what tests use. Bounded; the oldest goes first, where nothing else is said.

mod blobs;
mod cache;
mod calls;
mod events;
mod files;
mod leases;
mod limits;
mod links;
mod notes;
mod principals;
mod replicas;
mod sessions;
mod settings;
#[cfg(all(test, feature = "contract"))]
mod tests;
mod threads;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use calls::Calls;
use notes::Shelf;

pub use blobs::MemoryBlobs;
pub use cache::MemoryCache;
pub use events::MemoryEvents;
pub use files::MemoryFiles;
pub use leases::MemoryLeases;
pub use limits::MemoryLimits;
pub use principals::MemoryPrincipals;
pub use replicas::MemoryReplicas;
pub use sessions::MemorySessions;
pub use settings::MemorySettings;
pub use threads::MemoryThreads;

/// [`Ledger`](crate::store::ledger::Ledger), [`History`](crate::store::history::History),
/// [`Audit`](crate::store::audit::Audit) and [`Notes`](crate::store::notes::Notes) in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    calls: Mutex<Calls>,
    notes: Mutex<Shelf>,
}

impl MemoryStore {
    /// How many calls, and how many notes, are kept.
    pub const CAPACITY: usize = 10_000;

    /// How many bytes of calls, and how many of notes, are kept.
    pub const BYTES: usize = 64 * 1024 * 1024;

    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, calls: Mutex::default(), notes: Mutex::default() }
    }
}

/// Locks a mutex whose data is sound at every moment, so that a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
