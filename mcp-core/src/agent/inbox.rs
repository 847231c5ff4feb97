//! What a run is told, shared out among those of its parts that wait for something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::memory::lock;
use crate::run::{RunContext, RunError};
use crate::store::runs::RunId;

/// The inputs of a run of an agent. Several parts of it may wait at once; each is told what is for it, in whatever order that comes.
pub(super) struct Inbox<'r> {
    run: &'r RunContext,
    told: Mutex<Told>,
    /// One reads at a time, for all.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Told {
    answers: BTreeMap<String, Value>,
    ended: BTreeSet<RunId>,
}

/// An input of a run of an agent.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Letter {
    /// Answers, by the names of the questions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) answers: BTreeMap<String, Value>,
    /// A run for which this one waits, and that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<RunId>,
}

/// How soon a run looks after another one of which it hears nothing; then twice as late each time, up to an hour.
const LOOK: Duration = Duration::from_secs(30);
const LATEST_LOOK: Duration = Duration::from_secs(60 * 60);

impl<'r> Inbox<'r> {
    pub(super) fn of(run: &'r RunContext) -> Self {
        Self { run, told: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Waits for the answer to the question of this name, for days.
    pub(super) async fn answer(&self, name: &str) -> Value {
        let told = || lock(&self.told).answers.remove(name);
        loop {
            if let Some(answer) = told() {
                return answer;
            }
            let _reading = self.reading.lock().await;
            // Whoever has read until now may have been given what this one waits for.
            if let Some(answer) = told() {
                return answer;
            }
            let input = self.run.input().await;
            self.deliver(&input.body);
        }
    }

    /// Waits until it may be that a run for which this one waits has ended: it was told so, or it has waited for long enough to look. It is the
    /// look of this number for what is recorded under `key`.
    pub(super) async fn ended(&self, run: RunId, key: &str, look: u32) -> Result<(), RunError> {
        let time = LOOK.saturating_mul(2_u32.saturating_pow(look)).min(LATEST_LOOK);
        let look = format!("{key}.look.{look}");
        let told = || lock(&self.told).ended.remove(&run);
        loop {
            if told() {
                return Ok(());
            }
            let _reading = self.reading.lock().await;
            if told() {
                return Ok(());
            }
            match self.run.input_within(&look, time).await? {
                Some(input) => self.deliver(&input.body),
                None => return Ok(()),
            }
        }
    }

    fn deliver(&self, body: &[u8]) {
        // What is something else is nobody's.
        let Ok(letter) = serde_json::from_slice::<Letter>(body) else { return };
        let mut told = lock(&self.told);
        for (name, answer) in letter.answers {
            told.answers.entry(name).or_insert(answer);
        }
        told.ended.extend(letter.ended);
    }
}
