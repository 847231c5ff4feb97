//! Replicas in SQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::StoreError;
use mcp_core::store::replicas::{Living, Replica, ReplicaId, Replicas};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Value};

use super::Database;
use super::entity::replica::Model;
use super::error::store_error;
use super::now::{Now, micros};
use super::text::{shown, stored};

/// [`Replicas`] in SQL: by the clock of PostgreSQL, which they share, or by that of the one process that has the file.
pub(crate) struct SqlReplicas {
    database: Database,
    now: Now,
}

/// One that lives has kept away whoever must not live beside it, so that it need not look around: nothing is locked, and one that is
/// stopped in the middle of this holds up nobody. Run twice, it does so twice.
const LIVE_ON: &str = "UPDATE mcp_replicas SET until = {now} + $2 WHERE id = $1 AND until > {now} RETURNING id";

/// A number that nobody else's locks have: `mcp_` and a random rest.
const JOINING: &str = "SELECT pg_advisory_xact_lock(7882267326613966117)";

const IN_THE_WAY: &str = "SELECT id, host, version, started, alone, until FROM mcp_replicas \
                          WHERE id <> $1 AND until > {now} AND (alone OR $2) ORDER BY started, id LIMIT 1";

const FORGET_THE_DEAD: &str = "DELETE FROM mcp_replicas WHERE until <= {now}";

const JOIN: &str = "INSERT INTO mcp_replicas (id, host, version, started, alone, until) VALUES ($1, $2, $3, $4, $5, {now} + $6) \
                    ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until";

const LIST: &str = "SELECT id, host, version, started, alone, until FROM mcp_replicas WHERE until > {now}";

/// Run twice, it does nothing the second time.
const LEAVE: &str = "DELETE FROM mcp_replicas WHERE id = $1";

impl SqlReplicas {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        let now = Now::new(database.backend(), clock);
        Self { database, now }
    }

    /// Joins one at a time.
    async fn join_in_turn(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError> {
        let (id, now, is_postgres) =
            (bits(replica.id), self.now.clone(), self.database.backend() == DbBackend::Postgres);
        let row: [Value; 6] = [
            id.into(),
            stored(&replica.host).into_owned().into(),
            stored(&replica.version).into_owned().into(),
            replica.started.as_micros().into(),
            replica.alone.into(),
            micros(time),
        ];
        let alone = replica.alone;
        let joined = self.database.transaction(move |transaction| {
            async move {
                if is_postgres {
                    transaction.execute_unprepared(JOINING).await?;
                }
                let in_the_way = now.statement(IN_THE_WAY, [id.into(), alone.into()]);
                if let Some(other) = transaction.query_one_raw(in_the_way).await? {
                    return Ok(Some(Model::from_query_result(&other, "")?));
                }
                transaction.execute_raw(now.statement(FORGET_THE_DEAD, [])).await?;
                transaction.execute_raw(now.statement(JOIN, row)).await?;
                Ok(None)
            }
            .boxed()
        });
        Ok(joined.await.map_err(store_error(STORE))?.map(Living::from))
    }
}

const STORE: &str = "replicas";

#[async_trait]
impl Replicas for SqlReplicas {
    async fn join(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError> {
        let live_on = self.now.statement(LIVE_ON, [bits(replica.id).into(), micros(time)]);
        if self.database.writer().query_one_raw(live_on).await.map_err(store_error(STORE))?.is_some() {
            return Ok(None);
        }
        self.join_in_turn(replica, time).await
    }

    async fn leave(&self, id: ReplicaId) -> Result<(), StoreError> {
        let leave = self.now.statement(LEAVE, [bits(id).into()]);
        self.database.writer().execute_raw(leave).await.map(drop).map_err(store_error(STORE))
    }

    async fn list(&self) -> Result<Vec<Living>, StoreError> {
        let rows = self.database.readers().query_all_raw(self.now.statement(LIST, [])).await;
        let rows = rows.map_err(store_error(STORE))?;
        let living = rows.iter().map(|row| Model::from_query_result(row, "").map(Living::from));
        let mut living: Vec<_> = living.collect::<Result<_, _>>().map_err(store_error(STORE))?;
        // Ids are stored with a sign, and do not sort as they are.
        living.sort_by_key(|living| (living.replica.started, living.replica.id));
        Ok(living)
    }
}

/// An id as it is stored.
pub(super) fn bits(id: ReplicaId) -> i64 {
    id.as_u64().cast_signed()
}

impl From<Model> for Living {
    fn from(row: Model) -> Self {
        let replica = Replica {
            id: ReplicaId::from_u64(row.id.cast_unsigned()),
            host: shown(row.host),
            version: shown(row.version),
            started: Timestamp::from_micros(row.started),
            alone: row.alone,
        };
        Self { replica, until: Timestamp::from_micros(row.until) }
    }
}
