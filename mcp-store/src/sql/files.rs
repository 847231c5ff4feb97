//! Files in SQL; their bytes are in blobs.

mod change;
mod measure;
pub(super) mod search;
mod sweep;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{Blobs, ByteStream, new_name};
use mcp_core::store::files::{Caps, File, FileError, Files, LONGEST_WRITE, OpenFile, Span, check_names};
use ring::hmac;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, QueryTrait, Select, Statement,
};
use tokio::sync::Mutex;

use super::Database;
use super::content::Content;
use super::entity::file::{Column, Entity, Model};
use super::error::store_error;
use super::keys::HouseKey;
use super::large::Mover;
use super::text::{after_all, stored};
use super::words::Tokens;
use change::{Change, Kept};
use measure::Measure;
pub(crate) use sweep::Sweep;

/// [`Files`] in SQL. Equal bytes of a tenant are kept once: they are found by a digest under a key of the house, which tells nobody
/// what they are.
///
/// Bytes are put first, into a blob of a new name, and only then do the tables refer to them, in one transaction. So whatever
/// happens in between, no row refers to bytes that are not there, and all that can be left is a blob to which none does.
pub(crate) struct SqlFiles {
    database: Database,
    blobs: Arc<dyn Blobs>,
    key: hmac::Key,
    caps: Caps,
    clock: Arc<dyn Clock>,
    content: Content,
    /// One of this process changes the tables at a time: those of one tenant wait for each other anyhow, and they are not to wait
    /// in all connections of the pool.
    turn: Mutex<()>,
    /// They go on for as long as this lives.
    _sweep: Arc<Sweep>,
    _mover: Arc<Mover>,
}

const STORE: &str = "store of files";

const FIND: &str = "SELECT f.id, f.tenant, f.owner, f.name, f.content_type, f.hash, f.size, f.written, c.blob, c.sealed \
                    FROM mcp_files f JOIN mcp_contents c ON c.tenant = f.tenant AND c.hash = f.hash \
                    WHERE f.tenant = $1 AND f.owner = $2 AND f.name = $3";

impl SqlFiles {
    pub(crate) fn new(
        database: Database,
        blobs: Arc<dyn Blobs>,
        key: &HouseKey,
        caps: Caps,
        clock: Arc<dyn Clock>,
        sweep: Arc<Sweep>,
        mover: Arc<Mover>,
    ) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
        let (content, turn) = (Content::default(), Mutex::default());
        Self { database, blobs, key, caps, clock, content, turn, _sweep: sweep, _mover: mover }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Changes the tables when it is our turn.
    async fn change<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t sea_orm::DatabaseTransaction) -> futures_util::future::BoxFuture<'t, Result<T, DbErr>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.turn.lock().await;
        self.database.transaction(work).await.map_err(store_error(STORE))
    }

    /// Removes a blob of which nobody else knows; the sweep does, where this does not.
    async fn discard(&self, blob: &str) {
        if let Err(error) = self.blobs.delete(blob).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a blob that is not needed stays for a while");
        }
    }

    /// A file, and where its bytes are.
    async fn row(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<(Model, Held)>, DbErr> {
        let values = [tenant.as_str(), owner.as_str(), name].map(|text| stored(text).into_owned().into());
        let find = Statement::from_sql_and_values(self.database.backend(), FIND, values);
        let row = self.database.readers().query_one_raw(find).await?;
        let read = |row: QueryResult| {
            let held = Held { blob: row.try_get("", "blob")?, key: row.try_get("", "sealed")? };
            Ok((Model::from_query_result(&row, "")?, held))
        };
        row.map(read).transpose()
    }

    /// The bytes of a file, unless they are gone: it was replaced or removed, and swept, since its row was read.
    async fn open(
        &self,
        tenant: &Tenant,
        row: Model,
        held: &Held,
        span: Option<Span>,
    ) -> Result<Option<OpenFile>, FileError> {
        let file = File::try_from(row).map_err(store_error(STORE))?;
        let size = file.size;
        let range: Range<u64> =
            span.map_or(Some(0..size), |span| span.of(size)).ok_or(FileError::OutOfRange { size })?;
        let Held { blob, key } = held;
        let bytes = match key {
            Some(key) => {
                let key = self.content.opening_blob(tenant, blob, key).await?;
                key.get(&*self.blobs, blob, size, range.clone()).await?
            }
            None => self.blobs.get(blob, (range != (0..size)).then(|| range.clone())).await?,
        };
        Ok(bytes.map(|bytes| OpenFile { file, range, bytes }))
    }
}

#[async_trait]
impl Files for SqlFiles {
    fn are_texts_searched(&self) -> bool {
        self.content.indexes()
    }

