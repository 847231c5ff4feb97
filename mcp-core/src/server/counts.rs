//! What runs, and who listens, counted as long as it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::caller::{Caller, Principal, Tenant};
use crate::memory::lock;

/// The calls that take longer than one poll.
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

/// The streams that are open, by whose they are; as many as there may be.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Open>);

#[derive(Default)]
struct Open {
    all: usize,
    of: HashMap<Listener, usize>,
}

type Listener = (Tenant, Principal);

/// Why there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The server has as many as it takes.
    Server,
    /// The caller has.
    Caller,
}

impl Listeners {
    /// Counts one more of `caller`, until the guard is dropped.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        most: usize,
        most_of_caller: usize,
    ) -> Result<ListenerGuard, Full> {
        let listener = (caller.tenant().clone(), caller.principal().clone());
        let mut open = lock(&self.0);
        if open.all >= most {
            return Err(Full::Server);
        }
        let of_caller = open.of.get(&listener).copied().unwrap_or_default();
        if of_caller >= most_of_caller {
            return Err(Full::Caller);
        }
        open.of.insert(listener.clone(), of_caller + 1);
        open.all += 1;
        Ok(ListenerGuard { listeners: self.clone(), listener })
    }
}

/// Counts one stream as open, as long as it lives.
pub(crate) struct ListenerGuard {
    listeners: Arc<Listeners>,
    listener: Listener,
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        let mut open = lock(&self.listeners.0);
        open.all -= 1;
        if let Some(of_caller) = open.of.get_mut(&self.listener) {
            *of_caller -= 1;
            if *of_caller == 0 {
                open.of.remove(&self.listener);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_counted_for_each_caller_and_together_and_forgotten_with_the_last() {
        let (listeners, [ann, bob]) = (Arc::new(Listeners::default()), ["ann", "bob"].map(|who| Caller::new("t", who)));
        let begin = |caller| listeners.begin(caller, 3, 2);
        let of_ann = [begin(&ann).unwrap(), begin(&ann).unwrap()];
        assert_eq!(begin(&ann).err(), Some(Full::Caller));
        assert_eq!(listeners.begin(&Caller::new("other", "ann"), 3, 2).map(drop), Ok(()));
        let of_bob = begin(&bob).unwrap();
        assert_eq!(begin(&bob).err(), Some(Full::Server));
        drop((of_ann, of_bob));
        let open = lock(&listeners.0);
        assert_eq!((open.all, open.of.len()), (0, 0));
    }
}
