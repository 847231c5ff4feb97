//! Connections to a server that may be started again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tracing::Instrument;

use super::error::is_about_the_connection;
use super::pool::Pool;
use super::postgres::CONNECTIONS;
use crate::spans;

/// Runs each statement, outside of a transaction, and again on the next connection if it met one that the server has closed: for
/// reads, and for writes that do no harm when they are run twice.
#[derive(Clone)]
pub(crate) struct Repeating {
    pub(super) pool: Arc<Pool>,
    backend: DbBackend,
}

/// How long a statement may take, with all that it meets. A server that is cut off says nothing.
const DEADLINE: Duration = Duration::from_secs(6);

/// Gives up after as many as can have waited in the pool, all of which a server that was started again has closed.
macro_rules! repeat {
    ($self:ident, $sql:expr, $run:expr) => {{
        let repeated = async {
            for _ in 0..CONNECTIONS {
                match $run.await {
                    Err(error) if is_about_the_connection(&error) => {}
                    done => return done,
                }
            }
            $run.await
        };
        $self.pool.until(DEADLINE, repeated).instrument(spans::statement($self.backend, $sql)).await
    }};
}

impl Repeating {
    pub(super) fn new(pool: Pool) -> Self {
        Self { backend: pool.current().get_database_backend(), pool: Arc::new(pool) }
    }
}

#[async_trait]
impl ConnectionTrait for Repeating {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        repeat!(self, &statement.sql, self.pool.current().execute_raw(statement.clone()))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        repeat!(self, sql, self.pool.current().execute_unprepared(sql))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        repeat!(self, &statement.sql, self.pool.current().query_one_raw(statement.clone()))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        repeat!(self, &statement.sql, self.pool.current().query_all_raw(statement.clone()))
    }
}
