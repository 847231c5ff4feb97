//! Answers of calls with keys, each only as long as its call has the key.

use std::borrow::Cow;
use std::collections::HashSet;

use mcp_core::store::ledger::Answer;
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, Row};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use crate::ledger::Outrun;
use crate::sql::entity::call::uuid;
use crate::sql::text::stored;

/// What a call answered before, it may answer again: its commit may be made twice.
const ON_POSTGRES: &str = "UPDATE mcp_claims SET answered = TRUE \
    FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[]) AS answer (tenant, principal, tool, key, owner) \
    WHERE mcp_claims.tenant = answer.tenant AND mcp_claims.principal = answer.principal AND mcp_claims.tool = answer.tool \
    AND mcp_claims.key = answer.key AND mcp_claims.owner = answer.owner \
    RETURNING mcp_claims.owner";

/// Likewise.
const ON_SQLITE: &str = "UPDATE mcp_claims SET answered = TRUE \
    WHERE tenant = $1 AND principal = $2 AND tool = $3 AND key = $4 AND owner = $5";

/// Keeps `answers`, and tells the places of those whose calls have lost their keys.
pub(in crate::sql) async fn keep_on_postgres(
    connection: &mut PgConnection,
    answers: &[(usize, &Answer)],
) -> Result<Outrun, sqlx::Error> {
    fn column<'a, T>(answers: &[(usize, &'a Answer)], value: impl Fn(&'a Answer) -> T) -> Vec<T> {
        answers.iter().map(|(_, answer)| value(answer)).collect()
    }
    if answers.is_empty() {
        return Ok(Outrun::new());
    }
    let kept = sqlx::query(ON_POSTGRES)
        .bind(column::<Cow<'_, str>>(answers, |answer| stored(answer.key.tenant.as_str())))
        .bind(column::<Cow<'_, str>>(answers, |answer| stored(answer.key.principal.as_str())))
        .bind(column::<Cow<'_, str>>(answers, |answer| stored(&answer.key.tool)))
        .bind(column::<Cow<'_, str>>(answers, |answer| stored(&answer.key.key)))
        .bind(column::<Uuid>(answers, |answer| uuid(answer.call)))
        .fetch_all(connection)
        .await?;
    let kept: HashSet<Uuid> = kept.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(answers.iter().filter(|(_, answer)| !kept.contains(&uuid(answer.call))).map(|(place, _)| *place).collect())
}

/// The same.
pub(in crate::sql) async fn keep_on_sqlite(
    transaction: &DatabaseTransaction,
    answers: &[(usize, &Answer)],
) -> Result<Outrun, DbErr> {
    let mut outrun = Outrun::new();
    for (place, Answer { key, call, .. }) in answers {
        let values = [
            stored(key.tenant.as_str()).into_owned().into(),
            stored(key.principal.as_str()).into_owned().into(),
            stored(&key.tool).into_owned().into(),
            stored(&key.key).into_owned().into(),
            uuid(*call).into(),
        ];
        let keep = Statement::from_sql_and_values(DbBackend::Sqlite, ON_SQLITE, values);
        if transaction.execute_raw(keep).await?.rows_affected() == 0 {
            outrun.push(*place);
        }
    }
    Ok(outrun)
}
