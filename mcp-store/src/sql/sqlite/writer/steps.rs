//! Steps and turns of runs, in the transaction of their batch.

use mcp_core::clock::Timestamp;
use mcp_core::store::runs::{Hold, Step, Turn};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement, Value};

use crate::sql::entity::step::Model;
use crate::sql::standing::{Asked, Change, Standing, run_key, stand};

const STAND: &str = "SELECT epoch, state FROM mcp_runs WHERE tenant = $1 AND id = $2";

const THERE: &str = "SELECT epoch FROM mcp_steps WHERE tenant = $1 AND run = $2 AND number = $3";

const INSERT: &str = "INSERT INTO mcp_steps (tenant, run, number, epoch, kind, key, body, at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

const TURN: &str = "UPDATE mcp_runs SET state = $3, due = CASE WHEN $4 < inputs THEN $9 ELSE $9 + $5 END, \
                    attempts = max(attempts - $6, 0), ended = $7, result = $8 WHERE tenant = $1 AND id = $2";

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

/// Tells who holds the runs. Nobody else writes before the transaction ends.
pub(super) async fn look(transaction: &DatabaseTransaction, asked: &Asked) -> Result<Standing, DbErr> {
    let mut standing = Standing::default();
    for (tenant, run) in &asked.runs {
        let look = statement(STAND, [tenant.as_str().into(), (*run).into()]);
        if let Some(row) = transaction.query_one_raw(look).await? {
            let stand = stand(row.try_get_by_index(0)?, &row.try_get_by_index::<String>(1)?)?;
            standing.runs.insert((tenant.clone(), *run), stand);
        }
    }
    for (tenant, run, number) in &asked.steps {
        let look = statement(THERE, [tenant.as_str().into(), (*run).into(), (*number).into()]);
        if let Some(row) = transaction.query_one_raw(look).await? {
            let epoch = row.try_get_by_index::<i64>(0)?.cast_unsigned();
            standing.steps.insert((tenant.clone(), *run, *number), epoch);
        }
    }
    Ok(standing)
}

pub(super) fn insert(hold: &Hold, step: &Step) -> Statement {
    let row = Model::new(hold, step);
    let values: [Value; 8] = [
        row.tenant.into(),
        row.run.into(),
        row.number.into(),
        row.epoch.into(),
        row.kind.into(),
        row.key.into(),
        row.body.into(),
        row.at.into(),
    ];
    statement(INSERT, values)
}

pub(super) fn turn(hold: &Hold, turn: &Turn, now: Timestamp) -> Statement {
    let ((tenant, run), change) = (run_key(hold), Change::from(turn));
    let values: [Value; 9] = [
        tenant.into(),
        run.into(),
        change.state.into(),
        change.seen.into(),
        change.wait.into(),
        change.forgiven.into(),
        change.ended.into(),
        change.result.to_vec().into(),
        now.as_micros().into(),
    ];
    statement(TURN, values)
}
