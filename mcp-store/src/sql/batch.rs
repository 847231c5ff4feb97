//! What is written in one transaction.

use mcp_core::store::StoreError;
use mcp_core::store::audit::{Head, Removal};
use mcp_core::store::ledger::{Answer, CallRecord, Entry};

use crate::ledger::Outrun;

/// The entries of several commits, by what they are.
#[derive(Default)]
pub(super) struct Batch<'e> {
    /// Calls that have ended.
    pub(super) calls: Vec<&'e CallRecord>,
    /// Calls with keys that were answered, each with the place of its commit, which is outrun if the call has lost its key.
    pub(super) answers: Vec<(usize, &'e Answer)>,
    /// What is taken away; none of it is in `calls`.
    pub(super) removals: Vec<&'e Removal>,
    /// The last links of what is taken away of chains.
    pub(super) checkpoints: Vec<&'e Head>,
}

impl<'e> Batch<'e> {
    /// Sorts the entries of `commits`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is one that this version does not know, a removal of too much, or a second answer
    /// in a commit.
    pub(super) fn of(commits: &[&'e [Entry]]) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        let entries = |(place, commit): (usize, &&'e [Entry])| commit.iter().map(move |entry| (place, entry));
        for (place, entry) in commits.iter().enumerate().flat_map(entries) {
            match entry {
                Entry::Call(call) => batch.calls.push(call),
                // Where one is outrun, no other of the same commit has been kept.
                Entry::Answer(answer) if batch.answers.last().is_none_or(|(last, _)| *last != place) => {
                    batch.answers.push((place, answer));
                }
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

/// The commits that were not outrun.
pub(super) fn left<'e>(commits: &[&'e [Entry]], outrun: &Outrun) -> Vec<&'e [Entry]> {
    let is_left = |place: &usize| outrun.binary_search(place).is_err();
    (0..commits.len()).filter(is_left).map(|place| commits[place]).collect()
}
