//! The time in SQL.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::Clock;
use sea_orm::{DbBackend, Statement, Value};

/// Tells the time in a statement: the clock of PostgreSQL, which replicas share, or that of the one process that has the file.
#[derive(Clone)]
pub(super) struct Now {
    backend: DbBackend,
    clock: Arc<dyn Clock>,
}

/// In microseconds, at the moment at which it is asked for: a statement may have waited for another one.
pub(crate) const POSTGRES_NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// As far away as the sum of it and of now can be told.
const LONGEST: i64 = i64::MAX / 2;

impl Now {
    pub(super) fn new(backend: DbBackend, clock: Arc<dyn Clock>) -> Self {
        Self { backend, clock }
    }

    /// A statement in which `{now}` stands for the time, in microseconds since the epoch.
    pub(super) fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        let mut values: Vec<Value> = values.into_iter().collect();
        let sql = if self.backend == DbBackend::Postgres {
            sql.replace("{now}", POSTGRES_NOW)
        } else if sql.contains("{now}") {
            values.push(self.clock.now().as_micros().into());
            sql.replace("{now}", &format!("${}", values.len()))
        } else {
            sql.to_owned()
        };
        Statement::from_sql_and_values(self.backend, sql, values)
    }
}

/// So many microseconds that they can be added to the time.
pub(super) fn micros(time: Duration) -> Value {
    whole_micros(time).into()
}

/// The same, as a number.
pub(super) fn whole_micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(LONGEST).min(LONGEST)
}
