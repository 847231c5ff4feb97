//! Bytes in blobs: new ones are put, and then the rows refer to them. The old ones are swept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future, stream};
use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{Blobs, ByteStream, REMOVAL, new_name};
use mcp_core::store::leases::Lease;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use sha2::{Digest, Sha256};

use super::tables::{Row, Stored};
use super::{PAGE, Renewal, STORE};
use crate::sql::content::{plain_size, sealed_size};
use crate::sql::error::store_error;
use crate::sql::large::{joined, lease_is_held, split};
use crate::sql::text::shown;
use crate::sql::words::{Tokens, array, line};

/// The right to refer to other blobs: meanwhile nobody removes any.
pub(super) struct Held {
    pub(super) lease: Lease,
    blobs: Arc<dyn Blobs>,
}

/// For how long it is held without a renewal.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// How long to wait for whoever has it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to ask.
const AGAIN: Duration = Duration::from_millis(500);

/// Why blobs stay as they are.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("somebody else removes blobs or makes a backup: run it again later")]
    Held,
    #[error("the bytes of records or files are in blobs, and FILES_URL names no place for blobs")]
    Nowhere,
    #[error("the blob {0} is missing, or is not what was put there: restore it from a backup")]
    Missing(String),
}

fn stays(problem: Problem) -> StoreError {
    StoreError::Refused { store: STORE, source: Some(Arc::new(problem)) }
}

impl Renewal {
    /// Takes the lease, where there are blobs.
    pub(super) async fn hold(&self) -> Result<Option<Held>, StoreError> {
        let Some(blobs) = self.blobs.clone().filter(|_| !self.only_counts) else { return Ok(None) };
        let begun = self.clock.monotonic();
        loop {
            if let Some(lease) = self.leases.acquire(REMOVAL, LEASE).await? {
                return Ok(Some(Held { lease, blobs }));
            }
            if self.clock.monotonic().saturating_sub(begun) > PATIENCE {
                return Err(stays(Problem::Held));
            }
            self.clock.sleep(AGAIN).await;
        }
    }

