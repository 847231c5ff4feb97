//! Notes in SQL. Each database has its own way with their words.

pub(super) mod postgres;
pub(super) mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::notes::{Note, Notes};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::Database;
use super::content::Content;
use super::entity::note::{Column, Entity, Model};
use super::error::store_error;
use super::text::stored;
use super::words::Tokens;

/// [`Notes`] in SQL.
pub(crate) struct SqlNotes {
    database: Database,
    clock: Arc<dyn Clock>,
    content: Content,
}

impl SqlNotes {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, content: Content::default() }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// What a row says, opened.
    async fn opened(&self, mut row: Model) -> Result<Note, StoreError> {
        let stored = std::mem::take(&mut row.text);
        row.text = self.content.open_text(|| row.place(), stored).await?;
        Ok(row.into())
    }

    async fn all_opened(&self, rows: Vec<Model>) -> Result<Vec<Note>, StoreError> {
        let mut notes = Vec::with_capacity(rows.len());
        for row in rows {
            notes.push(self.opened(row).await?);
        }
        Ok(notes)
    }
}

const STORE: &str = "store of notes";

#[async_trait]
impl Notes for SqlNotes {
    fn are_texts_searched(&self) -> bool {
        self.content.indexes()
    }

    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError> {
        let note = Note { name: name.to_owned(), text: text.to_owned(), written: self.clock.now() };
        let searched = if self.content.indexes() { &[name, text][..] } else { &[name] };
        let tokens = Tokens::of(tenant, owner).all(searched);
        let mut row = Model {
            // The database gives it one.
            id: 0,
            tenant: stored(tenant.as_str()).into_owned(),
            owner: stored(owner.as_str()).into_owned(),
            name: stored(name).into_owned(),
            text: String::new(),
            written: note.written.as_micros(),
        };
        row.text = self.content.seal_text(|| row.place(), text)?;
        let written = match self.database.backend() {
            DbBackend::Postgres => postgres::write(&self.database, row, tokens).await,
            _ => sqlite::write(&self.database, named(tenant, owner, name), row, tokens).await,
        };
        written.map_err(store_error(STORE))?;
        Ok(note)
    }

    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError> {
        let row = named(tenant, owner, name).one(self.database.readers()).await.map_err(store_error(STORE))?;
        match row {
            Some(row) => self.opened(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let own = Entity::find()
            .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
            .filter(Column::Owner.eq(&*stored(owner.as_str())));
        let behind = match after {
            Some(after) => own.filter(Column::Name.gt(&*stored(after))),
            None => own,
        };
        let page = behind.order_by_asc(Column::Name).limit(u64::from(limit));
        let rows = page.all(self.database.readers()).await.map_err(store_error(STORE))?;
        self.all_opened(rows).await
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let tokens = Tokens::of(tenant, owner).all(&[query]);
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let (tenant, owner) = (stored(tenant.as_str()), stored(owner.as_str()));
        let search = match self.database.backend() {
            DbBackend::Postgres => postgres::search(&tenant, &owner, tokens, limit),
            _ => sqlite::search(&tenant, &owner, &tokens, limit),
        };
        let search = Entity::find().from_raw_sql(search);
        let rows = search.all(self.database.readers()).await.map_err(store_error(STORE))?;
        self.all_opened(rows).await
    }
}

fn named(tenant: &Tenant, owner: &Principal, name: &str) -> Select<Entity> {
    Entity::find()
        .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
        .filter(Column::Owner.eq(&*stored(owner.as_str())))
        .filter(Column::Name.eq(&*stored(name)))
}
