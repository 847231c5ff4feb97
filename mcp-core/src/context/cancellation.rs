//! The sign that a call should end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Set once, never taken back.
#[derive(Default)]
pub(crate) struct Cancellation {
    set: AtomicBool,
    changed: Notify,
}

impl Cancellation {
    pub(crate) fn cancel(&self) {
        self.set.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        // Made before the sign is read, it is woken by a sign that is set in between.
        let changed = self.changed.notified();
        if !self.is_set() {
            changed.await;
        }
    }
}
