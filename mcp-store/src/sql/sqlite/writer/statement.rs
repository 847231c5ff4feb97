//! What is written of calls and links, and what is taken away.

use std::sync::LazyLock;

use mcp_core::store::audit::Link;
use mcp_core::store::ledger::CallRecord;
use sea_orm::prelude::Uuid;
use sea_orm::{DbBackend, Statement, Value};

use crate::sql::batch::Batch;
use crate::sql::entity::call::{self, uuid};
use crate::sql::entity::link;
use crate::sql::sqlite::rows::Rows;
use crate::sql::standing::{RunKey, removed};
use crate::sql::text::stored;

/// A call whose id is there already is left as it is.
static CALLS: LazyLock<Rows<13>> = LazyLock::new(|| {
    Rows::of(
        "INSERT INTO mcp_calls (tenant, id, format, parent, principal, tool, outcome, at, duration, arguments, result, \
         address, waited) VALUES {rows} ON CONFLICT DO NOTHING",
    )
});

/// A link that is there already is the same, since it is sent again; but the pin is replaced.
static LINKS: LazyLock<Rows<10>> = LazyLock::new(|| {
    Rows::of(
        "INSERT INTO mcp_links (chain, sequence, format, kind, tenant, subject, number, at, digest, mac) VALUES {rows} \
         ON CONFLICT (chain, sequence) DO UPDATE SET subject = EXCLUDED.subject, number = EXCLUDED.number, \
         at = EXCLUDED.at, digest = EXCLUDED.digest, mac = EXCLUDED.mac \
         WHERE mcp_links.kind = 'pin' AND EXCLUDED.number > 0",
    )
});

pub(in crate::sql) static REMOVED_CALLS: LazyLock<Rows<2>> =
    LazyLock::new(|| Rows::of("DELETE FROM mcp_calls WHERE (tenant, id) IN (VALUES {rows})"));

/// With their steps and inputs.
pub(in crate::sql) static REMOVED_RUNS: LazyLock<Rows<2>> =
    LazyLock::new(|| Rows::of("DELETE FROM mcp_runs WHERE (tenant, id) IN (VALUES {rows})"));

/// Of one chain.
const REMOVED_LINKS: &str = "DELETE FROM mcp_links WHERE chain = $1 AND sequence <= $2";

/// The statements that write all of a batch but what is about runs that go on.
pub(super) fn all(batch: &Batch<'_>, links: &[Link]) -> Vec<Statement> {
    let mut statements = calls(&batch.calls);
    statements.extend(LINKS.statements(links, |link| link_values(link.into())));
    let calls = batch.removals.iter().flat_map(|removal| {
        removal.calls.iter().map(|call| (stored(removal.tenant.as_str()).into_owned(), uuid(*call)))
    });
    let runs = batch.removals.iter().flat_map(|removal| removed(removal));
    let key = |(tenant, id): &RunKey| [tenant.as_str().into(), (*id).into()];
    statements.extend(REMOVED_CALLS.statements(&calls.collect::<Vec<_>>(), key));
    statements.extend(REMOVED_RUNS.statements(&runs.collect::<Vec<_>>(), key));
    statements.extend(batch.checkpoints.iter().map(|head| {
        let values: [Value; 2] = [Uuid::from_u128(head.chain.as_u128()).into(), head.sequence.cast_signed().into()];
        Statement::from_sql_and_values(DbBackend::Sqlite, REMOVED_LINKS, values)
    }));
    statements
}

/// The statements that write `calls`.
pub(in crate::sql) fn calls(calls: &[&CallRecord]) -> Vec<Statement> {
    CALLS.statements(calls, |call| call_values((*call).into()))
}

fn call_values(row: call::Model) -> [Value; 13] {
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
        row.address.into(),
        row.waited.into(),
    ]
}

fn link_values(row: link::Model) -> [Value; 10] {
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