    fn caps(&self) -> Caps {
        self.caps
    }

    async fn write(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        content_type: &str,
        bytes: ByteStream,
    ) -> Result<File, FileError> {
        check_names(STORE, name, content_type)?;
        let blob = new_name()?;
        let measure = Measure::begin(&self.key, tenant, self.caps.file);
        let (sealed, bytes) = self.content.seal_blob(tenant, &blob, measure.of(bytes));
        let put = pin!(self.blobs.put(&blob, bytes));
        let put = match select(put, self.clock.sleep(LONGEST_WRITE)).await {
            Either::Left((put, _)) => put,
            Either::Right(_) => return Err(FileError::TooSlow),
        };
        let measured = measure.end();
        if measured.is_too_large {
            return Err(FileError::TooLarge { limit: self.caps.file });
        }
        put?;
        let file = File {
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            size: measured.size,
            hash: measured.hash,
            written: self.clock.now(),
        };
        let text = if self.content.indexes() { measured.searched(content_type) } else { "" };
        let tokens = Tokens::of(tenant, owner).all(&[name, text]);
        let change = Change::new(tenant, owner, &file, &blob, tokens).sealed(sealed);
        let most = i64::try_from(self.caps.owner).unwrap_or(i64::MAX);
        match self.change(move |transaction| change.write(transaction, most).boxed()).await? {
            Kept::New => {}
            Kept::Known => self.discard(&blob).await,
            Kept::Nothing => {
                self.discard(&blob).await;
                return Err(FileError::Full { limit: self.caps.owner });
            }
        }
        Ok(file)
    }

    async fn read(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        span: Option<Span>,
    ) -> Result<Option<OpenFile>, FileError> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let row = self.row(tenant, owner, name).await.map_err(store_error(STORE))?;
            let Some((row, held)) = row else { return Ok(None) };
            if let Some(open) = self.open(tenant, row, &held, span).await? {
                return Ok(Some(open));
            }
        }
        // It is still referred to, and yet it is not there.
        Err(StoreError::Refused { store: STORE, source: Some(Arc::new(Missing)) }.into())
    }

    async fn find(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<File>, StoreError> {
        let row = named(tenant, owner, name).one(self.database.readers()).await.map_err(store_error(STORE))?;
        row.map(File::try_from).transpose().map_err(store_error(STORE))
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<bool, StoreError> {
        let old = named(tenant, owner, name);
        let tenant = stored(tenant.as_str()).into_owned();
        self.change(move |transaction| change::remove(transaction, tenant, old).boxed()).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<File>, StoreError> {
        let list = select_names(tenant, owner, prefix, after, limit);
        let rows = list.all(self.database.readers()).await.map_err(store_error(STORE))?;
        rows.into_iter().map(File::try_from).collect::<Result<_, _>>().map_err(store_error(STORE))
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<File>, StoreError> {
        let tokens = Tokens::of(tenant, owner).all(&[query]);
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let (tenant, owner) = (stored(tenant.as_str()), stored(owner.as_str()));
        let search = search::statement(self.database.backend(), &tenant, &owner, tokens, limit);
        let rows = Entity::find().from_raw_sql(search).all(self.database.readers()).await;
        let rows = rows.map_err(store_error(STORE))?;
        rows.into_iter().map(File::try_from).collect::<Result<_, _>>().map_err(store_error(STORE))
    }
}

/// Where the bytes of a file are.
struct Held {
    blob: String,
    /// Under which key they are sealed there, if they are.
    key: Option<String>,
}

/// The bytes of a file are not where they were put.
#[derive(Debug, thiserror::Error)]
#[error("the blob of a file is missing: restore it from a backup")]
struct Missing;

fn own(tenant: &Tenant, owner: &Principal) -> Select<Entity> {
    Entity::find()
        .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
        .filter(Column::Owner.eq(&*stored(owner.as_str())))
}

fn named(tenant: &Tenant, owner: &Principal, name: &str) -> Select<Entity> {
    own(tenant, owner).filter(Column::Name.eq(&*stored(name)))
}

/// What is stored sorts, and begins, as what is shown.
pub(super) fn select_names(
    tenant: &Tenant,
    owner: &Principal,
    prefix: &str,
    after: Option<&str>,
    limit: u16,
) -> Select<Entity> {
    let first = stored(prefix);
    // One beginning, so that a later page does not walk over the earlier ones.
    let from = match after.map(stored) {
        Some(after) if after >= first => Column::Name.gt(&*after),
        _ => Column::Name.gte(&*first),
    };
    own(tenant, owner)
        .filter(from)
        .apply_if(after_all(&first), |select, end| select.filter(Column::Name.lt(end)))
        .order_by_asc(Column::Name)
        .limit(u64::from(limit))
}
