//! What is written in one transaction.

use mcp_core::store::StoreError;
use mcp_core::store::audit::{Head, Removal};
use mcp_core::store::ledger::{Answer, CallRecord, Entry};
use mcp_core::store::runs::{Hold, Step, Turn};
use mcp_core::store::stats::ModelUse;

use super::standing::{Asked, Standing};
use crate::ledger::Outrun;

/// By what the commits of a batch may be outrun: it is found out first, in the transaction in which they are written.
pub(super) struct Fences<'e> {
    /// Answers of calls with keys, each with the place of its commit.
    pub(super) answers: Vec<(usize, &'e Answer)>,
    /// Which runs have steps and turns.
    pub(super) asked: Asked,
}

impl<'e> Fences<'e> {
    /// Those of `commits`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if an entry is too large, or a commit with an answer has another one, or an entry of a run: where one
    /// is outrun, none of the others may have been kept.
    pub(super) fn of(commits: &[&'e [Entry]]) -> Result<Self, StoreError> {
        let mut answers = Vec::new();
        for (place, commit) in commits.iter().enumerate() {
            let is_fenced = |entry: &&Entry| {
                matches!(entry, Entry::Answer(_) | Entry::Step { .. } | Entry::Used { .. } | Entry::Turn { .. })
            };
            for entry in *commit {
                if let Entry::Answer(answer) = entry {
                    if commit.iter().filter(is_fenced).count() > 1 {
                        return Err(refused());
                    }
                    answers.push((place, answer));
                }
            }
        }
        Ok(Self { answers, asked: Asked::of(commits)? })
    }

    /// Whether nothing can outrun them.
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.asked.is_empty()
    }
}

/// The entries of several commits, by what they are, without those that are there already.
#[derive(Default)]
pub(super) struct Batch<'e> {
    /// All of them, in their order: what is linked.
    pub(super) entries: Vec<&'e Entry>,
    /// Calls that have ended.
    pub(super) calls: Vec<&'e CallRecord>,
    /// Steps of runs.
    pub(super) steps: Vec<(&'e Hold, &'e Step)>,
    /// What models took for steps.
    pub(super) uses: Vec<(&'e Hold, &'e ModelUse)>,
    /// Runs that are let go, each once.
    pub(super) turns: Vec<(&'e Hold, &'e Turn)>,
    /// What is taken away; none of it is in `calls`, nor are steps and turns of it.
    pub(super) removals: Vec<&'e Removal>,
    /// The last links of what is taken away of chains.
    pub(super) checkpoints: Vec<&'e Head>,
}

impl<'e> Batch<'e> {
    /// Sorts the entries of those `commits` that were not outrun: neither by losing their keys, which `lost` tells, nor by losing
    /// their runs. Gives the places of all that were, as well.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is one that this version does not know, or a removal of too much.
    pub(super) fn of(
        commits: &[&'e [Entry]],
        lost: &Outrun,
        mut standing: Standing,
    ) -> Result<(Self, Outrun), StoreError> {
        let (mut batch, mut outrun) = (Self::default(), Outrun::new());
        for (place, commit) in commits.iter().enumerate() {
            let new = if lost.contains(&place) { None } else { standing.judge(commit) };
            match new {
                Some(new) => batch.entries.extend(new),
                None => outrun.push(place),
            }
        }
        for entry in batch.entries.clone() {
            match entry {
                Entry::Call(call) => batch.calls.push(call),
                // It is kept where it is found out whether it has lost its key.
                Entry::Answer(_) => {}
                Entry::Step { hold, step } => batch.steps.push((hold, step)),
                Entry::Used { hold, used, .. } => batch.uses.push((hold, used)),
                Entry::Turn { hold, turn } => batch.turns.push((hold, turn)),
                Entry::Removal(removal) if removal.count() <= Removal::MOST => batch.remove(removal),
                // It is a link and nothing else.
                Entry::Anchor(_) => {}
                Entry::Checkpoint(head) => batch.checkpoints.push(head),
                _ => return Err(refused()),
            }
        }
        Ok((batch, outrun))
    }

    /// Sorts the entries of commits that nothing can outrun.
    ///
    /// # Errors
    /// As [`Batch::of`].
    pub(super) fn unfenced(commits: &[&'e [Entry]]) -> Result<Self, StoreError> {
        Self::of(commits, &Outrun::new(), Standing::default()).map(|(batch, _)| batch)
    }

    fn remove(&mut self, removal: &'e Removal) {
        self.calls.retain(|call| call.tenant != removal.tenant || !removal.calls.contains(&call.id));
        let stays = |hold: &Hold| hold.tenant != removal.tenant || !removal.runs.contains(&hold.run);
        self.steps.retain(|(hold, _)| stays(hold));
        self.uses.retain(|(hold, _)| stays(hold));
        self.turns.retain(|(hold, _)| stays(hold));
        self.removals.push(removal);
    }
}

fn refused() -> StoreError {
    StoreError::Refused { store: "ledger", source: None }
}
