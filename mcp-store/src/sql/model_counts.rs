//! What language models took, counted in the transaction that writes the step for which they were asked, where that step is new.

use std::borrow::Cow;

use mcp_core::caller::Tenant;
use mcp_core::model::price::Money;
use mcp_core::store::StoreError;
use mcp_core::store::runs::Hold;
use mcp_core::store::stats::{By, MOST, ModelUse, StatsQuery, Taken, begin, minute};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use super::Database;
use super::error::store_error;
use super::stats::{MODELS, STORE, WRITER, minute_of, sum_of, within};
use super::text::{shown, stored};

/// What adds `rows` to what was counted, in either database.
pub(super) fn add(rows: &str) -> String {
    format!("INSERT INTO {} VALUES {rows} {}", MODELS.columns(), MODELS.add())
}

/// What is added.
pub(super) struct Row<'u> {
    pub(super) tenant: Cow<'u, str>,
    pub(super) minute: i64,
    pub(super) agent: Cow<'u, str>,
    pub(super) model: Cow<'u, str>,
    pub(super) writer: i64,
    pub(super) tokens: i64,
    pub(super) micros: i64,
}

impl<'u> Row<'u> {
    pub(super) fn of(hold: &'u Hold, used: &'u ModelUse) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            tenant: stored(hold.tenant.as_str()),
            minute: minute(used.at),
            agent: stored(&used.agent),
            model: stored(&used.model),
            writer: *WRITER,
            tokens: number(used.tokens),
            micros: number(used.cost.as_micros()),
        }
    }
}

/// What was counted, of one tenant or of all.
pub(super) async fn read(
    database: &Database,
    tenant: Option<&Tenant>,
    query: &StatsQuery,
) -> Result<Vec<Taken>, StoreError> {
    let (within, values) = within(tenant, query);
    let name = match query.by {
        By::Agent => "agent",
        By::Model => "model",
        _ => "''",
    };
    let sql = format!(
        "SELECT (minute - $1) / $3 AS step, {name} AS name, CAST(sum(tokens) AS bigint) AS tokens, \
         CAST(sum(micros) AS bigint) AS micros FROM {} WHERE {within} GROUP BY 1, 2 LIMIT {}",
        MODELS.table,
        MOST + 1
    );
    let statement = Statement::from_sql_and_values(database.backend(), sql, values);
    let rows = database.readers().query_all_raw(statement).await.map_err(store_error(STORE))?;
    let used = |row: &QueryResult| -> Result<ModelUse, DbErr> {
        let name = shown(row.try_get("", "name")?);
        Ok(ModelUse {
            agent: name.clone(),
            model: name,
            tokens: sum_of(row, "tokens")?,
            cost: Money::from_micros(sum_of(row, "micros")?),
            at: begin(minute_of(row, query)?),
        })
    };
    let uses: Result<Vec<_>, DbErr> = rows.iter().map(used).collect();
    query.gather_taken(uses.map_err(store_error(STORE))?)
}
