//! What is written of runs that go on, and who holds them.

use std::borrow::Cow;
use std::sync::LazyLock;

use mcp_core::store::runs::Hold;
use mcp_core::store::stats::ModelUse;
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, Error};

use super::statement::{Bound, column};
use crate::sql::batch::Batch;
use crate::sql::entity::run::uuid;
use crate::sql::entity::step::number;
use crate::sql::model_counts::{self, Row};
use crate::sql::standing::{Asked, Change, Standing, stand};
use crate::sql::text::stored;

/// All that lock several runs do so in the order of their keys, so that none waits for another that waits for it. A claim, which
/// locks rows for more than this, passes over them.
pub(super) const LOCK: &str = "SELECT run.tenant, run.id, run.epoch, run.state FROM mcp_runs AS run \
    JOIN UNNEST($1::text[], $2::uuid[]) AS asked (tenant, id) ON run.tenant = asked.tenant AND run.id = asked.id \
    ORDER BY run.tenant, run.id FOR NO KEY UPDATE OF run";

pub(super) const THERE: &str = "SELECT step.tenant, step.run, step.number, step.epoch FROM mcp_steps AS step \
    JOIN UNNEST($1::text[], $2::uuid[], $3::int[]) AS asked (tenant, run, number) \
    ON step.tenant = asked.tenant AND step.run = asked.run AND step.number = asked.number";

/// Locks the runs until the end of the transaction, and tells who holds them.
pub(super) async fn lock(connection: &mut PgConnection, asked: &Asked) -> Result<Standing, Error> {
    let mut standing = Standing::default();
    if asked.is_empty() {
        return Ok(standing);
    }
    let (tenants, runs): (Vec<_>, Vec<_>) = asked.runs.iter().map(|(tenant, run)| (&**tenant, *run)).unzip();
    let locked: Vec<(String, Uuid, i64, String)> =
        sqlx::query_as(LOCK).bind(tenants).bind(runs).fetch_all(&mut *connection).await?;
    for (tenant, run, epoch, state) in locked {
        let stand = stand(epoch, &state).map_err(|error| Error::Decode(error.into()))?;
        standing.runs.insert((tenant, run), stand);
    }
    if !asked.steps.is_empty() {
        let column = |value: fn(&(String, Uuid, i32)) -> &str| asked.steps.iter().map(value).collect::<Vec<_>>();
        let there: Vec<(String, Uuid, i32, i64)> = sqlx::query_as(THERE)
            .bind(column(|(tenant, ..)| tenant))
            .bind(asked.steps.iter().map(|(_, run, _)| *run).collect::<Vec<_>>())
            .bind(asked.steps.iter().map(|(.., number)| *number).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
        standing.steps = there
            .into_iter()
            .map(|(tenant, run, place, epoch)| ((tenant, run, place), epoch.cast_unsigned()))
            .collect();
    }
    Ok(standing)
}

/// A part of the [one statement](super::statement) that writes a batch.
pub(super) const INSERT: &str = "INSERT INTO mcp_steps (tenant, run, number, epoch, kind, key, body, at) \
    SELECT * FROM UNNEST($28::text[], $29::uuid[], $30::int[], $31::bigint[], $32::text[], $33::text[], $34::bytea[], $35::bigint[])";

/// Another one.
pub(super) const TURN: &str = "UPDATE mcp_runs AS run SET state = turn.state, \
    due = CASE WHEN turn.seen < run.inputs THEN {now} ELSE {now} + turn.wait END, \
    attempts = GREATEST(run.attempts - turn.forgiven, 0), ended = turn.ended, result = turn.result \
    FROM UNNEST($36::text[], $37::uuid[], $38::text[], $39::int[], $40::bigint[], $41::int[], $42::bigint[], $43::bytea[]) \
    AS turn (tenant, id, state, seen, wait, forgiven, ended, result) \
    WHERE run.tenant = turn.tenant AND run.id = turn.id";

/// Binds what both are about.
pub(super) fn bind<'q>(query: Bound<'q>, batch: &Batch<'q>) -> Bound<'q> {
    let steps = batch.steps.iter().copied();
    let changes: Vec<_> = batch.turns.iter().map(|(hold, turn)| (*hold, Change::from(*turn))).collect();
    query
        .bind(column::<_, Cow<'_, str>>(steps.clone(), |(hold, _)| stored(hold.tenant.as_str())))
        .bind(column::<_, Uuid>(steps.clone(), |(hold, _)| uuid(hold.run)))
        .bind(column::<_, i32>(steps.clone(), |(_, step)| number(step.number)))
        .bind(column::<_, i64>(steps.clone(), |(hold, _)| hold.epoch.cast_signed()))
        .bind(column::<_, &str>(steps.clone(), |(_, step)| step.kind.as_str()))
        .bind(column::<_, Cow<'_, str>>(steps.clone(), |(_, step)| stored(&step.key)))
        .bind(column::<_, &[u8]>(steps.clone(), |(_, step)| &step.body))
        .bind(column::<_, i64>(steps, |(_, step)| step.at.as_micros()))
        .bind(column::<_, Cow<'_, str>>(&changes, |(hold, _)| stored(hold.tenant.as_str())))
        .bind(column::<_, Uuid>(&changes, |(hold, _)| uuid(hold.run)))
        .bind(column::<_, &str>(&changes, |(_, change)| change.state))
        .bind(column::<_, Option<i32>>(&changes, |(_, change)| change.seen))
        .bind(column::<_, Option<i64>>(&changes, |(_, change)| change.wait))
        .bind(column::<_, i32>(&changes, |(_, change)| change.forgiven))
        .bind(column::<_, Option<i64>>(&changes, |(_, change)| change.ended))
        .bind(column::<_, &[u8]>(&changes, |(_, change)| change.result))
}

static ADD: LazyLock<String> = LazyLock::new(|| model_counts::add("($1, $2, $3, $4, $5, $6, $7)"));

/// One by one: few steps are decided by a model, and a row may be added to twice.
pub(super) async fn used(connection: &mut PgConnection, uses: &[(&Hold, &ModelUse)]) -> Result<(), Error> {
    for (hold, used) in uses {
        let Row { tenant, minute, agent, model, writer, tokens, micros } = Row::of(hold, used);
        let add = sqlx::query(ADD.as_str()).bind(tenant).bind(minute).bind(agent).bind(model);
        add.bind(writer).bind(tokens).bind(micros).execute(&mut *connection).await?;
    }
    Ok(())
}
