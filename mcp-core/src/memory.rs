//! Stores that live in this process: the contract, executable, and what tests use. Bounded; the oldest goes first, where nothing else is said.

mod blobs;
mod cache;
mod calls;
mod claims;
mod events;
mod files;
mod leases;
mod limits;
mod links;
mod notes;
mod principals;
pub(crate) mod records;
mod replicas;
mod runs;
mod sessions;
mod settings;
mod stats;
#[cfg(all(test, feature = "contract"))]
mod tests;
mod threads;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use calls::Calls;
use claims::Claims;
use notes::Shelf;
use runs::Journals;

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
/// [`Audit`](crate::store::audit::Audit), [`Idempotency`](crate::store::idempotency::Idempotency),
/// [`Runs`](crate::store::runs::Runs), [`Stats`](crate::store::stats::Stats) and
/// [`Notes`](crate::store::notes::Notes) in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    /// Of the calls that have keys.
    replicas: Arc<MemoryReplicas>,
    /// Locked before the calls, where both are.
    claims: Mutex<Claims>,
    calls: Mutex<Calls>,
    runs: Mutex<Journals>,
    notes: Mutex<Shelf>,
}

impl MemoryStore {
    /// How many calls, how many of their keys, how many runs, and how many notes are kept.
    pub const CAPACITY: usize = 10_000;

    /// How many bytes of calls, of runs, and of notes, are kept.
    pub const BYTES: usize = 64 * 1024 * 1024;

    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let replicas = Arc::new(MemoryReplicas::new(clock.clone()));
        Self {
            clock,
            replicas,
            claims: Mutex::default(),
            calls: Mutex::default(),
            runs: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// The replicas that it takes for alive.
    pub fn replicas(&self) -> Arc<MemoryReplicas> {
        self.replicas.clone()
    }
}

/// Locks a mutex whose data is sound at every moment, so that a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
