//! The sign that a call should end.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Set once, never taken back.
#[derive(Default)]
pub(crate) struct Cancellation {
    why: AtomicU8,
    changed: Notify,
}

/// Why a call should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Left = 1,
    TimedOut = 2,
}

impl Cancellation {
    /// Sets the sign; the first reason stays.
    pub(crate) fn cancel(&self, why: Why) {
        let _ = self.why.compare_exchange(0, why as u8, Ordering::AcqRel, Ordering::Acquire);
        self.changed.notify_waiters();
    }

    pub(crate) fn why(&self) -> Option<Why> {
        match self.why.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Why::Left),
            _ => Some(Why::TimedOut),
        }
    }

    pub(crate) async fn cancelled(&self) {
        // Made before the sign is read, it is woken by a sign that is set in between.
        let changed = self.changed.notified();
        if self.why().is_none() {
            changed.await;
        }
    }
}
