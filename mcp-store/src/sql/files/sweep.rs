//! The removal of blobs that nothing refers to.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::TryStreamExt;
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{Blobs, REMOVAL};
use mcp_core::store::leases::{Lease, Leases};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::Database;
use super::super::entity::content::{Column, Entity};
use super::super::error::store_error;
use crate::blobs::FolderBlobs;

/// Removes blobs to which no contents refer: those of files that were replaced or removed, of records that are gone, and of writes that
/// came to nothing. They must be older than a write may take, and then none will ever refer to them: a blob's name is used once.
pub(crate) struct Sweep {
    pub(crate) database: Database,
    pub(crate) blobs: Arc<dyn Blobs>,
    /// Where it is a folder of this machine.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How old a blob is at the least: twice what a write may take.
pub(super) const AGE: Duration = Duration::from_secs(60 * 60);
/// How long after the start the first sweep is, and after one the next.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// How many blobs are looked up at once.
const BATCH: usize = 100;
/// For how long nobody else removes blobs.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// How long it may take to remove one.
const DELETE: Duration = Duration::from_secs(60);

impl Sweep {
    /// Sweeps every so often, until it is dropped.
    pub(crate) fn start(self: &Arc<Self>) {
        tokio::spawn(sweep(Arc::downgrade(self)));
    }

    /// Removes what was put before `before`, and tells how many blobs that were; nothing, where somebody else has the lease: another
    /// replica sweeps, or a backup needs them to stay.
    pub(in crate::sql) async fn run(&self, before: Timestamp) -> Result<Option<usize>, StoreError> {
        let begun = self.clock.monotonic();
        let Some(lease) = self.leases.acquire(REMOVAL, LEASE).await? else { return Ok(None) };
        let removed = self.remove(&lease, begun, before).await;
        // It ends by itself, where it cannot be given back.
        let released = self.leases.release(lease).await;
        let removed = removed?;
        released?;
        Ok(Some(removed))
    }

    async fn remove(&self, lease: &Lease, mut renewed: Duration, before: Timestamp) -> Result<usize, StoreError> {
        let mut removed = 0;
        let mut batches = self.blobs.list().try_chunks(BATCH).map_err(|error| error.1);
        while let Some(batch) = batches.try_next().await? {
            let old: Vec<String> = batch.into_iter().filter(|blob| blob.put < before).map(|blob| blob.name).collect();
            if old.is_empty() {
                continue;
            }
            let referred = self.referred(&old).await?;
            self.forget_records(&old).await?;
            for name in old.iter().filter(|name| !referred.contains(*name)) {
                let now = self.clock.monotonic();
                if now.saturating_sub(renewed) > LEASE / 2 {
                    if !self.leases.renew(lease, LEASE).await? {
                        return Ok(removed);
                    }
                    renewed = now;
                }
                match tokio::time::timeout(DELETE, self.blobs.delete(name)).await {
                    Ok(deleted) => deleted?,
                    Err(_) => return Err(StoreError::Unavailable { store: "store of blobs", source: None }),
                }
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Those of `names` to which contents refer.
    async fn referred(&self, names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let referred = Entity::find().select_only().column(Column::Blob).filter(Column::Blob.is_in(names));
        let referred = referred.into_tuple::<String>().all(self.database.readers()).await;
        referred.map(BTreeSet::from_iter).map_err(store_error("store of files"))
    }

    /// Forgets the contents of calls and runs that are gone. Their blobs go with the next sweep: by then nobody is left who has read
    /// of them.
    async fn forget_records(&self, names: &[String]) -> Result<(), StoreError> {
        const GONE: &str = "record IS NOT NULL \
            AND NOT EXISTS (SELECT 1 FROM mcp_calls AS c WHERE c.tenant = mcp_contents.tenant AND c.id = mcp_contents.record) \
            AND NOT EXISTS (SELECT 1 FROM mcp_runs AS r WHERE r.tenant = mcp_contents.tenant AND r.id = mcp_contents.record)";
        let gone = Entity::delete_many().filter(Column::Blob.is_in(names)).filter(Expr::cust(GONE));
        gone.exec(self.database.writer()).await.map(drop).map_err(store_error("store of files"))
    }

    /// What no list shows, and nothing can ever refer to.
    async fn remove_unfinished(&self) {
        let Some(folder) = self.folder.clone() else { return };
        let removed = tokio::task::spawn_blocking(move || FolderBlobs::remove_unfinished(&folder, AGE)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "what was left of blobs that were never whole stays for a while");
        }
    }
}

async fn sweep(sweep: Weak<Sweep>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(sweep) = sweep.upgrade() else { return };
        sweep.remove_unfinished().await;
        let now = sweep.clock.now().as_micros();
        let before = Timestamp::from_micros(now.saturating_sub(i64::try_from(AGE.as_micros()).unwrap_or(i64::MAX)));
        match sweep.run(before).await {
            Ok(Some(removed)) if removed > 0 => tracing::info!(removed, "blobs that nothing referred to are removed"),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "blobs that nothing refers to stay for a while"
                );
            }
        }
    }
}
