//! Steps and turns of runs, in the transaction of their batch.

use std::borrow::Cow;
use std::sync::LazyLock;

use mcp_core::store::runs::{Hold, Step, Turn};
use mcp_core::store::stats::ModelUse;
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, Error};

use crate::sql::entity::run::uuid;
use crate::sql::entity::step::number;
use crate::sql::model_counts::{self, Row};
use crate::sql::now::POSTGRES_NOW;
use crate::sql::standing::{Asked, Change, Standing, stand};
use crate::sql::text::stored;

/// All that lock several runs do so in the order of their keys, so that none waits for another that waits for it. A claim, which
/// locks rows for more than this, passes over them.
const LOCK: &str = "SELECT run.tenant, run.id, run.epoch, run.state FROM mcp_runs AS run \
    JOIN UNNEST($1::text[], $2::uuid[]) AS asked (tenant, id) ON run.tenant = asked.tenant AND run.id = asked.id \
    ORDER BY run.tenant, run.id FOR NO KEY UPDATE OF run";

const THERE: &str = "SELECT step.tenant, step.run, step.number, step.epoch FROM mcp_steps AS step \
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

const INSERT: &str = "INSERT INTO mcp_steps (tenant, run, number, epoch, kind, key, body, at) \
    SELECT * FROM UNNEST($1::text[], $2::uuid[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::bigint[])";

pub(super) async fn insert(connection: &mut PgConnection, steps: &[(&Hold, &Step)]) -> Result<(), Error> {
    fn column<'s, T>(steps: &[(&'s Hold, &'s Step)], value: impl Fn(&'s Hold, &'s Step) -> T) -> Vec<T> {
        steps.iter().map(|(hold, step)| value(hold, step)).collect()
    }
    if steps.is_empty() {
        return Ok(());
    }
    sqlx::query(INSERT)
        .bind(column::<Cow<'_, str>>(steps, |hold, _| stored(hold.tenant.as_str())))
        .bind(column::<Uuid>(steps, |hold, _| uuid(hold.run)))
        .bind(column::<i32>(steps, |_, step| number(step.number)))
        .bind(column::<i64>(steps, |hold, _| hold.epoch.cast_signed()))
        .bind(column::<&str>(steps, |_, step| step.kind.as_str()))
        .bind(column::<Cow<'_, str>>(steps, |_, step| stored(&step.key)))
        .bind(column::<&[u8]>(steps, |_, step| &step.body))
        .bind(column::<i64>(steps, |_, step| step.at.as_micros()))
        .execute(connection)
        .await?;
    Ok(())
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

const TURN: &str = "UPDATE mcp_runs AS run SET state = turn.state, \
    due = CASE WHEN turn.seen < run.inputs THEN {now} ELSE {now} + turn.wait END, \
    attempts = GREATEST(run.attempts - turn.forgiven, 0), ended = turn.ended, result = turn.result \
    FROM UNNEST($1::text[], $2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::int[], $7::bigint[], $8::bytea[]) \
    AS turn (tenant, id, state, seen, wait, forgiven, ended, result) \
    WHERE run.tenant = turn.tenant AND run.id = turn.id";

pub(super) async fn turn(connection: &mut PgConnection, turns: &[(&Hold, &Turn)]) -> Result<(), Error> {
    if turns.is_empty() {
        return Ok(());
    }
    let changes: Vec<_> = turns.iter().map(|(_, turn)| Change::from(*turn)).collect();
    fn column<'c, 't, T>(changes: &'c [Change<'t>], value: impl Fn(&'c Change<'t>) -> T) -> Vec<T> {
        changes.iter().map(value).collect()
    }
    sqlx::query(sqlx::AssertSqlSafe(TURN.replace("{now}", POSTGRES_NOW)))
        .bind(turns.iter().map(|(hold, _)| stored(hold.tenant.as_str())).collect::<Vec<Cow<'_, str>>>())
        .bind(turns.iter().map(|(hold, _)| uuid(hold.run)).collect::<Vec<Uuid>>())
        .bind(column::<&str>(&changes, |change| change.state))
        .bind(column::<Option<i32>>(&changes, |change| change.seen))
        .bind(column::<Option<i64>>(&changes, |change| change.wait))
        .bind(column::<i32>(&changes, |change| change.forgiven))
        .bind(column::<Option<i64>>(&changes, |change| change.ended))
        .bind(column::<&[u8]>(&changes, |change| change.result))
        .execute(connection)
        .await?;
    Ok(())
}
