//! A clock that a test moves by hand.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{Clock, Timestamp};

/// Stands still until [`SimulatedClock::advance`]; clones show the same time. It begins at 2026-01-01T00:00:00Z.
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    elapsed: Arc<watch::Sender<Duration>>,
}

const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl SimulatedClock {
    /// A clock that has not moved yet.
    pub fn new() -> Self {
        Self { elapsed: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }

    /// Moves time on by `duration`, and wakes whoever has waited long enough.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += duration);
    }

    /// How many sleeps wait at this moment; tells a test that it may advance.
    pub fn sleepers(&self) -> usize {
        self.elapsed.receiver_count()
    }
}

impl Default for SimulatedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        START.after(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let due = self.monotonic() + duration;
        let mut elapsed = self.elapsed.subscribe();
        async move {
            // The sender outlives the wait or the test is over: either way there is nothing left to wait for.
            let _ = elapsed.wait_for(|elapsed| *elapsed >= due).await;
        }
        .boxed()
    }
}
