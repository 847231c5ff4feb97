//! What is written in one transaction.

use mcp_core::store::StoreError;
use mcp_core::store::audit::{Head, Removal};
use mcp_core::store::ledger::{CallRecord, Entry};

/// The entries of several commits, by what they are.
#[derive(Default)]
pub(super) struct Batch<'e> {
    /// Calls that have ended.
    pub(super) calls: Vec<&'e CallRecord>,
    /// What is taken away; none of it is in `calls`.
    pub(super) removals: Vec<&'e Removal>,
    /// The last links of what is taken away of chains.
    pub(super) checkpoints: Vec<&'e Head>,
}

impl<'e> Batch<'e> {
    /// Sorts the entries of `commits`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is one that this version does not know, or a removal of too much.
    pub(super) fn of(commits: &[&'e [Entry]]) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for entry in commits.iter().copied().flatten() {
            match entry {
                Entry::Call(call) => batch.calls.push(call),
                Entry::Removal(removal) if removal.calls.len() <= Removal::MOST => batch.remove(removal),
                // It is a link and nothing else.
                Entry::Anchor(_) => {}
                Entry::Checkpoint(head) => batch.checkpoints.push(head),
                _ => return Err(StoreError::Refused { store: "ledger", source: None }),
            }
        }
        Ok(batch)
    }

    fn remove(&mut self, removal: &'e Removal) {
        self.calls.retain(|call| call.tenant != removal.tenant || !removal.calls.contains(&call.id));
        self.removals.push(removal);
    }
}
