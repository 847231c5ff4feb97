//! Whether a run is in the middle of something, or waits.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::clock::Timestamp;
use crate::memory::lock;

/// What the futures of a run are about, at a moment at which none of them goes forward: a run that only waits is let go.
#[derive(Default)]
pub(super) struct Flow {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_flight: usize,
    waits: BTreeMap<u64, Wait>,
    last: u64,
}

/// For what a run waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// For an input, or for this moment.
    Until(Option<Timestamp>),
    /// For another process to go on with it.
    Relief,
}

impl Flow {
    /// Something is under way that must not be dropped, until the guard is.
    pub(super) fn busy(&self) -> Busy<'_> {
        lock(&self.state).in_flight += 1;
        Busy(self)
    }

    /// Somebody waits, until the guard is dropped.
    pub(super) fn waiting(&self, wait: Wait) -> Waiting<'_> {
        let mut state = lock(&self.state);
        state.last += 1;
        let number = state.last;
        state.waits.insert(number, wait);
        Waiting(self, number)
    }

    /// For what the run waits, if all that it does is to wait.
    pub(super) fn rest(&self) -> Option<Wait> {
        let state = lock(&self.state);
        if state.in_flight > 0 || state.waits.is_empty() {
            return None;
        }
        let mut moments = Vec::new();
        for wait in state.waits.values() {
            match wait {
                Wait::Relief => return Some(Wait::Relief),
                Wait::Until(moment) => moments.extend(*moment),
            }
        }
        Some(Wait::Until(moments.into_iter().min()))
    }
}

pub(super) struct Busy<'f>(&'f Flow);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).in_flight -= 1;
    }
}

pub(super) struct Waiting<'f>(&'f Flow, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).waits.remove(&self.1);
    }
}
