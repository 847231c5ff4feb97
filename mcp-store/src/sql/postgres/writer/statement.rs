//! One batch as one statement, which is one transaction; but for the links of chains that are trimmed, which are rare.

use std::borrow::Cow;
use std::sync::LazyLock;

use mcp_core::caller::Tenant;
use mcp_core::store::audit::Link;
use mcp_core::store::ledger::{CallId, CallRecord};
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::postgres::{PgArguments, PgConnection};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{self, Postgres};

use super::steps;
use crate::sql::batch::Batch;
use crate::sql::entity::call::{FORMAT, micros, uuid, waited};
use crate::sql::now::POSTGRES_NOW;
use crate::sql::standing::{RunKey, removed};
use crate::sql::stats::COUNT;
use crate::sql::text::{stored, stored_tenant};

/// A call whose id is there already is left as it is.
const CALLS: &str = "INSERT INTO mcp_calls \
    (tenant, id, format, parent, principal, tool, outcome, at, duration, arguments, result, address, waited) \
    SELECT tenant, id, $1, parent, principal, tool, outcome, at, duration, arguments, result, address, waited \
    FROM UNNEST($2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], \
                $10::bytea[], $11::bytea[], $12::text[], $13::bigint[]) \
    AS call (tenant, id, parent, principal, tool, outcome, at, duration, arguments, result, address, waited) \
    ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, tool, outcome, at, duration";

/// A link that is there already is the same, since it is sent again; but the pin is replaced.
const LINKS: &str = "INSERT INTO mcp_links (chain, sequence, format, kind, tenant, subject, number, at, digest, mac) \
    SELECT chain, sequence, $14, kind, tenant, subject, number, at, digest, mac \
    FROM UNNEST($15::uuid[], $16::bigint[], $17::text[], $18::text[], $19::uuid[], $20::bigint[], $21::bigint[], \
                $22::bytea[], $23::bytea[]) \
    AS link (chain, sequence, kind, tenant, subject, number, at, digest, mac) \
    ON CONFLICT (chain, sequence) DO UPDATE SET subject = EXCLUDED.subject, number = EXCLUDED.number, at = EXCLUDED.at, \
    digest = EXCLUDED.digest, mac = EXCLUDED.mac WHERE mcp_links.kind = 'pin' AND EXCLUDED.number > 0";

const REMOVED_CALLS: &str = "DELETE FROM mcp_calls USING UNNEST($24::text[], $25::uuid[]) AS removed (tenant, id) \
    WHERE mcp_calls.tenant = removed.tenant AND mcp_calls.id = removed.id";

/// A statement of its own, for each chain, since it is rare: PostgreSQL cannot know how many links it is about, and would plan all else that
/// stands in the statement as if there were a great many.
const REMOVED_LINKS: &str = "DELETE FROM mcp_links WHERE chain = $1 AND sequence <= $2";

/// With their steps and inputs.
const REMOVED_RUNS: &str = "DELETE FROM mcp_runs USING UNNEST($26::text[], $27::uuid[]) AS removed (tenant, id) \
    WHERE mcp_runs.tenant = removed.tenant AND mcp_runs.id = removed.id";

static ALONE: LazyLock<String> = LazyLock::new(|| format!("WITH calls AS ({CALLS}) {}", *COUNT));

static WITH_LINKS: LazyLock<String> =
    LazyLock::new(|| format!("WITH calls AS ({CALLS}), counted AS ({}) {LINKS}", *COUNT));

pub(super) static WHOLE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH calls AS ({CALLS}), counted AS ({}), removed_calls AS ({REMOVED_CALLS}), removed_runs AS ({REMOVED_RUNS}), \
         steps AS ({}), turns AS ({}) {LINKS}",
        *COUNT,
        steps::INSERT,
        steps::TURN.replace("{now}", POSTGRES_NOW),
    )
});

