//! Answers of calls with keys, each only as long as its call has the key.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use mcp_core::store::ledger::Answer;
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, Row};
use sea_orm::{DatabaseTransaction, DbErr};

use crate::ledger::Outrun;
use crate::sql::entity::call::uuid;
use crate::sql::sqlite::rows::Rows;
use crate::sql::text::stored;

/// What a call answered before, it may answer again: its commit may be made twice.
const ON_POSTGRES: &str = "UPDATE mcp_claims SET answered = TRUE \
    FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[]) AS answer (tenant, principal, tool, key, owner) \
    WHERE mcp_claims.tenant = answer.tenant AND mcp_claims.principal = answer.principal AND mcp_claims.tool = answer.tool \
    AND mcp_claims.key = answer.key AND mcp_claims.owner = answer.owner \
    RETURNING mcp_claims.owner";

/// Likewise.
pub(in crate::sql) static ON_SQLITE: LazyLock<Rows<5>> = LazyLock::new(|| {
    Rows::of(
        "UPDATE mcp_claims SET answered = TRUE WHERE (tenant, principal, tool, key, owner) IN (VALUES {rows}) \
         RETURNING owner",
    )
});

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
    let kept = kept.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(without(answers, &kept))
}

/// The same.
pub(in crate::sql) async fn keep_on_sqlite(
    transaction: &DatabaseTransaction,
    answers: &[(usize, &Answer)],
) -> Result<Outrun, DbErr> {
    let kept = ON_SQLITE.ask(transaction, answers, |(_, Answer { key, call, .. })| {
        [
            stored(key.tenant.as_str()).into_owned().into(),
            stored(key.principal.as_str()).into_owned().into(),
            stored(&key.tool).into_owned().into(),
            stored(&key.key).into_owned().into(),
            uuid(*call).into(),
        ]
    });
    let kept = kept.await?.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    Ok(without(answers, &kept))
}

/// The places of those that are not among the calls that had their keys.
fn without(answers: &[(usize, &Answer)], kept: &HashSet<Uuid>) -> Outrun {
    answers.iter().filter(|(_, answer)| !kept.contains(&uuid(answer.call))).map(|(place, _)| *place).collect()
}
