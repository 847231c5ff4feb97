//! Work that outlives the process that began it: claimed by one process at a time, recorded step by step, and gone on with by
//! another one when the first is gone.
//!
//! ```
//! use mcp_core::run::{Repeatable, RunContext, RunError};
//! use mcp_core::{BuildError, Server};
//! # async fn send(to: &str, key: String) -> Result<(), RunError> { Ok(()) }
//!
//! /// Writes to everybody, each once, and says to how many.
//! async fn newsletter(cx: RunContext) -> Result<usize, RunError> {
//!     let readers: Vec<String> = cx.arguments()?;
//!     for reader in &readers {
//!         cx.effect(reader, Repeatable::No, |key| send(reader, key)).await?;
//!     }
//!     Ok(readers.len())
//! }
//!
//! # fn main() -> Result<(), BuildError> {
//! let server = Server::builder("news", "1.0.0").work("newsletter", newsletter).build()?;
//! # let _ = server;
//! # Ok(())
//! # }
//! ```

pub(crate) mod afar;
pub(crate) mod call;
mod context;
pub(crate) mod delta;
mod desk;
mod effect;
mod error;
mod flow;
mod forwarding;
mod held;
pub(crate) mod hints;
mod journal;
pub(crate) mod order;
mod tie;
pub(crate) mod watching;
mod workers;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use crate::store::runs::RunRecord;

pub use context::RunContext;
pub use delta::{Attempt, BadAttempt, ModelDelta};
pub use desk::{RunDesk, RunRefusal};
pub(crate) use effect::Begun;
pub use effect::Repeatable;
pub(crate) use error::of_store;
pub use error::{Cause, RunError};
pub use workers::{Workers, WorkersConfig};

/// A kind of work: what becomes of a run of this kind. An async function `Fn(RunContext) -> Result<T, RunError>` is one.
///
/// The work of a run is done from its beginning whenever another process goes on with it, or it was let go: what it did before it finds
/// through its context. So it asks for the same effects, records, pauses and inputs in the same order each time, and does to the world outside only what
/// it does by [`RunContext::effect`]. It spawns nothing that outlives it: what it spawned would go on when the run is another's.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Does the work, and gives what came of it, as JSON.
    ///
    /// It is dropped at any await when the run is lost, let go or cancelled.
    ///
    /// # Errors
    /// [`RunError`]: it ends the run, or the work is tried again.
    async fn run(&self, cx: RunContext) -> Result<Bytes, RunError>;

    /// Whether runs of this kind are to be claimed here at the moment. It is asked whenever they would be.
    fn is_wanted(&self) -> bool {
        true
    }

    /// Is told that a run was let go, to wait or to end, as it is now, and that this is written: for whoever tells others. What is not told,
    /// since the process is gone, is found by looking.
    async fn let_go(&self, run: &RunRecord) {
        let _ = run;
    }
}

#[async_trait]
impl<F, Fut, T> Work for F
where
    F: Fn(RunContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, RunError>> + Send,
    T: Serialize + Send,
{
    async fn run(&self, cx: RunContext) -> Result<Bytes, RunError> {
        let value = self(cx).await?;
        Ok(serde_json::to_vec(&value)?.into())
    }
}
