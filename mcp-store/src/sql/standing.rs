//! Who may still write on a run, when a batch is written.

use std::collections::{BTreeSet, HashMap};

use mcp_core::store::StoreError;
use mcp_core::store::audit::Removal;
use mcp_core::store::ledger::Entry;
use mcp_core::store::runs::{Hold, Stand, Turn, Verdict};
use sea_orm::DbErr;
use sea_orm::prelude::Uuid;

use super::entity::run::uuid;
use super::entity::step::number;
use super::now::whole_micros;
use super::text::stored;

/// What is to be known before a batch is written: of which runs, and of which places in their journals.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) runs: BTreeSet<RunKey>,
    pub(super) steps: BTreeSet<StepKey>,
}

/// A run, as it is stored.
pub(super) type RunKey = (String, Uuid);

/// The place of a step, as it is stored.
pub(super) type StepKey = (String, Uuid, i32);

pub(super) fn run_key(hold: &Hold) -> RunKey {
    (stored(hold.tenant.as_str()).into_owned(), uuid(hold.run))
}

/// The runs that are taken away, as they are stored.
pub(super) fn removed(removal: &Removal) -> impl Iterator<Item = RunKey> {
    removal.runs.iter().map(|run| (stored(removal.tenant.as_str()).into_owned(), uuid(*run)))
}

impl Asked {
    /// # Errors
    /// [`StoreError::Refused`] if an entry is too large.
    pub(super) fn of(commits: &[&[Entry]]) -> Result<Self, StoreError> {
        let mut asked = Self::default();
        for entry in commits.iter().copied().flatten() {
            entry.check()?;
            match entry {
                Entry::Step { hold, step } => {
                    let (tenant, run) = run_key(hold);
                    asked.steps.insert((tenant.clone(), run, number(step.number)));
                    asked.runs.insert((tenant, run));
                }
                Entry::Turn { hold, .. } => {
                    asked.runs.insert(run_key(hold));
                }
                // They are locked before they are removed.
                Entry::Removal(removal) => asked.runs.extend(removed(removal)),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// Whether the batch is about no run.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// What is known: who holds these runs, none of which changes hands before the batch is written, and under which epochs those of
/// the steps were written that are there.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) runs: HashMap<RunKey, Stand>,
    pub(super) steps: HashMap<StepKey, u64>,
}

/// A row of a run, for [`Standing`].
pub(super) fn stand(epoch: i64, state: &str) -> Result<Stand, DbErr> {
    let state = state.parse().map_err(|_| DbErr::Type(format!("the state of a run is {state:?}")))?;
    Ok(Stand { epoch: epoch.cast_unsigned(), state })
}

impl Standing {
    /// Those entries of a commit that are new; nothing where the commit was outrun. Later commits are judged as if it were written.
    pub(super) fn judge<'e>(&mut self, entries: &'e [Entry]) -> Option<Vec<&'e Entry>> {
        let (mut new, mut stands, mut gone, mut steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            let verdict = match entry {
                Entry::Step { hold, step } => {
                    let (tenant, run) = run_key(hold);
                    let place = (tenant.clone(), run, number(step.number));
                    let stand = self.runs.get(&(tenant, run));
                    let verdict = stand.map(|stand| stand.step(hold, self.steps.get(&place).copied()));
                    if verdict == Some(Verdict::New) {
                        self.steps.insert(place.clone(), hold.epoch);
                        steps.push(place);
                    }
                    verdict
                }
                Entry::Used { hold, number: of, .. } => {
                    let (tenant, run) = run_key(hold);
                    let place = (tenant.clone(), run, number(*of));
                    self.runs.get(&(tenant, run)).map(|stand| stand.step(hold, self.steps.get(&place).copied()))
                }
                Entry::Turn { hold, turn } => self.runs.get_mut(&run_key(hold)).map(|stand| {
                    stands.push((run_key(hold), *stand));
                    stand.turn(hold, turn)
                }),
                Entry::Removal(removal) => {
                    for run in removed(removal) {
                        gone.extend(self.runs.remove_entry(&run));
                    }
                    Some(Verdict::New)
                }
                _ => Some(Verdict::New),
            };
            match verdict {
                Some(Verdict::New) => new.push(entry),
                Some(Verdict::Again) => {}
                Some(Verdict::Conflict) | None => {
                    self.runs.extend(gone);
                    self.runs.extend(stands.into_iter().rev());
                    for place in steps {
                        self.steps.remove(&place);
                    }
                    return None;
                }
            }
        }
        Some(new)
    }
}

/// What a turn changes in the row of its run.
pub(super) struct Change<'t> {
    pub(super) state: &'static str,
    /// How many inputs its holder has seen, where more wake it.
    pub(super) seen: Option<i32>,
    /// In how many microseconds it is due; nothing where time alone does not make it so.
    pub(super) wait: Option<i64>,
    /// How many of the claims without progress are not counted.
    pub(super) forgiven: i32,
    /// When it ended.
    pub(super) ended: Option<i64>,
    pub(super) result: &'t [u8],
}

impl<'t> From<&'t Turn> for Change<'t> {
    fn from(turn: &'t Turn) -> Self {
        let state = turn.state().as_str();
        let none = Self { state, seen: None, wait: None, forgiven: 0, ended: None, result: &[] };
        match turn {
            Turn::Wait { seen, time } => {
                Self { seen: Some(number(*seen)), wait: time.map(whole_micros), forgiven: i32::MAX, ..none }
            }
            Turn::Retry { after } => Self { wait: Some(whole_micros(*after)), ..none },
            Turn::End { result, at, .. } => Self { ended: Some(at.as_micros()), result, ..none },
            // Another may go on at once.
            _ => Self { wait: Some(0), forgiven: 1, ..none },
        }
    }
}
