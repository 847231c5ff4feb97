//! Telling others that something happened.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::StoreError;

/// Tells whoever listens, in this process and in every replica, that something happened. It is a hint, and nothing is kept: who
/// must know everything looks where that is kept, whenever it is told that it missed some.
///
/// # Promises
/// - **who listens is told in order**: of each event that is published once `subscribe` has returned, or that it missed some.
/// - **topics are apart**: also those of two tenants, and those of the house.
/// - **a slow listener is told that it missed some**: at the place where they were; it holds nobody up, and takes little memory.
/// - **a payload is small**: one of more than [`LARGEST`] bytes is refused.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// Tells all who listen to `topic`.
    ///
    /// Cancel safe: a dropped future has told all of them or nobody.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some may not have been told, and some of them will be told that they missed something.
    /// [`StoreError::Refused`]: the payload is too large.
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), StoreError>;

    /// Listens to `topic` until the stream is dropped. It has no end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn subscribe(&self, topic: &Topic) -> Result<Listener, StoreError>;
}

/// What a listener is told.
pub type Listener = BoxStream<'static, Event>;

/// How many bytes a payload has at the most.
pub const LARGEST: usize = 8 * 1024;

/// One thing that a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What was published.
    Told(Bytes),
    /// There may have been others in this place.
    Missed,
}

/// What an event is about.
pub use super::key::Key as Topic;
