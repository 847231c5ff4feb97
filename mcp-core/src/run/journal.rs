//! What a run has recorded, in the process that holds it.

use std::collections::{HashMap, HashSet};

use super::error::RunError;
use crate::store::runs::{Step, StepKind};

/// The steps of one run.
#[derive(Default)]
pub(super) struct Journal {
    steps: Vec<Step>,
    places: HashMap<(String, StepKind), usize>,
    next: u32,
    bytes: usize,
    /// The keys of the effects that are under way.
    under_way: HashSet<String>,
}

/// How many steps a run has at the most.
pub(super) const MOST_STEPS: u32 = 10_000;

/// How many bytes its steps have together at the most.
pub(super) const MOST_BYTES: usize = 32 * 1024 * 1024;

impl Journal {
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn add(&mut self, step: Step) {
        self.next = self.next.max(step.number.saturating_add(1));
        self.bytes += step.key.len() + step.body.len();
        self.places.entry((step.key.clone(), step.kind)).or_insert(self.steps.len());
        self.steps.push(step);
    }

    /// The first step of that kind under that key.
    pub(super) fn find(&self, key: &str, kind: StepKind) -> Option<&Step> {
        self.places.get(&(key.to_owned(), kind)).map(|place| &self.steps[*place])
    }

    pub(super) fn next_number(&self) -> u32 {
        self.next
    }

    /// The number of a step that is about to be written.
    pub(super) fn take_number(&mut self) -> Result<u32, RunError> {
        if self.next >= MOST_STEPS || self.bytes >= MOST_BYTES {
            let most = format!("{MOST_STEPS} steps of {} MiB together", MOST_BYTES >> 20);
            return Err(RunError::Failed(format!("the run has as much on record as a run may: {most}")));
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Whether nobody else is about the effect under that key.
    pub(super) fn begin(&mut self, key: &str) -> bool {
        self.under_way.insert(key.to_owned())
    }

    pub(super) fn end(&mut self, key: &str) {
        self.under_way.remove(key);
    }
}