    async fn go_on<'h>(&self, held: Option<&'h Held>) -> Result<&'h Held, StoreError> {
        let held = held.ok_or_else(|| stays(Problem::Nowhere))?;
        match self.leases.renew(&held.lease, LEASE).await? {
            true => Ok(held),
            false => Err(stays(Problem::Held)),
        }
    }

    /// Renews a record whose bytes are in a blob, and tells whether they were not as they are to be.
    pub(super) async fn renew_record(&self, row: &Row, held: Option<&Held>) -> Result<bool, StoreError> {
        let Some(old) = row.blob.clone() else { return Ok(false) };
        let bytes = self.large().read(&old).await?;
        let fields = split(&bytes, row.table.columns.len()).ok_or_else(|| stays(Problem::Missing(old.clone())))?;
        let (mut renewed, mut is_new) = (Vec::with_capacity(fields.len()), false);
        for (column, field) in row.table.columns.iter().zip(fields) {
            let stored = Stored::Bytes(field.to_vec());
            match self.renewed(row, column, &stored).await? {
                Some(Stored::Bytes(bytes)) => {
                    is_new = true;
                    renewed.push(bytes);
                }
                _ => renewed.push(field.to_vec()),
            }
        }
        if !is_new || self.only_counts {
            return Ok(is_new);
        }
        let held = self.go_on(held).await?;
        let (new, bytes) = (new_name()?, joined(&renewed.iter_mut().collect::<Vec<_>>()));
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        held.blobs.put(&new, stream::once(future::ready(Ok(bytes.into()))).boxed()).await?;
        let backend = self.database.backend();
        let (key, keys) = row.key(3);
        let record = format!("UPDATE {} SET blob = $1 WHERE blob = $2 AND {key}", row.table.name);
        let names: [Value; 2] = [new.as_str().into(), old.as_str().into()];
        let record = Statement::from_sql_and_values(backend, record, names.into_iter().chain(keys));
        let content = "UPDATE mcp_contents SET blob = $1, size = $2, hash = $3 WHERE tenant = $4 AND blob = $5";
        let hash = Sha256::digest(&new).to_vec();
        let values: [Value; 5] =
            [new.as_str().into(), size.into(), hash.into(), row.tenant().into(), old.as_str().into()];
        let content = Statement::from_sql_and_values(backend, content, values);
        self.refer(held, &new, record, Some(content)).await?;
        Ok(true)
    }

    /// Renews the bytes of files, and tells how many contents were not as they are to be.
    pub(super) async fn renew_files(&self, held: Option<&Held>) -> Result<u64, StoreError> {
        const NEXT: &str = "SELECT tenant, hash, blob, size, sealed FROM mcp_contents \
                            WHERE record IS NULL {after} ORDER BY tenant, hash LIMIT {page}";
        let (mut count, mut after) = (0, Vec::<Value>::new());
        loop {
            let behind = if after.is_empty() { "" } else { "AND (tenant, hash) > ($1, $2)" };
            let next = NEXT.replace("{after}", behind).replace("{page}", &PAGE.to_string());
            let next = Statement::from_sql_and_values(self.database.backend(), next, after.clone());
            let page = self.database.writer().query_all_raw(next).await.map_err(store_error(STORE))?;
            for row in &page {
                let read = || {
                    let tenant: String = row.try_get("", "tenant")?;
                    let (hash, blob): (Vec<u8>, String) = (row.try_get("", "hash")?, row.try_get("", "blob")?);
                    let (size, sealed): (i64, Option<String>) = (row.try_get("", "size")?, row.try_get("", "sealed")?);
                    Ok((tenant, hash, blob, size.cast_unsigned(), sealed))
                };
                let (tenant, hash, blob, size, sealed) = read().map_err(store_error(STORE))?;
                after = vec![tenant.as_str().into(), hash.clone().into()];
                if sealed != self.content.sealing_name() {
                    count += 1;
                    if !self.only_counts {
                        self.renew_file(held, (tenant, hash), (blob, size, sealed)).await?;
                    }
                }
            }
            self.progress.add(page.len() as u64);
            if page.len() < PAGE {
                break;
            }
        }
        if !self.only_counts && !self.content.indexes() {
            self.forget_words_of_files().await?;
        }
        Ok(count)
    }

    async fn renew_file(
        &self,
        held: Option<&Held>,
        (tenant, hash): (String, Vec<u8>),
        (old, size, sealed): (String, u64, Option<String>),
    ) -> Result<(), StoreError> {
        let held = self.go_on(held).await?;
        let of = Tenant::from(shown(tenant.clone()));
        let size = if sealed.is_some() { plain_size(size) } else { size };
        let bytes: Option<ByteStream> = match sealed {
            Some(key) => {
                let key = self.content.opening_blob(&of, &old, &key).await?;
                key.get(&*held.blobs, &old, size, 0..size).await?
            }
            None => held.blobs.get(&old, None).await?,
        };
        // It was replaced meanwhile and is gone, or it is missing: who reads it is told.
        let Some(bytes) = bytes else { return Ok(()) };
        let new = new_name()?;
        let (sealed, bytes) = self.content.seal_blob(&of, &new, bytes);
        held.blobs.put(&new, bytes).await?;
        let size = if sealed.is_some() { sealed_size(size) } else { size };
        let refer =
            "UPDATE mcp_contents SET blob = $1, size = $2, sealed = $3 WHERE tenant = $4 AND hash = $5 AND blob = $6";
        let values: [Value; 6] = [
            new.as_str().into(),
            i64::try_from(size).unwrap_or(i64::MAX).into(),
            sealed.into(),
            tenant.into(),
            hash.into(),
            old.into(),
        ];
        let refer = Statement::from_sql_and_values(self.database.backend(), refer, values);
        self.refer(held, &new, refer, None).await
    }

    /// Has a row refer to a new blob, and what follows from that, unless it has changed meanwhile: then the blob is not needed.
    async fn refer(
        &self,
        held: &Held,
        blob: &str,
        refer: Statement,
        then: Option<Statement>,
    ) -> Result<(), StoreError> {
        let is_held = lease_is_held(self.database.backend(), &held.lease);
        let referred = self.database.transaction(move |transaction| {
            async move {
                if transaction.query_one_raw(is_held).await?.is_none()
                    || transaction.execute_raw(refer).await?.rows_affected() == 0
                {
                    return Ok(false);
                }
                if let Some(then) = then {
                    transaction.execute_raw(then).await?;
                }
                Ok(true)
            }
            .boxed()
        });
        if !referred.await.map_err(store_error(STORE))? {
            held.blobs.delete(blob).await?;
        }
        Ok(())
    }

    /// Has files be found by their names alone.
    async fn forget_words_of_files(&self) -> Result<(), StoreError> {
        const NEXT: &str = "SELECT id, tenant, owner, name FROM mcp_files WHERE id > $1 ORDER BY id LIMIT {page}";
        let (backend, mut after) = (self.database.backend(), 0_i64);
        loop {
            let next =
                Statement::from_sql_and_values(backend, NEXT.replace("{page}", &PAGE.to_string()), [after.into()]);
            let page = self.database.writer().query_all_raw(next).await.map_err(store_error(STORE))?;
            let mut statements = Vec::new();
            for row in &page {
                let text = |column: &str| row.try_get::<String>("", column).map(shown).map_err(store_error(STORE));
                after = row.try_get("", "id").map_err(store_error(STORE))?;
                let (tenant, owner) = (Tenant::from(text("tenant")?), Principal::from(text("owner")?));
                let tokens = Tokens::of(&tenant, &owner).all(&[&text("name")?]);
                let mut write = |sql: &str, values: Vec<Value>| {
                    statements.push(Statement::from_sql_and_values(backend, sql, values));
                };
                if backend == DbBackend::Postgres {
                    let values = vec![array(tokens), after.into()];
                    write("UPDATE mcp_files SET words = $1 WHERE id = $2 AND words <> $1", values);
                } else {
                    write("DELETE FROM mcp_file_words WHERE rowid = $1", vec![after.into()]);
                    let insert = "INSERT INTO mcp_file_words (rowid, words) SELECT $1, $2 \
                                  WHERE EXISTS (SELECT 1 FROM mcp_files WHERE id = $1)";
                    write(insert, vec![after.into(), line(&tokens).into()]);
                }
            }
            self.write(statements).await?;
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }
}
