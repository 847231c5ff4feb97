//! Whether it is worth asking.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mcp_core::store::Cause;
use tokio::sync::watch;

/// Open while Redis does not answer. A beat that is not answered opens it, and so do [`MISSES`] commands in a row; a beat that is
/// answered closes it, and nothing else does.
pub(super) struct Breaker {
    misses: AtomicU32,
    /// Whether the log says that contact is lost.
    is_told: AtomicBool,
    contact: watch::Sender<Contact>,
}

/// Whether Redis answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It did not, when it was last asked.
    Lost,
    /// It does, without a break since this moment of the server's clock.
    Since(Duration),
}

const MISSES: u32 = 3;

impl Breaker {
    /// Open, until the first beat.
    pub(super) fn new() -> Self {
        Self { misses: AtomicU32::new(0), is_told: AtomicBool::new(false), contact: watch::Sender::new(Contact::Lost) }
    }

    pub(super) fn is_open(&self) -> bool {
        self.contact() == Contact::Lost
    }

    pub(super) fn contact(&self) -> Contact {
        *self.contact.borrow()
    }

    /// Tells of each beat that was answered, and of each time that contact is lost.
    pub(super) fn watch(&self) -> watch::Receiver<Contact> {
        self.contact.subscribe()
    }

    /// A command was answered.
    pub(super) fn served(&self) {
        if self.misses.load(Ordering::Relaxed) > 0 {
            self.misses.store(0, Ordering::Relaxed);
        }
    }

    /// A command was not answered.
    pub(super) fn missed(&self, cause: &Cause) {
        if self.misses.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES {
            self.open(cause);
        }
    }

    /// A beat was not answered.
    pub(super) fn open(&self, cause: &Cause) {
        self.misses.store(0, Ordering::Relaxed);
        self.contact.send_replace(Contact::Lost);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%cause, "Redis does not answer: until it does, results are not cached, limits are counted here, and sessions are unavailable");
        }
    }

    /// A beat was answered at the moment `now`.
    pub(super) fn beat(&self, now: Duration) {
        self.contact.send_modify(|contact| {
            if *contact == Contact::Lost {
                self.misses.store(0, Ordering::Relaxed);
                *contact = Contact::Since(now);
            }
        });
        if self.is_told.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis answers again");
        }
    }
}
