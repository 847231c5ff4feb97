//! Moves what is large out of the rows.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future, stream};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{Blobs, REMOVAL, new_name};
use mcp_core::store::leases::{Lease, Leases};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, Statement, Value};
use sha2::{Digest, Sha256};

use super::{Large, STORE, joined};
use crate::sql::Database;
use crate::sql::entity::{call, run, step};
use crate::sql::error::store_error;

/// Moves the bytes of large records into blobs, each record's into its own: of calls, and of runs that have ended, with their large
/// steps. Bytes are put first, and then the row refers to them: whatever happens in between, no row refers to bytes that are not
/// there, and all that can be left is a blob to which none does, which is swept.
///
/// It is done by one replica at a time, and not while a backup copies the blobs. Whoever was stopped meanwhile, for so long that
/// others may have swept what it had put, moves nothing. Where no blob can be put, records stay in their rows.
pub(crate) struct Mover {
    pub(crate) database: Database,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How long after the start it looks first.
const FIRST: Duration = Duration::from_secs(5);
/// How long after that it looks again.
const EVERY: Duration = Duration::from_secs(60);
/// For how long it moves what it finds; the rest has its turn the next time, so that a backup need not wait for all of it.
const TURN: Duration = Duration::from_secs(30);
/// How long it may take to put a blob.
const PUT: Duration = Duration::from_secs(60);
/// For how long nobody removes blobs: usually longer than a turn, and what was begun in it.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// How many records are found at once.
const PAGE: i64 = 50;

/// Records of more than 64 KiB: what is smaller costs more as a blob, by the way to it, than it does in the row. Each table has an
/// index of those alone, which knows them by these very words, and is taken for its order: PostgreSQL believes that they are many.
pub(super) const CALLS: &str = "SELECT tenant, id FROM mcp_calls {index} \
    WHERE length(arguments) + length(result) > 65536 AND format = 1 ORDER BY tenant, id LIMIT $1";
pub(super) const RUNS: &str = "SELECT tenant, id FROM mcp_runs {index} \
    WHERE length(arguments) + length(result) > 65536 AND format = 1 AND ended IS NOT NULL \
    ORDER BY tenant, id LIMIT $1";
pub(super) const STEPS: &str = "SELECT s.tenant, s.run FROM mcp_steps AS s {index} WHERE length(s.body) > 65536 \
    AND (SELECT r.format = 1 AND r.ended IS NOT NULL FROM mcp_runs AS r WHERE r.tenant = s.tenant AND r.id = s.run) \
    ORDER BY s.tenant, s.run LIMIT $1";

/// Nobody else has had the lease since, nor has it before the transaction ends.
const HELD: &str = "SELECT 1 FROM mcp_leases WHERE name = $1 AND epoch = $2{lock}";

const LARGE_STEP: &str = "SELECT tenant, run, number, epoch, kind, key, body, at, blob FROM mcp_steps \
    WHERE tenant = $1 AND run = $2 AND number > $3 AND length(body) > 65536 ORDER BY number LIMIT 1";

const MOVE_CALL: &str = "UPDATE mcp_calls SET format = 2, arguments = $3, result = $3, blob = $4 \
    WHERE tenant = $1 AND id = $2 AND format = 1";

/// Clients may choose the ids of runs: it is the one that was read.
const MOVE_RUN: &str = "UPDATE mcp_runs SET format = 2, arguments = $3, result = $3, blob = $4 \
    WHERE tenant = $1 AND id = $2 AND format = 1 AND at = $5 AND ended = $6";

const MOVE_STEP: &str = "UPDATE mcp_steps SET body = $4, blob = $5 WHERE tenant = $1 AND run = $2 AND number = $3";

/// No bytes have the hash of a name: it is none of a file's, which has a key.
const REFER: &str = "INSERT INTO mcp_contents (tenant, hash, blob, size, record) VALUES ($1, $2, $3, $4, $5)";

/// What is to be moved: whose it is, and its id.
enum Found {
    Call(String, Uuid),
    Run(String, Uuid),
}

/// Bytes that were put.
struct Put {
    blob: String,
    size: i64,
}

impl Mover {
    /// Moves every so often, until it is dropped.
    pub(crate) fn start(self: &Arc<Self>) {
        tokio::spawn(keep_moving(Arc::downgrade(self)));
    }

