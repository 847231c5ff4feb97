//! [`Clock`] and [`Spawner`] on a tokio runtime: the one file of this crate that knows where time and tasks come from.
#![expect(clippy::disallowed_methods, reason = "this is the seam through which time and tasks come in")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::clock::{Clock, Timestamp};
use crate::spawn::Spawner;

/// The machine's clock, and the timers of the tokio runtime that polls the wait.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp::from_micros(micros)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    /// # Panics
    /// When it is polled outside of a tokio runtime with time enabled.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        async move { tokio::time::sleep(duration).await }.boxed()
    }
}

/// Spawns on one tokio runtime.
#[derive(Clone, Debug)]
pub struct TokioSpawner {
    runtime: Option<Handle>,
}

impl TokioSpawner {
    /// Spawns on the runtime behind `handle`. Use this where requests are served by single-threaded workers, so that a call
    /// does not compete with them.
    pub fn on(handle: Handle) -> Self {
        Self { runtime: Some(handle) }
    }

    /// Spawns on whichever runtime the call is made on.
    pub fn current() -> Self {
        Self { runtime: None }
    }
}

impl Spawner for TokioSpawner {
    /// When made by [`TokioSpawner::current`] and called outside of a runtime, the task is dropped: this happens to what is
    /// dropped after its runtime, and a destructor must not panic.
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let runtime = self.runtime.clone().or_else(|| Handle::try_current().ok());
        if let Some(runtime) = runtime {
            drop(runtime.spawn(task));
        }
    }

    /// As many as the machine can run at once, and the runtime, where there is but one.
    fn threads(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.runtime.as_ref().map_or(processors, |runtime| runtime.metrics().num_workers().min(processors))
    }
}
