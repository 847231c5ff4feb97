//! Calls: each that was answered is recorded, once, as it was answered.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::Value;

use super::Broken;
use crate::clients::Acknowledged;
use crate::say;
use crate::tables::Tables;
use crate::witness::Witness;

/// How a call ended, and the result that is kept.
struct Record {
    outcome: String,
    result: String,
}

/// Says what of the answered calls is broken.
pub(super) fn check(
    tables: &Tables,
    told: &[Acknowledged],
    witness: &Witness,
    broken: &mut Broken,
) -> Result<(), Box<dyn Error>> {
    // What is recorded was seen before.
    let recorded = recorded(tables)?;
    let (seen, mut answers) = (witness.seen(), BTreeMap::<&str, Vec<&str>>::new());
    for Acknowledged { order, answer } in told {
        answers.entry(order).or_default().push(answer);
    }
    let answered = |order: &str| {
        recorded.get(order).map_or(0, |records| records.iter().filter(|record| record.is_an_answer()).count())
    };
    broken.all("a call was acknowledged, and is not recorded", answers.keys().filter(|order| answered(order) == 0));
    broken.all("a call is recorded twice", recorded.keys().filter(|order| answered(order) > 1));
    broken.all(
        "one key has two answers",
        answers
            .iter()
            .filter(|(_, answers)| answers.iter().any(|answer| *answer != answers[0]))
            .map(|(order, _)| order),
    );
    broken.all(
        "what is recorded is not what was answered",
        answers
            .iter()
            .filter(|(order, answers)| {
                let mut records = recorded.get(**order).into_iter().flatten().filter(|record| record.is_an_answer());
                records.any(|record| same(&record.result) != same(answers[0]))
            })
            .map(|(order, _)| order),
    );
    broken.all(
        "a result is recorded of what nobody did",
        recorded
            .iter()
            .filter(|(order, records)| {
                let done = ["pay", "count"].iter().any(|tool| seen.contains_key(&format!("{tool} {order}")));
                records.iter().any(|record| record.outcome == "ok") && !done
            })
            .map(|(order, _)| order),
    );
    say(&format!(
        "{} answers to {} calls, of which {} have an unknown outcome; {} recorded",
        told.len(),
        answers.len(),
        recorded.values().flatten().filter(|record| record.outcome == "outcome_unknown").count(),
        recorded.len(),
    ));
    Ok(())
}

impl Record {
    /// What clients were told that did not end well may be done again.
    fn is_an_answer(&self) -> bool {
        matches!(self.outcome.as_str(), "ok" | "error" | "outcome_unknown")
    }
}

/// What a result says, without what is said about it.
fn same(result: &str) -> Option<Value> {
    let mut result: Value = serde_json::from_str(result).ok()?;
    result.as_object_mut()?.retain(|member, _| ["content", "structuredContent", "isError"].contains(&member.as_str()));
    Some(result)
}

/// The records of each order; a task has none of its own, and makes its call in more than one round.
fn recorded(tables: &Tables) -> Result<BTreeMap<String, Vec<Record>>, Box<dyn Error>> {
    let (arguments, result) = (tables.text("arguments"), tables.text("result"));
    let sql = format!(
        "SELECT {arguments} AS arguments, outcome, {result} AS result FROM mcp_calls \
         WHERE tool IN ('pay', 'count')"
    );
    let mut recorded = BTreeMap::<String, Vec<Record>>::new();
    for row in tables.rows(&sql)? {
        let arguments: Value = serde_json::from_str(&row.try_get::<String>("", "arguments")?)?;
        let order = arguments["order"].as_str().unwrap_or_default().to_owned();
        let record = Record { outcome: row.try_get("", "outcome")?, result: row.try_get("", "result")? };
        recorded.entry(order).or_default().push(record);
    }
    Ok(recorded)
}