    /// Moves what is large, for as long as a turn is, and tells how many records that were; nothing, where somebody else has the
    /// lease.
    pub(super) async fn run(&self) -> Result<Option<usize>, StoreError> {
        // Mostly there is nothing to do, and nobody needs to be asked for the right to do it.
        if self.find().await?.is_empty() {
            return Ok(Some(0));
        }
        let Some(lease) = self.leases.acquire(REMOVAL, LEASE).await? else { return Ok(None) };
        let moved = self.move_all(&lease).await;
        // It ends by itself, where it cannot be given back.
        let released = self.leases.release(lease).await;
        let moved = moved?;
        released?;
        Ok(Some(moved))
    }

    async fn move_all(&self, lease: &Lease) -> Result<usize, StoreError> {
        let (begun, mut moved) = (self.clock.monotonic(), 0);
        loop {
            let before = moved;
            for record in self.find().await? {
                if self.clock.monotonic().saturating_sub(begun) > TURN {
                    return Ok(moved);
                }
                let is_moved = match &record {
                    Found::Call(tenant, id) => self.move_call(lease, tenant, *id).await,
                    Found::Run(tenant, id) => self.move_run(lease, tenant, *id).await,
                };
                match is_moved {
                    Ok(is_moved) => moved += usize::from(is_moved),
                    Err(error @ StoreError::Refused { .. }) => {
                        let (Found::Call(_, id) | Found::Run(_, id)) = record;
                        tracing::warn!(error = &error as &dyn std::error::Error, %id, "a large record stays in its row");
                    }
                    Err(error) => return Err(error),
                }
            }
            if moved == before {
                return Ok(moved);
            }
        }
    }

    /// Some of what is to be moved.
    async fn find(&self) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for (sql, table, kind) in
            [(CALLS, "calls", Found::Call as fn(_, _) -> _), (RUNS, "runs", Found::Run), (STEPS, "steps", Found::Run)]
        {
            let statement = finding(self.database.backend(), sql, table);
            let rows = self.database.readers().query_all_raw(statement).await.map_err(store_error(STORE))?;
            for row in rows {
                let read = || Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
                let (tenant, id) = read().map_err(store_error(STORE))?;
                found.push(kind(tenant, id));
            }
        }
        Ok(found)
    }

    pub(super) async fn move_call(&self, lease: &Lease, tenant: &str, id: Uuid) -> Result<bool, StoreError> {
        let row = call::Entity::find_by_id((tenant.to_owned(), id)).one(self.database.readers()).await;
        let row = row.map_err(store_error(STORE))?;
        let Some(mut row) = row.filter(|row| row.format == call::FORMAT) else { return Ok(false) };
        let put = self.put(&mut row).await?;
        let values: [Value; 4] = [tenant.into(), id.into(), Vec::<u8>::new().into(), put.blob.as_str().into()];
        self.refer(lease, tenant, id, (MOVE_CALL, values.to_vec()), vec![(None, put)]).await
    }

    /// With its large steps, or not at all: that they are in blobs is told by the format of the run.
    async fn move_run(&self, lease: &Lease, tenant: &str, id: Uuid) -> Result<bool, StoreError> {
        let row = run::Entity::find_by_id((tenant.to_owned(), id)).one(self.database.readers()).await;
        let row = row.map_err(store_error(STORE))?;
        // It may have been found twice: as a large one, and by each of its large steps.
        let Some(mut row) = row.filter(|row| row.format == run::FORMAT) else { return Ok(false) };
        let put = self.put(&mut row).await?;
        let values: [Value; 6] = [
            tenant.into(),
            id.into(),
            Vec::<u8>::new().into(),
            put.blob.as_str().into(),
            row.at.into(),
            row.ended.into(),
        ];
        let (mut all, mut last) = (vec![(None, put)], -1);
        while let Some(mut step) = self.large_step(tenant, id, last).await? {
            last = step.number;
            all.push((Some(last), self.put(&mut step).await?));
        }
        self.refer(lease, tenant, id, (MOVE_RUN, values.to_vec()), all).await
    }

