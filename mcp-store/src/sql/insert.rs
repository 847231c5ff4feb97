//! Many rows in few statements.

use std::sync::LazyLock;

use mcp_core::store::ledger::CallRecord;
use sea_orm::sea_query::{OnConflict, Query, SqliteQueryBuilder};
use sea_orm::{DbBackend, Iterable, Statement, Value};

use super::entity::call::{Column, Entity, Model};

/// A statement is made for these numbers of rows alone, so that each is compiled once and stays compiled: 2 to the power of its
/// place. The largest has fewer variables than SQLite takes (32,766).
static STATEMENTS: LazyLock<[String; 10]> = LazyLock::new(|| std::array::from_fn(|power| statement(1 << power)));

fn statement(rows: usize) -> String {
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(Column::iter()).on_conflict(OnConflict::new().do_nothing().to_owned());
    for _ in 0..rows {
        insert.values_panic(Column::iter().map(|_| Value::Bool(None).into()));
    }
    insert.build(SqliteQueryBuilder).0
}

/// The statements that write `calls`; one whose id is there already is left as it is.
pub(super) fn calls(mut calls: &[&CallRecord]) -> Vec<Statement> {
    let mut statements = Vec::new();
    while !calls.is_empty() {
        let power = (calls.len().ilog2() as usize).min(STATEMENTS.len() - 1);
        let (now, later) = calls.split_at(1 << power);
        let values = now.iter().flat_map(|call| values(Model::from(*call)));
        statements.push(Statement::from_sql_and_values(DbBackend::Sqlite, &STATEMENTS[power], values));
        calls = later;
    }
    statements
}

/// In the order of the columns.
fn values(row: Model) -> [Value; 11] {
    [
        row.tenant.into(),
        row.id.into(),
        row.format.into(),
        row.parent.into(),
        row.principal.into(),
        row.tool.into(),
        row.outcome.into(),
        row.at.into(),
        row.duration.into(),
        row.arguments.into(),
        row.result.into(),
    ]
}
