//! Stores that live in this process: the contract, executable, and what tests use. Bounded; the oldest goes first.

mod cache;
mod calls;
mod notes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::store::ledger::CallRecord;
use crate::store::notes::Note;

pub use cache::MemoryCache;

/// [`Ledger`](crate::store::ledger::Ledger), [`History`](crate::store::history::History) and
/// [`Notes`](crate::store::notes::Notes) in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    calls: Mutex<VecDeque<CallRecord>>,
    notes: Mutex<BTreeMap<NoteKey, (u64, Note)>>,
}

type NoteKey = (Tenant, Principal, String);

impl MemoryStore {
    /// How many calls and how many notes are kept.
    pub const CAPACITY: usize = 10_000;

    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, calls: Mutex::default(), notes: Mutex::default() }
    }
}

/// Locks a mutex whose data is sound at every moment, so that a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
