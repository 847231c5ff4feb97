//! Tasks: each that was begun ends, and what its client was told of that is what is kept.

use std::collections::BTreeMap;
use std::error::Error;

use sea_orm::prelude::Uuid;
use serde_json::Value;

use super::Broken;
use crate::clients::Task;
use crate::say;
use crate::tables::Tables;
use crate::witness::Witness;

/// A task as it is kept.
struct Kept {
    state: String,
    result: Value,
}

/// Says what of the tasks is broken.
pub(super) fn check(
    tables: &Tables,
    told: &[Task],
    witness: &Witness,
    broken: &mut Broken,
) -> Result<(), Box<dyn Error>> {
    // What is kept was seen before.
    let (kept, seen) = (kept(tables)?, witness.seen());
    let mut all = |what: &str, is_so: &dyn Fn(&Task, &Kept) -> bool| {
        let there = told.iter().filter_map(|task| Some((task, kept.get(&task.id)?)));
        broken.all(what, there.filter(|(task, kept)| is_so(task, kept)).map(|(task, _)| &task.id));
    };
    all("a task has failed for another reason than an unknown outcome", &|_, kept| {
        kept.state == "cancelled" || kept.state == "failed" && kept.result["code"] != "outcome_unknown"
    });
    all("a task that may be done again has an unknown outcome", &|task, kept| {
        task.tool == "count_later" && kept.state == "failed"
    });
    all("a task is completed of which nobody did anything", &|task, kept| {
        let done = format!("{} {}", task.tool.trim_end_matches("_later"), task.order);
        kept.state == "completed" && !seen.contains_key(&done)
    });
    all("a client was told of another end than the one that is kept", &|task, kept| {
        task.ended.as_ref().is_some_and(|told| told["status"] != *kept.state || !is_same(told, &kept.result))
    });
    broken.all(
        "a task was begun, and is not there",
        told.iter().map(|task| &task.id).filter(|id| !kept.contains_key(*id)),
    );
    say(&format!(
        "{} tasks begun, {} completed, {} with an unknown outcome",
        told.len(),
        kept.values().filter(|kept| kept.state == "completed").count(),
        kept.values().filter(|kept| kept.state == "failed").count(),
    ));
    Ok(())
}

/// Whether what was told has the result that is kept, where there is one.
fn is_same(told: &Value, result: &Value) -> bool {
    let members = ["content", "structuredContent", "isError"];
    told["status"] != "completed" || members.into_iter().all(|member| told["result"][member] == result[member])
}

/// All tasks, by their ids.
fn kept(tables: &Tables) -> Result<BTreeMap<String, Kept>, Box<dyn Error>> {
    let result = tables.text("result");
    let rows = tables.rows(&format!("SELECT id, state, {result} AS result FROM mcp_runs WHERE kind = 'tools/call'"))?;
    let kept = rows.into_iter().map(|row| {
        let result = serde_json::from_str(&row.try_get::<String>("", "result")?).unwrap_or_default();
        Ok((row.try_get::<Uuid>("", "id")?.to_string(), Kept { state: row.try_get("", "state")?, result }))
    });
    kept.collect()
}
