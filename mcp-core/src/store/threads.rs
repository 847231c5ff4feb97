//! What was said, in order.

use async_trait::async_trait;

use super::StoreError;
use super::id::id;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Keeps each caller's threads, and the messages in them.
///
/// # Promises
/// - **an appended message is read back**: to the last byte, and from then on.
/// - **messages stay in the order of appending**: each has a greater place than all that were there; `after` a place come those that
///   are behind it, at most `limit`.
/// - **the latest come first**: of a thread, before a place, those that are nearest to it, in falling order, at most `limit`.
/// - **the same id twice is one thread and one message**: what was sent and has no answer can be sent again, and what is there
///   stays as it is. An id of a message is its thread's own.
/// - **threads are listed newest first**: in falling order of their ids; `before` an id come those that are older, at most `limit`.
/// - **a removed thread is gone**: with its messages, which no search finds; its owner's others stay.
/// - **nothing is appended to a thread that is not there**: and whoever asks is told.
/// - **callers are apart**: neither another principal's nor another tenant's threads are read, found, appended to, listed or
///   removed.
/// - **search finds whole words in any case**: a message is found if its text holds every word of the query (words as
///   [`words`](super::words::words) cuts them); a query without words finds nothing.
/// - **search shows the newest first**: by their places, whatever their threads; `before` a place come those that are older, at most
///   `limit`.
#[async_trait]
pub trait Threads: Send + Sync + 'static {
    /// Whether searches find anything. Where it is false, they do not: the texts of messages are encrypted.
    fn are_texts_searched(&self) -> bool {
        true
    }

    /// Begins a thread.
    ///
    /// Not cancel safe: a dropped future may or may not have begun it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when it cannot be stored.
    async fn create(&self, tenant: &Tenant, owner: &Principal, thread: &Thread) -> Result<(), StoreError>;

    /// Puts a message behind all others of a thread. It tells whether there is such a thread.
    ///
    /// Not cancel safe: a dropped future may or may not have appended.
    ///
    /// # Errors
    /// As [`Threads::create`].
    async fn append(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        message: &Message,
    ) -> Result<bool, StoreError>;

    /// The threads before `before`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when it holds what this version cannot
    /// read.
    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        before: Option<ThreadId>,
        limit: u16,
    ) -> Result<Vec<Thread>, StoreError>;

    /// The messages of a thread after the place `after`, at most `limit`; none, where there is no such thread.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Threads::list`].
    async fn messages(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        after: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError>;

    /// The messages of a thread before the place `before`, the last one first, at most `limit`; none, where there is no such thread.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Threads::list`].
    async fn latest(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError>;

    /// Removes a thread with its messages, and tells whether there was one.
    ///
    /// Not cancel safe: a dropped future may or may not have removed it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been removed.
    async fn remove(&self, tenant: &Tenant, owner: &Principal, thread: ThreadId) -> Result<bool, StoreError>;

    /// The owner's messages before the place `before` that hold every word of `query`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Threads::list`].
    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError>;
}

id! {
    /// The id of a thread, made before it is stored: a UUID of version 7 (RFC 9562), so that newer ids are greater. It reads and
    /// writes as the usual text.
    ThreadId, BadThreadId, "a thread"
}

id! {
    /// The id of a message, made before it is stored: a UUID of version 7 (RFC 9562). It reads and writes as the usual text.
    MessageId, BadMessageId, "a message"
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id, unique among its owner's threads.
    pub id: ThreadId,
    /// How it is shown.
    pub title: String,
    /// When it was begun.
    pub created: Timestamp,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, unique in its thread.
    pub id: MessageId,
    /// Who said it, in one word, such as `user`.
    pub role: String,
    /// What was said.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// Where a message stands: behind all that have smaller ones. Between two there may be none.
pub type Place = u64;

/// A message in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The thread in which it is.
    pub thread: ThreadId,
    /// Where it stands.
    pub place: Place,
    /// The message.
    pub message: Message,
}
