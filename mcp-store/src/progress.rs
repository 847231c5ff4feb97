//! How far long work is.

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

/// How far a backup, a migration or something else that takes long is: whoever does it says so here, and waits for nobody who looks.
/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<Step>>>);

/// A part of such work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What is being done, as people say it.
    pub name: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// How much is done.
    pub done: u64,
    /// How much there is, where that is known; it may be a little more or less in the end.
    pub all: Option<u64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Rows of the database.
    Rows,
    /// Steps by which the tables change.
    Migrations,
}

/// How often it is looked how large a file is by now.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Progress {
    /// What is being done now, or was done last; nothing has begun yet where there is none.
    pub fn step(&self) -> Option<Step> {
        *self.lock()
    }

    pub(crate) fn starts(&self, name: &'static str, unit: Unit, all: Option<u64>) {
        *self.lock() = Some(Step { name, unit, done: 0, all });
    }

    pub(crate) fn add(&self, more: u64) {
        if let Some(step) = &mut *self.lock() {
            step.done += more;
        }
    }

    /// Does work that writes a file and says nothing itself.
    pub(crate) async fn growing<T>(&self, file: &Path, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            match select(work.as_mut(), pin!(tokio::time::sleep(LOOK_AGAIN))).await {
                Either::Left((done, _)) => return done,
                Either::Right(_) => {
                    let written = tokio::fs::metadata(file).await.map_or(0, |file| file.len());
                    if let Some(step) = &mut *self.lock() {
                        step.done = step.done.max(written);
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_that_grows_is_as_far_as_it_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let (progress, file) = (Progress::default(), folder.path().join("copy"));
        assert_eq!(progress.step(), None);
        progress.starts("copying", Unit::Bytes, Some(8));
        let looking = progress.clone();
        let work = async {
            std::fs::write(&file, "four").unwrap();
            while looking.step().is_none_or(|step| step.done < 4) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            "done"
        };
        assert_eq!(progress.growing(&file, work).await, "done");
        let step = Step { name: "copying", unit: Unit::Bytes, done: 4, all: Some(8) };
        assert_eq!(progress.step(), Some(step));
        progress.add(4);
        assert_eq!(progress.step(), Some(Step { done: 8, ..step }));
    }
}
