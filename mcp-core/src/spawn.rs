//! Concurrency comes in here, and nowhere else.

use futures_util::future::BoxFuture;

/// Runs a task to its end beside everything else. Core spawns nothing by itself.
pub trait Spawner: Send + Sync + 'static {
    /// Starts `task`. It must go on when the caller has gone.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}
