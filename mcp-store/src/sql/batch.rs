//! What is written in one transaction.

use mcp_core::store::StoreError;
use mcp_core::store::ledger::{CallRecord, Entry};
use mcp_core::store::runs::{Hold, Step, Turn};

use super::standing::Standing;
use crate::ledger::Outrun;

/// The entries of several commits, by what they are, without those that are there already.
#[derive(Default)]
pub(super) struct Batch<'e> {
    /// Calls that have ended.
    pub(super) calls: Vec<&'e CallRecord>,
    /// Steps of runs.
    pub(super) steps: Vec<(&'e Hold, &'e Step)>,
    /// Runs that are let go, each once.
    pub(super) turns: Vec<(&'e Hold, &'e Turn)>,
}

impl<'e> Batch<'e> {
    /// Sorts the entries of those `commits` that were not outrun.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is one that this version does not know.
    pub(super) fn of(commits: &[&'e [Entry]], mut standing: Standing) -> Result<(Self, Outrun), StoreError> {
        let (mut batch, mut outrun) = (Self::default(), Outrun::new());
        for (place, entries) in commits.iter().enumerate() {
            let Some(new) = standing.judge(entries) else {
                outrun.push(place);
                continue;
            };
            for entry in new {
                match entry {
                    Entry::Call(call) => batch.calls.push(call),
                    Entry::Step { hold, step } => batch.steps.push((hold, step)),
                    Entry::Turn { hold, turn } => batch.turns.push((hold, turn)),
                    _ => return Err(StoreError::Refused { store: "ledger", source: None }),
                }
            }
        }
        Ok((batch, outrun))
    }
}
