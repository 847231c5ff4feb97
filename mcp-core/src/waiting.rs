//! So many may wait, and no more.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts those who wait.
pub(crate) struct WaitingRoom {
    waiting: AtomicUsize,
    most: usize,
}

impl WaitingRoom {
    /// There is room for so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: AtomicUsize::new(0), most }
    }

    /// Waits here, until what is given is dropped; nothing, where there is no room.
    pub(crate) fn enter(&self) -> Option<Waits<'_>> {
        let one_more = |now: usize| (now < self.most).then_some(now + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Waits(&self.waiting))
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Somebody who waits, until they do so no more.
pub(crate) struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
