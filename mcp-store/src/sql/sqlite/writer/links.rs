//! What is written beside the calls.

use std::sync::LazyLock;

use mcp_core::store::audit::Link;
use sea_orm::{DbBackend, Iterable, Statement, Value};

use crate::sql::batch::Batch;
use crate::sql::entity::call::uuid;
use crate::sql::entity::link::{Column, Model};
use crate::sql::standing::removed;
use crate::sql::text::stored;

/// One for each power of two, as those of the calls.
static STATEMENTS: LazyLock<[String; 10]> = LazyLock::new(|| std::array::from_fn(|power| statement(1 << power)));

/// A link that is there already is the same, since it is sent again; but the pin is replaced.
fn statement(rows: usize) -> String {
    let row = format!("({})", vec!["?"; Column::iter().count()].join(", "));
    format!(
        "INSERT INTO mcp_links (chain, sequence, format, kind, tenant, subject, number, at, digest, mac) VALUES {} \
         ON CONFLICT (chain, sequence) DO UPDATE SET subject = EXCLUDED.subject, number = EXCLUDED.number, \
         at = EXCLUDED.at, digest = EXCLUDED.digest, mac = EXCLUDED.mac \
         WHERE mcp_links.kind = 'pin' AND EXCLUDED.number > 0",
        vec![row.as_str(); rows].join(", ")
    )
}

/// The statements that write `links`.
pub(super) fn statements(mut links: &[Link]) -> Vec<Statement> {
    let mut statements = Vec::new();
    while !links.is_empty() {
        let power = (links.len().ilog2() as usize).min(STATEMENTS.len() - 1);
        let (now, later) = links.split_at(1 << power);
        let values = now.iter().flat_map(|link| values(Model::from(link)));
        statements.push(Statement::from_sql_and_values(DbBackend::Sqlite, &STATEMENTS[power], values));
        links = later;
    }
    statements
}

/// In the order of the statement.
fn values(row: Model) -> [Value; 10] {
    [
        row.chain.into(),
        row.sequence.into(),
        row.format.into(),
        row.kind.into(),
        row.tenant.into(),
        row.subject.into(),
        row.number.into(),
        row.at.into(),
        row.digest.into(),
        row.mac.into(),
    ]
}

/// The statements that take away what the batch removes.
pub(super) fn removals(batch: &Batch<'_>) -> Vec<Statement> {
    const CALL: &str = "DELETE FROM mcp_calls WHERE tenant = $1 AND id = $2";
    const RUN: &str = "DELETE FROM mcp_runs WHERE tenant = $1 AND id = $2";
    const LINKS: &str = "DELETE FROM mcp_links WHERE chain = $1 AND sequence <= $2";
    let calls = batch.removals.iter().flat_map(|removal| removal.calls.iter().map(|call| (&removal.tenant, call)));
    let calls = calls.map(|(tenant, call)| {
        let values: [Value; 2] = [stored(tenant.as_str()).into_owned().into(), uuid(*call).into()];
        Statement::from_sql_and_values(DbBackend::Sqlite, CALL, values)
    });
    let runs = batch.removals.iter().flat_map(|removal| removed(removal)).map(|(tenant, run)| {
        let values: [Value; 2] = [tenant.into(), run.into()];
        Statement::from_sql_and_values(DbBackend::Sqlite, RUN, values)
    });
    let links = batch.checkpoints.iter().map(|head| {
        let values: [Value; 2] =
            [sea_orm::prelude::Uuid::from_u128(head.chain.as_u128()).into(), head.sequence.cast_signed().into()];
        Statement::from_sql_and_values(DbBackend::Sqlite, LINKS, values)
    });
    calls.chain(runs).chain(links).collect()
}
