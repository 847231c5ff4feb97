//! How many calls there were, in SQL: counted by the statement that writes them, so that what is written again is not counted again.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::measure::Histogram;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::Outcome;
use mcp_core::store::records::{Keep, Records};
use mcp_core::store::stats::{By, Count, Counted, MOST, Stats, StatsQuery, Taken, minute};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, Value};

use super::Database;
use super::error::store_error;
use super::model_counts;
use super::text::{shown, stored};
use crate::random::random;

/// [`Stats`] in SQL.
pub(crate) struct SqlStats {
    database: Database,
}

impl SqlStats {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

pub(super) const STORE: &str = "stats";

/// A table of counts, of each process by itself and by the minute, of which those that are old are put together by the hour.
pub(super) struct Counts {
    pub(super) table: &'static str,
    /// By what they are told apart beside tenant, time and process.
    by: &'static str,
    /// What is added up.
    sums: [&'static str; 2],
}

/// Calls.
const CALLS: Counts = Counts { table: "mcp_call_counts", by: "tool, outcome, bucket", sums: ["calls", "micros"] };
/// What language models took.
pub(super) const MODELS: Counts = Counts { table: "mcp_model_counts", by: "agent, model", sums: ["tokens", "micros"] };

/// Each process has rows of its own, so that none waits until another has committed.
pub(super) static WRITER: LazyLock<i64> = LazyLock::new(|| (random() >> 1).max(1).cast_signed());

impl Counts {
    fn key(&self) -> String {
        format!("tenant, minute, {}, writer", self.by)
    }

    /// Where rows go, by name.
    pub(super) fn columns(&self) -> String {
        format!("{} ({}, {})", self.table, self.key(), self.sums.join(", "))
    }