/// Writes all of it, by the shortest statement that does. Where chains are trimmed it is to be in a transaction.
pub(super) async fn write(connection: &mut PgConnection, batch: &Batch<'_>, links: &[Link]) -> Result<(), sqlx::Error> {
    let query = if !(batch.removals.is_empty() && batch.steps.is_empty() && batch.turns.is_empty()) {
        let query = bind_removals(bind_links(bind_calls(&WHOLE, &batch.calls), links), batch);
        steps::bind(query, batch)
    } else if links.is_empty() {
        bind_calls(&ALONE, &batch.calls)
    } else {
        bind_links(bind_calls(&WITH_LINKS, &batch.calls), links)
    };
    query.execute(&mut *connection).await?;
    for head in &batch.checkpoints {
        let trim = sqlx::query(REMOVED_LINKS).bind(Uuid::from_u128(head.chain.as_u128()));
        trim.bind(head.sequence.cast_signed()).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) type Bound<'q> = Query<'q, Postgres, PgArguments>;

fn bind_calls<'q>(sql: &'static str, calls: &[&'q CallRecord]) -> Bound<'q> {
    let calls = calls.iter().copied();
    sqlx::query(sql)
        .bind(FORMAT)
        .bind(column::<_, Cow<'_, str>>(calls.clone(), |call| stored(call.tenant.as_str())))
        .bind(column::<_, Uuid>(calls.clone(), |call| uuid(call.id)))
        .bind(column::<_, Option<Uuid>>(calls.clone(), |call| call.parent.map(uuid)))
        .bind(column::<_, Cow<'_, str>>(calls.clone(), |call| stored(call.principal.as_str())))
        .bind(column::<_, Cow<'_, str>>(calls.clone(), |call| stored(&call.tool)))
        .bind(column::<_, &str>(calls.clone(), |call| call.outcome.as_str()))
        .bind(column::<_, i64>(calls.clone(), |call| call.at.as_micros()))
        .bind(column::<_, i64>(calls.clone(), |call| micros(call.duration)))
        .bind(column::<_, &[u8]>(calls.clone(), |call| &call.arguments))
        .bind(column::<_, &[u8]>(calls.clone(), |call| &call.result))
        .bind(column::<_, Option<String>>(calls.clone(), |call| call.address.map(|address| address.to_string())))
        .bind(column::<_, Option<i64>>(calls, waited))
}

fn bind_links<'q>(query: Bound<'q>, links: &'q [Link]) -> Bound<'q> {
    let id = |id: u128| Uuid::from_u128(id);
    query
        .bind(Link::FORMAT)
        .bind(column::<_, Uuid>(links, |link| id(link.chain.as_u128())))
        .bind(column::<_, i64>(links, |link| link.sequence.cast_signed()))
        .bind(column::<_, &str>(links, |link| link.kind.as_str()))
        .bind(column::<_, Cow<'_, str>>(links, |link| stored_tenant(link.tenant.as_ref())))
        .bind(column::<_, Uuid>(links, |link| id(link.subject)))
        .bind(column::<_, i64>(links, |link| link.number.cast_signed()))
        .bind(column::<_, i64>(links, |link| link.at.as_micros()))
        .bind(column::<_, &[u8]>(links, |link| &link.digest))
        .bind(column::<_, &[u8]>(links, |link| &link.mac))
}

fn bind_removals<'q>(query: Bound<'q>, batch: &Batch<'q>) -> Bound<'q> {
    let calls: Vec<(&Tenant, CallId)> =
        batch.removals.iter().flat_map(|removal| removal.calls.iter().map(|call| (&removal.tenant, *call))).collect();
    let runs: Vec<RunKey> = batch.removals.iter().flat_map(|removal| removed(removal)).collect();
    query
        .bind(column::<_, Cow<'_, str>>(&calls, |(tenant, _)| stored(tenant.as_str())))
        .bind(column::<_, Uuid>(&calls, |(_, call)| uuid(*call)))
        .bind(column::<_, String>(&runs, |(tenant, _)| tenant.clone()))
        .bind(column::<_, Uuid>(&runs, |(_, run)| *run))
}

pub(super) fn column<R, T>(rows: impl IntoIterator<Item = R>, value: impl Fn(R) -> T) -> Vec<T> {
    rows.into_iter().map(value).collect()
}
