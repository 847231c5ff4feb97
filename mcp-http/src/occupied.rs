//! Whether a request is under way on a connection: what telemetry knows, and whoever watches the connection has to.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// The requests of one connection. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Occupied(Rc<State>);

#[derive(Default)]
struct State {
    begun: Cell<u64>,
    under_way: Cell<usize>,
    ended: Cell<Option<Instant>>,
}

impl Occupied {
    /// A request has begun: its head has come. It is under way until the guard is dropped.
    pub(crate) fn begin(&self) -> UnderWay {
        self.0.begun.set(self.0.begun.get() + 1);
        self.0.under_way.set(self.0.under_way.get() + 1);
        UnderWay(self.clone())
    }

    #[cfg(feature = "bundled")]
    pub(crate) fn is_under_way(&self) -> bool {
        self.0.under_way.get() > 0
    }

    /// How many have begun so far.
    #[cfg(feature = "bundled")]
    pub(crate) fn begun(&self) -> u64 {
        self.0.begun.get()
    }

    /// When the last of them ended.
    #[cfg(feature = "bundled")]
    pub(crate) fn ended(&self) -> Option<Instant> {
        self.0.ended.get()
    }
}

/// A request that is under way, as long as this lives.
pub(crate) struct UnderWay(Occupied);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.under_way.set(state.under_way.get().saturating_sub(1));
        state.ended.set(Some(Instant::now()));
    }
}
