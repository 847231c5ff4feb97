//! Small texts that a caller keeps under names.

use async_trait::async_trait;

use super::StoreError;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Keeps each caller's notes.
///
/// # Promises
/// - **a written note is read back**: to the last byte, and from then on.
/// - **writing again replaces**: a name has one text, and only that is found.
/// - **callers are apart**: neither another principal's nor another tenant's notes are read, found or replaced.
/// - **search finds whole words in any case**: a note is found if its name or text holds every word of the query (words as
///   [`words`](super::words::words) cuts them); a query without words finds nothing.
/// - **search shows the newest first**: by the time of writing, and in the order of writing where that is the same; at most
///   `limit`.
/// - **notes are listed in the order of their names**: by their bytes; all that come after the given one, at most `limit`.
#[async_trait]
pub trait Notes: Send + Sync + 'static {
    /// Whether searches look at texts as well. Where it is false, they find by names alone: what is kept is encrypted.
    fn are_texts_searched(&self) -> bool {
        true
    }

    /// Writes `text` under `name`.
    ///
    /// Not cancel safe: a dropped future may or may not have written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when the note cannot be stored.
    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError>;

    /// The note of that name.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Notes::write`].
    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError>;

    /// The notes whose names come after `after`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Notes::write`].
    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError>;

    /// The notes that hold every word of `query`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Notes::write`].
    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError>;
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its name, unique among its owner's notes.
    pub name: String,
    /// What it says.
    pub text: String,
    /// When it was last written.
    pub written: Timestamp,
}
