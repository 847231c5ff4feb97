//! Whether what was promised is so, by plain SQL, and by what others were told and have seen. It shares nothing with the code that
//! wrote what it reads.

use std::collections::BTreeMap;
use std::error::Error;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::Value;

use super::clients::Acknowledged;
use super::say;
use super::witness::Witness;

/// How a call ended, and the result that is kept.
struct Record {
    outcome: String,
    result: String,
}

/// Says what of all that clients were told is broken; whether nothing is.
pub fn check(database: &str, told: &[Acknowledged], witness: &Witness) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recorded = runtime.block_on(recorded(database))?;
    let (seen, mut answers) = (witness.seen(), BTreeMap::<&str, Vec<&str>>::new());
    for Acknowledged { order, answer } in told {
        answers.entry(order).or_default().push(answer);
    }
    let answered = |order: &str| {
        recorded.get(order).map_or(0, |records| records.iter().filter(|record| record.is_an_answer()).count())
    };

    let mut broken = Broken::default();
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
        "a tool that is not repeatable was begun twice",
        seen.iter().filter(|(what, times)| what.starts_with("pay ") && **times > 1).map(|(what, _)| what),
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
        "{} answers to {} calls, of which {} have an unknown outcome; {} recorded, {} begun, {} of them again",
        told.len(),
        answers.len(),
        recorded.values().flatten().filter(|record| record.outcome == "outcome_unknown").count(),
        recorded.len(),
        seen.len(),
        seen.values().filter(|times| **times > 1).count(),
    ));
    Ok(broken.0 == 0)
}

/// How many kinds of things are broken.
#[derive(Default)]
struct Broken(usize);

impl Broken {
    /// Says what is broken, where something is.
    fn all<T: AsRef<str>>(&mut self, what: &str, orders: impl Iterator<Item = T>) {
        let mut orders = orders.peekable();
        if let Some(first) = orders.peek().map(|order| order.as_ref().to_owned()) {
            say(&format!("BROKEN: {what}: {} times, such as {first}", orders.count()));
            self.0 += 1;
        }
    }
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

/// The records of each order.
async fn recorded(database: &str) -> Result<BTreeMap<String, Vec<Record>>, Box<dyn Error>> {
    let connection = Database::connect(database).await?;
    let backend = connection.get_database_backend();
    let text = |column: &str| match backend {
        DbBackend::Postgres => format!("convert_from({column}, 'UTF8')"),
        _ => format!("CAST({column} AS TEXT)"),
    };
    let (arguments, result) = (text("arguments"), text("result"));
    let sql = format!("SELECT {arguments} AS arguments, outcome, {result} AS result FROM mcp_calls");
    let mut recorded = BTreeMap::<String, Vec<Record>>::new();
    for row in connection.query_all_raw(Statement::from_string(backend, sql)).await? {
        let arguments: Value = serde_json::from_str(&row.try_get::<String>("", "arguments")?)?;
        let order = arguments["order"].as_str().unwrap_or_default().to_owned();
        let record = Record { outcome: row.try_get("", "outcome")?, result: row.try_get("", "result")? };
        recorded.entry(order).or_default().push(record);
    }
    connection.close().await?;
    Ok(recorded)
}
