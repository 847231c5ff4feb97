//! The tasks that a client listens for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::desk::{Refused, Tasks};
use super::view::{Mark, Task};
use crate::changes::{Change, Heard};
use crate::store::runs::RunId;

/// The tasks of which a client is told: first how each is, and then what becomes of it, up to its end.
pub(crate) struct Watch {
    tasks: Tasks,
    /// How each was when the client was last told.
    told: BTreeMap<RunId, Option<Mark>>,
    /// Those that may have changed since.
    changed: BTreeSet<RunId>,
}

/// After so long what could not be read is read again.
const RETRY: Duration = Duration::from_secs(1);

impl Watch {
    /// Watches those of the tasks that are there, and the caller's own; no others stay in `ids`.
    pub(crate) async fn open(tasks: Tasks, ids: &mut Vec<String>) -> Result<Self, Refused> {
        let mut told = BTreeMap::new();
        for id in std::mem::take(ids) {
            match tasks.find(&id).await {
                Ok(task) => {
                    told.insert(task.id(), None);
                    ids.push(id);
                }
                Err(Refused::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { tasks, changed: told.keys().copied().collect(), told })
    }

    /// Takes note of what may have changed.
    pub(crate) fn heard(&mut self, heard: &Heard) {
        match heard {
            Heard::Change(Change::Task(id)) if self.told.contains_key(id) => {
                self.changed.insert(*id);
            }
            Heard::Missed => self.changed.extend(self.told.keys().copied()),
            Heard::Change(_) => {}
        }
    }

    /// The next task that is not as the client was last told; nothing, where all are.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Task> {
        while let Some(id) = self.changed.first().copied() {
            // In a box: of the many that listen, few watch a task, and all would hold the room to look for one.
            let task = match Box::pin(self.tasks.find(&id.to_string())).await {
                Ok(task) => task,
                Err(Refused::Missing(_)) => {
                    self.changed.remove(&id);
                    self.told.remove(&id);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "a task cannot be read; trying again");
                    self.tasks.clock().sleep(RETRY).await;
                    continue;
                }
            };
            self.changed.remove(&id);
            let mark = Some(task.mark());
            let is_new = self.told.get(&id).is_some_and(|told| *told != mark);
            if task.has_ended() {
                self.told.remove(&id);
            } else {
                self.told.insert(id, mark);
            }
            if is_new {
                return Some(task);
            }
        }
        None
    }
}
