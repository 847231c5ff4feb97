//! Runs: each that was begun ends, having done what it says, and its journal is that of one holder after the other.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::time::Duration;

use sea_orm::prelude::Uuid;
use serde_json::Value;

use super::Broken;
use crate::server::{EFFECTS, ERRAND};
use crate::tables::Tables;
use crate::witness::Witness;
use crate::{say, wait};

/// A run as it is kept.
pub(super) struct Run {
    pub(super) state: String,
    /// Under which epoch it was claimed last.
    pub(super) epoch: i64,
    /// Somebody takes it up by then, if nobody has it.
    is_due: bool,
    inputs: i32,
    /// The run that has begun it.
    pub(super) parent: Option<String>,
    pub(super) arguments: String,
    pub(super) result: String,
    pub(super) steps: Vec<Step>,
}

/// A line of its journal.
pub(super) struct Step {
    epoch: i64,
    pub(super) kind: String,
    /// Of which effect.
    pub(super) key: String,
    pub(super) body: String,
}

/// Waits until no run is under way; whether it comes to that.
pub fn all_runs_end(database: &str) -> Result<bool, Box<dyn Error>> {
    let tables = Tables::open(database)?;
    let ended = wait("every run that was begun has ended", || {
        let is_so = none_is_left(&tables).unwrap_or(false);
        if !is_so {
            std::thread::sleep(Duration::from_millis(50));
        }
        is_so
    });
    if let Err(never) = &ended {
        say(&format!("BROKEN: {never}"));
    }
    Ok(ended.is_ok())
}

/// Whether no run is under way.
pub fn have_all_ended(database: &str) -> Result<bool, Box<dyn Error>> {
    none_is_left(&Tables::open(database)?)
}

fn none_is_left(tables: &Tables) -> Result<bool, Box<dyn Error>> {
    Ok(tables.rows("SELECT 1 FROM mcp_runs WHERE ended IS NULL LIMIT 1")?.is_empty())
}

/// Says what of the runs is broken.
pub(super) fn check(
    tables: &Tables,
    told: &[String],
    witness: &Witness,
    broken: &mut Broken,
) -> Result<(), Box<dyn Error>> {
    // What is recorded was seen before.
    let (runs, seen) = (runs(tables, ERRAND)?, witness.seen());
    broken.all("a run was begun, and is not there", told.iter().filter(|id| !runs.contains_key(*id)));
    check_journals(&runs, broken);
    let mut all = |what: &str, is_so: &dyn Fn(&str, &Run) -> bool| {
        broken.all(what, runs.iter().filter(|(id, run)| is_so(id, run)).map(|(id, _)| id));
    };
    all("a run neither ends nor goes on", &|_, run| !run.has_ended() && !run.is_due && run.inputs > 0);
    all("a run has failed for another reason than an unknown outcome", &|_, run| {
        run.has_ended() && run.state != "completed" && run.fails_by() != "outcome_unknown"
    });
    all("an effect has an answer, and nobody had decided on it", &|_, run| {
        let decided: HashSet<_> = run.of("decided").map(|step| &step.key).collect();
        run.of("done").any(|step| !decided.contains(&step.key))
    });
    all("an effect is recorded that nobody made", &|id, run| {
        let made = |step: &Step| {
            let (tool, _) = EFFECTS[step.key.parse::<usize>().unwrap_or(0) % EFFECTS.len()];
            seen.contains_key(&format!("{tool} {id}/{}", step.key))
        };
        !run.of("done").all(made)
    });
    all("a run is completed with another result than what it did", &|_, run| {
        let done: Vec<&str> = run.of("done").map(|step| step.body.as_str()).collect();
        run.state == "completed" && (run.result != format!("[{}]", done.join(",")) || done.len() != EFFECTS.len())
    });
    say(&format!(
        "{} runs begun, {} completed, {} with an unknown outcome, {} under way; {} steps, {} claims",
        told.len(),
        runs.values().filter(|run| run.state == "completed").count(),
        runs.values().filter(|run| run.state == "failed").count(),
        runs.values().filter(|run| !run.has_ended()).count(),
        runs.values().map(|run| run.steps.len()).sum::<usize>(),
        runs.values().map(|run| run.epoch).sum::<i64>(),
    ));
    Ok(())
}

/// Says which journals are not those of one holder after the other.
pub(super) fn check_journals(runs: &BTreeMap<String, Run>, broken: &mut Broken) {
    let mut all = |what: &str, is_so: &dyn Fn(&Run) -> bool| {
        broken.all(what, runs.iter().filter(|(_, run)| is_so(run)).map(|(id, _)| id));
    };
    all("a step has two answers", &|run| {
        let mut answered = HashSet::new();
        run.steps.iter().any(|step| !answered.insert((&step.key, step.kind == "decided")))
    });
    all("a step was written under an older epoch than the one before, or than that of the run", &|run| {
        let epochs: Vec<_> = run.steps.iter().map(|step| step.epoch).chain([run.epoch]).collect();
        !epochs.is_sorted()
    });
}

impl Run {
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.state.as_str(), "waiting" | "running")
    }

    /// The steps of one kind.
    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.kind == kind)
    }

    /// Why it has failed.
    fn fails_by(&self) -> String {
        let result: Value = serde_json::from_str(&self.result).unwrap_or_default();
        result["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// All runs of a kind, by their ids, with their steps in the order of their numbers; as they were at one moment.
pub(super) fn runs(tables: &Tables, kind: &str) -> Result<BTreeMap<String, Run>, Box<dyn Error>> {
    let (arguments, result, body) = (tables.text("r.arguments"), tables.text("r.result"), tables.text("s.body"));
    let sql = format!(
        "SELECT r.id, r.state, r.epoch, r.due IS NOT NULL AS is_due, r.inputs, r.parent, \
         {arguments} AS arguments, {result} AS result, \
         s.epoch AS step_epoch, s.kind AS step_kind, s.key AS step_key, {body} AS step_body \
         FROM mcp_runs AS r LEFT JOIN mcp_steps AS s ON s.tenant = r.tenant AND s.run = r.id \
         WHERE r.kind = '{kind}' ORDER BY r.id, s.number"
    );
    let mut runs = BTreeMap::<String, Run>::new();
    for row in tables.rows(&sql)? {
        let run = Run {
            state: row.try_get("", "state")?,
            epoch: row.try_get("", "epoch")?,
            is_due: row.try_get("", "is_due")?,
            inputs: row.try_get("", "inputs")?,
            parent: row.try_get::<Option<Uuid>>("", "parent")?.map(|parent| parent.to_string()),
            arguments: row.try_get("", "arguments")?,
            result: row.try_get("", "result")?,
            steps: Vec::new(),
        };
        let run = runs.entry(row.try_get::<Uuid>("", "id")?.to_string()).or_insert(run);
        if let Some(kind) = row.try_get("", "step_kind")? {
            run.steps.push(Step {
                epoch: row.try_get("", "step_epoch")?,
                kind,
                key: row.try_get("", "step_key")?,
                body: row.try_get("", "step_body")?,
            });
        }
    }
    Ok(runs)
}
