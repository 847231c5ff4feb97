//! Steps and turns of runs, in the transaction of their batch.

use std::sync::LazyLock;

use mcp_core::clock::Timestamp;
use mcp_core::store::runs::{Hold, Step, Turn};
use mcp_core::store::stats::ModelUse;
use sea_orm::{DatabaseTransaction, DbErr, Statement, Value};

use crate::sql::batch::Batch;
use crate::sql::entity::step::Model;
use crate::sql::model_counts::{self, Row};
use crate::sql::sqlite::rows::Rows;
use crate::sql::standing::{Asked, Change, RunKey, Standing, StepKey, run_key, stand};

pub(in crate::sql) static STAND: LazyLock<Rows<2>> =
    LazyLock::new(|| Rows::of("SELECT tenant, id, epoch, state FROM mcp_runs WHERE (tenant, id) IN (VALUES {rows})"));

pub(in crate::sql) static THERE: LazyLock<Rows<3>> = LazyLock::new(|| {
    Rows::of("SELECT tenant, run, number, epoch FROM mcp_steps WHERE (tenant, run, number) IN (VALUES {rows})")
});

static INSERT: LazyLock<Rows<8>> =
    LazyLock::new(|| Rows::of("INSERT INTO mcp_steps (tenant, run, number, epoch, kind, key, body, at) VALUES {rows}"));

static USED: LazyLock<Rows<7>> = LazyLock::new(|| Rows::of(&model_counts::add("{rows}")));

pub(in crate::sql) static TURN: LazyLock<Rows<9>> = LazyLock::new(|| {
    Rows::of(
        "WITH turn (tenant, id, state, seen, wait, forgiven, ended, result, now) AS (VALUES {rows}) \
         UPDATE mcp_runs SET state = turn.state, \
         due = CASE WHEN turn.seen < inputs THEN turn.now ELSE turn.now + turn.wait END, \
         attempts = max(attempts - turn.forgiven, 0), ended = turn.ended, result = turn.result \
         FROM turn WHERE mcp_runs.tenant = turn.tenant AND mcp_runs.id = turn.id",
    )
});

/// Tells who holds the runs. Nobody else writes before the transaction ends.
pub(super) async fn look(transaction: &DatabaseTransaction, asked: &Asked) -> Result<Standing, DbErr> {
    let mut standing = Standing::default();
    let runs: Vec<_> = asked.runs.iter().collect();
    let key = |(tenant, run): &&RunKey| [tenant.as_str().into(), (*run).into()];
    for row in STAND.ask(transaction, &runs, key).await? {
        let stand = stand(row.try_get_by_index(2)?, &row.try_get_by_index::<String>(3)?)?;
        standing.runs.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), stand);
    }
    let steps: Vec<_> = asked.steps.iter().collect();
    let key = |(tenant, run, number): &&StepKey| [tenant.as_str().into(), (*run).into(), (*number).into()];
    for row in THERE.ask(transaction, &steps, key).await? {
        let place = (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        standing.steps.insert(place, row.try_get_by_index::<i64>(3)?.cast_unsigned());
    }
    Ok(standing)
}

/// The statements that write what is about runs that go on.
pub(super) fn statements(batch: &Batch<'_>, now: Timestamp) -> Vec<Statement> {
    let steps = INSERT.statements(&batch.steps, |(hold, step)| insert(hold, step));
    let uses = USED.statements(&batch.uses, |(hold, used)| add(hold, used));
    let turns = TURN.statements(&batch.turns, |(hold, turn)| change(hold, turn, now));
    [steps, uses, turns].concat()
}

fn insert(hold: &Hold, step: &Step) -> [Value; 8] {
    let row = Model::new(hold, step);
    [
        row.tenant.into(),
        row.run.into(),
        row.number.into(),
        row.epoch.into(),
        row.kind.into(),
        row.key.into(),
        row.body.into(),
        row.at.into(),
    ]
}

/// A row may be added to twice by one statement.
fn add(hold: &Hold, used: &ModelUse) -> [Value; 7] {
    let Row { tenant, minute, agent, model, writer, tokens, micros } = Row::of(hold, used);
    [
        tenant.into_owned().into(),
        minute.into(),
        agent.into_owned().into(),
        model.into_owned().into(),
        writer.into(),
        tokens.into(),
        micros.into(),
    ]
}

fn change(hold: &Hold, turn: &Turn, now: Timestamp) -> [Value; 9] {
    let ((tenant, run), change) = (run_key(hold), Change::from(turn));
    [
        tenant.into(),
        run.into(),
        change.state.into(),
        change.seen.into(),
        change.wait.into(),
        change.forgiven.into(),
        change.ended.into(),
        change.result.to_vec().into(),
        now.as_micros().into(),
    ]
}