    /// The first large step of a run after one.
    async fn large_step(&self, tenant: &str, run: Uuid, after: i32) -> Result<Option<step::Model>, StoreError> {
        let next = statement(self.database.backend(), LARGE_STEP, [tenant.into(), run.into(), after.into()]);
        let next = step::Entity::find().from_raw_sql(next).one(self.database.readers()).await;
        next.map_err(store_error(STORE))
    }

    /// Puts the bytes of a row into a blob.
    async fn put(&self, row: &mut impl Large) -> Result<Put, StoreError> {
        let (blob, bytes) = (new_name()?, joined(&row.fields()));
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let bytes = stream::once(future::ready(Ok(bytes.into()))).boxed();
        match tokio::time::timeout(PUT, self.blobs.put(&blob, bytes)).await {
            Ok(put) => put.map(|_| Put { blob, size }),
            Err(late) => Err(StoreError::Unavailable { store: STORE, source: Some(Arc::new(late)) }),
        }
    }

    /// Has a record refer to its blobs, and those of its parts with numbers to theirs, in place of the bytes. It is false where the
    /// record or the lease has gone meanwhile.
    async fn refer(
        &self,
        lease: &Lease,
        tenant: &str,
        record: Uuid,
        (sql, values): (&'static str, Vec<Value>),
        all: Vec<(Option<i32>, Put)>,
    ) -> Result<bool, StoreError> {
        let names: Vec<String> = all.iter().map(|(_, put)| put.blob.clone()).collect();
        let held = lease_is_held(self.database.backend(), lease);
        let tenant = tenant.to_owned();
        let referred = self.database.transaction(move |transaction| {
            async move {
                if transaction.query_one_raw(held).await?.is_none() || execute(transaction, sql, values).await? == 0 {
                    return Ok(false);
                }
                for (part, Put { blob, size }) in all {
                    if let Some(number) = part {
                        let empty = Vec::<u8>::new();
                        let values: [Value; 5] =
                            [tenant.as_str().into(), record.into(), number.into(), empty.into(), blob.as_str().into()];
                        execute(transaction, MOVE_STEP, values).await?;
                    }
                    let hash = Sha256::digest(&blob).to_vec();
                    let values: [Value; 5] =
                        [tenant.as_str().into(), hash.into(), blob.into(), size.into(), record.into()];
                    execute(transaction, REFER, values).await?;
                }
                Ok(true)
            }
            .boxed()
        });
        let referred = referred.await.map_err(store_error(STORE))?;
        if !referred {
            for name in names {
                self.blobs.delete(&name).await?;
            }
        }
        Ok(referred)
    }
}

/// What finds the large rows of a table. SQLite knows nothing of how few they are.
pub(super) fn finding(backend: DbBackend, sql: &str, table: &str) -> Statement {
    let index = match backend {
        DbBackend::Sqlite => format!("INDEXED BY mcp_{table}_large"),
        _ => String::new(),
    };
    statement(backend, &sql.replace("{index}", &index), [PAGE.into()])
}

/// Gives a row in a transaction in which nobody else can have the lease.
pub(in crate::sql) fn lease_is_held(backend: DbBackend, lease: &Lease) -> Statement {
    let lock = if backend == DbBackend::Postgres { " FOR SHARE" } else { "" };
    let held: [Value; 2] = [lease.name.as_str().into(), lease.epoch.cast_signed().into()];
    statement(backend, &HELD.replace("{lock}", lock), held)
}

fn statement(backend: DbBackend, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(backend, sql, values)
}

async fn execute(
    transaction: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let done = transaction.execute_raw(statement(transaction.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

async fn keep_moving(mover: Weak<Mover>) {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = EVERY;
        let Some(mover) = mover.upgrade() else { return };
        match mover.run().await {
            Ok(Some(moved)) if moved > 0 => tracing::debug!(moved, "large records are in blobs"),
            Ok(_) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "large records stay in their rows for a while");
            }
        }
    }
}
