//! Concurrency comes in here, and nowhere else.

use futures_util::future::BoxFuture;

/// Runs a task to its end beside everything else. Core spawns nothing by itself.
pub trait Spawner: Send + Sync + 'static {
    /// Starts `task`. It must go on when the caller has gone.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// How many tasks can be at work at the same time: of calls that hold a thread while they are polled, so many are begun at once.
    /// One, where nothing is known.
    fn threads(&self) -> usize {
        1
    }
}
