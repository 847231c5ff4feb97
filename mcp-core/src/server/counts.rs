//! What runs, and who listens, counted as long as it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The calls that run on the spawner.
#[derive(Default)]
pub(super) struct Running {
    count: AtomicUsize,
    ended: Notify,
}

impl Running {
    /// Counts one more, until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> RunningGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        RunningGuard(self.clone())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Completes when there are none.
    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Counts one call as running, as long as it lives.
pub(crate) struct RunningGuard(Arc<Running>);

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

/// The clients that listen.
#[derive(Default)]
pub(super) struct Listeners(Arc<AtomicUsize>);

impl Listeners {
    /// Counts one more, until the guard is dropped; `None` where there are `most`.
    pub(super) fn begin(&self, most: usize) -> Option<ListenerGuard> {
        let guard = ListenerGuard(self.0.clone());
        let others = self.0.fetch_add(1, Ordering::AcqRel);
        (others < most).then_some(guard)
    }
}

/// Counts one client as listening, as long as it lives.
pub(crate) struct ListenerGuard(Arc<AtomicUsize>);

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
