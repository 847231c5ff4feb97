//! Threads in SQL. Each database has its own way with the words of messages.

mod postgres;
pub(super) mod sqlite;

use async_trait::async_trait;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::StoreError;
use mcp_core::store::threads::{Message, Place, Placed, Thread, ThreadId, Threads};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::Database;
use super::content::Content;
use super::entity::message::{self, FORMAT, Model};
use super::entity::thread::{Column, Entity, Model as ThreadModel, uuid};
use super::error::store_error;
use super::text::stored;
use super::words::Tokens;

/// [`Threads`] in SQL.
pub(crate) struct SqlThreads {
    database: Database,
    content: Content,
}

impl SqlThreads {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, content: Content::default() }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// What rows say, opened.
    async fn opened(&self, rows: Vec<Model>) -> Result<Vec<Placed>, StoreError> {
        let mut messages = Vec::with_capacity(rows.len());
        for mut row in rows {
            let stored = std::mem::take(&mut row.text);
            row.text = self.content.open_text(|| row.place(), stored).await?;
            messages.push(Placed::try_from(row).map_err(store_error(STORE))?);
        }
        Ok(messages)
    }
}

const STORE: &str = "store of threads";

#[async_trait]
impl Threads for SqlThreads {
    fn are_texts_searched(&self) -> bool {
        self.content.indexes()
    }

    async fn create(&self, tenant: &Tenant, owner: &Principal, thread: &Thread) -> Result<(), StoreError> {
        let mut row = ThreadModel::new(tenant, owner, thread);
        row.title = self.content.seal_text(|| row.place(), &thread.title)?;
        let insert = Entity::insert(row.into_active_model()).on_conflict(OnConflict::new().do_nothing().to_owned());
        insert.exec_without_returning(self.database.writer()).await.map(drop).map_err(store_error(STORE))
    }

    async fn append(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        message: &Message,
    ) -> Result<bool, StoreError> {
        let searched = if self.content.indexes() { &[&*message.text][..] } else { &[] };
        let tokens = Tokens::of(tenant, owner).all(searched);
        let mut row = Model {
            // The database gives it one.
            number: 0,
            tenant: stored(tenant.as_str()).into_owned(),
            owner: stored(owner.as_str()).into_owned(),
            thread: uuid(thread),
            id: Uuid::from_u128(message.id.as_u128()),
            format: FORMAT,
            role: stored(&message.role).into_owned(),
            text: String::new(),
            at: message.at.as_micros(),
        };
        row.text = self.content.seal_text(|| row.place(), &message.text)?;
        let appended = match self.database.backend() {
            DbBackend::Postgres => postgres::append(&self.database, row, tokens).await,
            _ => sqlite::append(&self.database, row, &tokens).await,
        };
        appended.map_err(store_error(STORE))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        before: Option<ThreadId>,
        limit: u16,
    ) -> Result<Vec<Thread>, StoreError> {
        let select = Entity::find()
            .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
            .filter(Column::Owner.eq(&*stored(owner.as_str())))
            .apply_if(before, |select, before| select.filter(Column::Id.lt(uuid(before))))
            .order_by_desc(Column::Id)
            .limit(u64::from(limit));
        let rows = select.all(self.database.readers()).await.map_err(store_error(STORE))?;
        let mut threads = Vec::with_capacity(rows.len());
        for mut row in rows {
            let stored = std::mem::take(&mut row.title);
            row.title = self.content.open_text(|| row.place(), stored).await?;
            threads.push(row.into());
        }
        Ok(threads)
    }

    async fn messages(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        after: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let select = messages_of(tenant, owner, thread)
            .apply_if(after, |select, after| select.filter(message::Column::Number.gt(number(after))))
            .order_by_asc(message::Column::Number)
            .limit(u64::from(limit));
        let rows = select.all(self.database.readers()).await.map_err(store_error(STORE))?;
        self.opened(rows).await
    }

    async fn latest(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        thread: ThreadId,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let select = messages_of(tenant, owner, thread)
            .apply_if(before, |select, before| select.filter(message::Column::Number.lt(number(before))))
            .order_by_desc(message::Column::Number)
            .limit(u64::from(limit));
        let rows = select.all(self.database.readers()).await.map_err(store_error(STORE))?;
        self.opened(rows).await
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, thread: ThreadId) -> Result<bool, StoreError> {
        // The messages go by their foreign key. Run twice, it finds nothing the second time, and whoever asked is told so: that
        // there is no such thread is true by then.
        let key = (stored(tenant.as_str()).into_owned(), stored(owner.as_str()).into_owned(), uuid(thread));
        let removed = Entity::delete_by_id(key).exec(self.database.writer()).await.map_err(store_error(STORE))?;
        Ok(removed.rows_affected > 0)
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        before: Option<Place>,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let tokens = Tokens::of(tenant, owner).all(&[query]);
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let (tenant, owner) = (stored(tenant.as_str()), stored(owner.as_str()));
        let before = before.map_or(i64::MAX, number);
        let search = match self.database.backend() {
            DbBackend::Postgres => postgres::search(&tenant, &owner, tokens, before, limit),
            _ => sqlite::search(&tenant, &owner, &tokens, before, limit),
        };
        let search = message::Entity::find().from_raw_sql(search);
        let rows = search.all(self.database.readers()).await.map_err(store_error(STORE))?;
        self.opened(rows).await
    }
}

/// What was said in a thread.
fn messages_of(tenant: &Tenant, owner: &Principal, thread: ThreadId) -> Select<message::Entity> {
    message::Entity::find()
        .filter(message::Column::Tenant.eq(&*stored(tenant.as_str())))
        .filter(message::Column::Owner.eq(&*stored(owner.as_str())))
        .filter(message::Column::Thread.eq(uuid(thread)))
}

/// A place as rows have it: behind the last one there is none.
fn number(place: Place) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}