    /// The end of a statement that adds to what was counted.
    pub(super) fn add(&self) -> String {
        let sums = self.sums.map(|sum| format!("{sum} = {}.{sum} + excluded.{sum}", self.table));
        format!("ON CONFLICT ({}) DO UPDATE SET {}", self.key(), sums.join(", "))
    }
}

/// What counts the rows of `calls` on PostgreSQL, always in the same order.
pub(super) static COUNT: LazyLock<String> = LazyLock::new(|| {
    let bounds: Vec<_> = bounds().map(|bound| bound.to_string()).collect();
    format!(
        "INSERT INTO {} \
         SELECT tenant, (at + duration) / 60000000, tool, outcome, \
         width_bucket(duration - 1, '{{{}}}'::bigint[]), {}, count(*), sum(duration)::bigint FROM calls \
         GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 {}",
        CALLS.columns(),
        bounds.join(","),
        *WRITER,
        CALLS.add()
    )
});

/// What counts them on SQLite.
pub(super) fn trigger() -> String {
    let cases: Vec<_> = bounds().zip(0..).map(|(bound, n)| format!("WHEN NEW.duration <= {bound} THEN {n}")).collect();
    format!(
        "CREATE TRIGGER mcp_calls_counted AFTER INSERT ON mcp_calls BEGIN INSERT INTO {} \
         VALUES (NEW.tenant, (NEW.at + NEW.duration) / 60000000, NEW.tool, NEW.outcome, CASE {} ELSE {} END, 0, 1, \
         NEW.duration) {}; END",
        CALLS.columns(),
        cases.join(" "),
        Histogram::BOUNDS.len(),
        CALLS.add()
    )
}

/// In microseconds.
fn bounds() -> impl Iterator<Item = u128> {
    Histogram::BOUNDS.iter().map(Duration::as_micros)
}

/// More rows than this make more answers than there may be.
const ROWS: usize = MOST * (Histogram::BOUNDS.len() + 1);

#[async_trait]
impl Stats for SqlStats {
    async fn calls(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Counted>, StoreError> {
        let (within, values) = within(tenant, query);
        let tool = if query.by == By::Tool { "tool" } else { "''" };
        let sql = format!(
            "SELECT (minute - $1) / $3 AS step, {tool} AS tool, outcome, bucket, \
             CAST(sum(calls) AS bigint) AS calls, CAST(sum(micros) AS bigint) AS micros \
             FROM mcp_call_counts WHERE {within} GROUP BY 1, 2, 3, 4 LIMIT {}",
            ROWS + 1
        );
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        let rows = self.database.readers().query_all_raw(statement).await.map_err(store_error(STORE))?;
        if rows.len() > ROWS {
            return Err(StoreError::Refused { store: STORE, source: None });
        }
        let counts: Result<Vec<Count>, DbErr> = rows.iter().map(|row| count(row, query)).collect();
        query.gather(counts.map_err(store_error(STORE))?)
    }

    async fn models(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Taken>, StoreError> {
        model_counts::read(&self.database, tenant, query).await
    }
}

/// Of which minutes and of whose rows are asked for, and the values for that. By the same ones `(minute - $1) / $3` is a row's step.
pub(super) fn within(tenant: Option<&Tenant>, query: &StatsQuery) -> (&'static str, Vec<Value>) {
    let (first, end) = query.range();
    let mut values: Vec<Value> = vec![first.into(), end.into(), query.step().into()];
    let Some(tenant) = tenant else { return ("minute >= $1 AND minute < $2", values) };
    values.push(stored(tenant.as_str()).into_owned().into());
    ("minute >= $1 AND minute < $2 AND tenant = $4", values)
}

/// The minute with which the step of a row begins.
pub(super) fn minute_of(row: &QueryResult, query: &StatsQuery) -> Result<i64, DbErr> {
    Ok(query.range().0 + row.try_get::<i64>("", "step")? * query.step())
}

/// What was added up in a row.
pub(super) fn sum_of(row: &QueryResult, column: &str) -> Result<u64, DbErr> {
    Ok(row.try_get::<i64>("", column)?.max(0).cast_unsigned())
}

fn count(row: &QueryResult, query: &StatsQuery) -> Result<Count, DbErr> {
    let outcome: String = row.try_get("", "outcome")?;
    let unknown = |error: mcp_core::store::ledger::UnknownOutcome| DbErr::Type(error.to_string());
    Ok(Count {
        minute: minute_of(row, query)?,
        tool: shown(row.try_get("", "tool")?),
        outcome: outcome.parse::<Outcome>().map_err(unknown)?,
        bucket: usize::try_from(row.try_get::<i32>("", "bucket")?).unwrap_or(usize::MAX),
        calls: sum_of(row, "calls")?,
        took: Duration::from_micros(sum_of(row, "micros")?),
    })
}

/// How counts go again: what is older than two days is put together by the hour, and at last it goes. Nobody is named in them, and so
/// nobody is forgotten.
pub(crate) struct CountRecords {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// For how many minutes each is counted by itself.
const FINE: i64 = 2 * 24 * 60;

impl CountRecords {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Removes rows from before this minute.
    async fn remove(&self, counts: &Counts, before: i64, batch: u16) -> Result<u64, DbErr> {
        let (key, table) = (counts.key(), counts.table);
        let old = format!("SELECT {key} FROM {table} WHERE minute < $1 LIMIT $2");
        let sql = format!("DELETE FROM {table} WHERE ({key}) IN ({old})");
        let values = [before.into(), i64::from(batch).into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        Ok(self.database.writer().execute_raw(statement).await?.rows_affected())
    }

    /// Puts the first hour together that is not yet and begins before this minute, and tells how many rows went in it.
    async fn put_together(&self, counts: &'static Counts, before: i64) -> Result<u64, DbErr> {
        let backend = self.database.backend();
        self.database.transaction(move |transaction| put_together(transaction, backend, counts, before).boxed()).await
    }
}

/// What was not put together yet; an index has these alone, so that those of months are not looked through for them.
pub(super) const FINE_ONES: &str = "(minute % 60 <> 0 OR writer <> 0)";

async fn put_together(
    transaction: &DatabaseTransaction,
    backend: DbBackend,
    counts: &Counts,
    before: i64,
) -> Result<u64, DbErr> {
    let Counts { table, by, sums: [one, other] } = counts;
    let statement = |sql: String, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let number = |row: Option<QueryResult>| row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose();
    let first = format!("SELECT min(minute) FROM {table} WHERE minute < $1 AND {FINE_ONES}");
    let first = number(transaction.query_one_raw(statement(first, vec![before.into()])).await?)?.flatten();
    let Some(hour) = first.map(|first| first.div_euclid(60) * 60) else { return Ok(0) };
    let hour = || vec![hour.into(), (hour + 60).into()];
    let these = format!("FROM {table} WHERE minute >= $1 AND minute < $2 AND {FINE_ONES}");
    let sums = format!(
        "INSERT INTO {} \
         SELECT tenant, $1, {by}, 0, CAST(sum({one}) AS bigint), CAST(sum({other}) AS bigint)",
        counts.columns()
    );
    let grouped = format!("GROUP BY tenant, {by} {}", counts.add());
    if backend == DbBackend::Postgres {
        // In one statement, since rows may be added to meanwhile: what goes is what is put together.
        let sql = format!(
            "WITH fine AS (DELETE {these} RETURNING *), added AS ({sums} FROM fine {grouped}) SELECT count(*) FROM fine"
        );
        let gone = number(transaction.query_one_raw(statement(sql, hour())).await?)?;
        return Ok(gone.flatten().unwrap_or(0).cast_unsigned());
    }
    transaction.execute_raw(statement(format!("{sums} {these} {grouped}"), hour())).await?;
    Ok(transaction.execute_raw(statement(format!("DELETE {these}"), hour())).await?.rows_affected())
}

#[async_trait]
impl Records for CountRecords {
    fn kind(&self) -> &'static str {
        "stats"
    }

    /// An hour at a time, whose size the batch does not bound: it has few rows for each tool, and for each agent.
    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let fine = (minute(self.clock.now()) - FINE).div_euclid(60) * 60;
        for counts in [&CALLS, &MODELS] {
            if let Some(since) = keep.since {
                let old = self.remove(counts, minute(since), batch).await.map_err(store_error(STORE))?;
                if old > 0 {
                    return Ok(old);
                }
            }
            let done = self.put_together(counts, fine).await.map_err(store_error(STORE))?;
            if done > 0 {
                return Ok(done);
            }
        }
        Ok(0)
    }

    async fn forget(&self, _: &Tenant, _: &Principal, _: u16) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mcp_core::clock::Timestamp;
    use mcp_core::clock::simulated::SimulatedClock;

    use super::*;
    use crate::sql::{postgres, tests};

    const HOUR: i64 = 60;

    async fn write(database: &Database, minute: i64, writer: i64, tool: &str) {
        let sql = format!("INSERT INTO {} VALUES ('a', $1, $3, 'ok', 2, $2, 3, 400)", CALLS.columns());
        let values: Vec<Value> = vec![minute.into(), writer.into(), tool.into()];
        let statement = Statement::from_sql_and_values(database.backend(), sql, values);
        database.writer().execute_raw(statement).await.unwrap();
    }

    async fn rows(database: &Database) -> BTreeSet<(i64, i64, String, i64, i64)> {
        let sql = "SELECT minute, writer, tool, calls, micros FROM mcp_call_counts";
        let rows = database.readers().query_all_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
        let number = |row: &QueryResult, column| row.try_get("", column).unwrap();
        let row = |row: &QueryResult| {
            let tool = row.try_get("", "tool").unwrap();
            (number(row, "minute"), number(row, "writer"), tool, number(row, "calls"), number(row, "micros"))
        };
        rows.iter().map(row).collect()
    }

    #[tokio::test]
    async fn what_is_older_than_two_days_is_counted_by_the_hour_and_goes_at_last() {
        let (_folder, sqlite) = tests::database().await;
        for database in [sqlite, postgres::tests::database(1).await] {
            let clock = SimulatedClock::new();
            let records = CountRecords::new(database.clone(), Arc::new(clock.clone()));
            // An hour begins.
            let new = minute(clock.now()).div_euclid(HOUR) * HOUR - FINE;
            let old = new - 2 * HOUR;
            for (minute, writer, tool) in [
                (old, 0, "x"),
                (old, 7, "x"),
                (old + 5, 8, "x"),
                (old + 5, 7, "y"),
                (old + HOUR, 7, "x"),
                (new, 7, "x"),
            ] {
                write(&database, minute, writer, tool).await;
            }
            let mut gone = Vec::new();
            loop {
                gone.push(records.expire(Keep::default(), 100).await.unwrap());
                if gone.last() == Some(&0) {
                    break;
                }
            }
            assert_eq!(gone, [3, 1, 0], "one hour after the other");
            let row =
                |minute, writer, tool: &str, times: i64| (minute, writer, tool.to_owned(), 3 * times, 400 * times);
            let put_together =
                [row(old, 0, "x", 3), row(old, 0, "y", 1), row(old + HOUR, 0, "x", 1), row(new, 7, "x", 1)];
            assert_eq!(rows(&database).await, BTreeSet::from(put_together.clone()));
            // A late one is added.
            write(&database, old + 59, 9, "y").await;
            assert_eq!(records.expire(Keep::default(), 100).await.unwrap(), 1);
            assert!(rows(&database).await.contains(&row(old, 0, "y", 2)));
            let since = Timestamp::from_micros((old + HOUR) * 60_000_000);
            let keep = Keep { since: Some(since), most: None };
            assert_eq!(records.expire(keep, 1).await.unwrap(), 1, "a batch is small");
            assert_eq!(records.expire(keep, 100).await.unwrap(), 1);
            assert_eq!(records.expire(keep, 100).await.unwrap(), 0);
            assert_eq!(rows(&database).await, BTreeSet::from_iter(put_together[2..].iter().cloned()));
            // What models took goes the same way.
            let rows = |minute: i64, writer: i64| {
                format!(
                    "INSERT INTO mcp_model_counts (tenant, minute, agent, model, writer, tokens, micros) \
                    VALUES ('a', {minute}, 'x', 'm', {writer}, 10, 3)"
                )
            };
            for (minute, writer) in [(old + HOUR, 7), (old + HOUR + 5, 8), (new, 7), (old, 7)] {
                database.run(&rows(minute, writer)).await.unwrap();
            }
            let gone = [records.expire(keep, 100).await.unwrap(), records.expire(keep, 100).await.unwrap()];
            assert_eq!((gone, records.expire(keep, 100).await.unwrap()), ([1, 2], 0));
            let sql = "SELECT minute, writer, tokens, micros FROM mcp_model_counts ORDER BY minute";
            let left = database.readers().query_all_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
            let number = |row: &QueryResult, n: usize| row.try_get_by_index::<i64>(n).unwrap();
            let left: Vec<_> = left.iter().map(|row| [0, 1, 2, 3].map(|n| number(row, n))).collect();
            assert_eq!(left, [[old + HOUR, 0, 20, 6], [new, 7, 10, 3]]);
        }
    }
}
