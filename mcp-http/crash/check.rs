//! Whether what was promised is so, by plain SQL, and by what others were told and have seen. It shares nothing with the code that
//! wrote what it reads.

use std::collections::BTreeMap;
use std::error::Error;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::Value;

use super::clients::Acknowledged;
use super::say;
use super::witness::Witness;

/// What is recorded of an order: how its calls ended, and what they said.
type Recorded = BTreeMap<String, Vec<(String, Option<u64>)>>;

/// Says what of all that clients were told is broken; whether nothing is.
pub fn check(database: &str, told: &[Acknowledged], witness: &Witness) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recorded = runtime.block_on(recorded(database))?;
    let seen = witness.seen();

    let mut broken = Vec::new();
    let mut is_broken = |what: &str, orders: Vec<&str>| {
        if let [first, ..] = orders[..] {
            broken.push(format!("BROKEN: {what}: {} times, such as order {first}", orders.len()));
        }
    };
    let lost = told.iter().filter(|told| !recorded.contains_key(&told.order));
    is_broken("a call was acknowledged, and is not recorded", lost.map(|told| told.order.as_str()).collect());
    let twice = recorded.iter().filter(|(_, records)| records.len() > 1);
    is_broken("a call is recorded twice", twice.map(|(order, _)| order.as_str()).collect());
    let differ = told.iter().filter(|told| {
        let records = recorded.get(&told.order).map(Vec::as_slice).unwrap_or_default();
        records.iter().any(|(outcome, receipt)| outcome != "ok" || *receipt != Some(told.receipt))
    });
    is_broken("what is recorded is not what was answered", differ.map(|told| told.order.as_str()).collect());
    let begun_twice = seen.iter().filter(|(_, times)| **times > 1);
    is_broken("a tool that is not repeatable was begun twice", begun_twice.map(|(what, _)| what.as_str()).collect());
    let unseen = recorded.iter().filter(|(order, records)| {
        records.iter().any(|(outcome, _)| outcome == "ok") && !seen.contains_key(&format!("pay {order}"))
    });
    is_broken("a result is recorded of what nobody did", unseen.map(|(order, _)| order.as_str()).collect());

    for line in &broken {
        say(line);
    }
    say(&format!("{} acknowledged, {} recorded, {} begun", told.len(), recorded.len(), seen.len()));
    Ok(broken.is_empty())
}

async fn recorded(database: &str) -> Result<Recorded, Box<dyn Error>> {
    let connection = Database::connect(database).await?;
    let text = |column: &str| match connection.get_database_backend() {
        DbBackend::Postgres => format!("convert_from({column}, 'UTF8')"),
        _ => format!("CAST({column} AS TEXT)"),
    };
    let sql = format!(
        "SELECT {} AS arguments, outcome, {} AS result FROM mcp_calls WHERE tool = 'pay'",
        text("arguments"),
        text("result")
    );
    let mut recorded = Recorded::new();
    for row in connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await? {
        let arguments: Value = serde_json::from_str(&row.try_get::<String>("", "arguments")?)?;
        let result: Value = serde_json::from_str(&row.try_get::<String>("", "result")?)?;
        let order = arguments["order"].as_str().unwrap_or_default().to_owned();
        let receipt = result["structuredContent"]["receipt"].as_u64();
        recorded.entry(order).or_default().push((row.try_get("", "outcome")?, receipt));
    }
    connection.close().await?;
    Ok(recorded)
}
