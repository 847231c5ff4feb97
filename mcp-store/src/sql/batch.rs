//! What is written in one transaction.

use mcp_core::store::StoreError;
use mcp_core::store::ledger::{CallRecord, Entry};

/// The entries of several commits, by what they are.
#[derive(Default)]
pub(super) struct Batch<'e> {
    /// Calls that have ended.
    pub(super) calls: Vec<&'e CallRecord>,
}

impl<'e> Batch<'e> {
    /// Sorts the entries of `commits`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is one that this version does not know.
    pub(super) fn of(commits: &[&'e [Entry]]) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for entry in commits.iter().copied().flatten() {
            match entry {
                Entry::Call(call) => batch.calls.push(call),
                _ => return Err(StoreError::Refused { store: "ledger", source: None }),
            }
        }
        Ok(batch)
    }
}
