//! Notes in SQLite, with their words in an FTS5 table.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::notes::{Note, Notes, words};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, Select, Statement,
};
use sha2::{Digest, Sha256};

use super::Database;
use super::entity::note::{ActiveModel, Column, Entity, Model};
use super::error::store_error;

/// [`Notes`] in SQLite.
pub(crate) struct SqlNotes {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqlNotes {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }
}

const STORE: &str = "store of notes";

/// The words come first (`CROSS JOIN` keeps SQLite from turning that round): they give the rows in order, and as few as are
/// asked for.
pub(super) const SEARCH: &str = "SELECT mcp_notes.* FROM mcp_note_words \
                      CROSS JOIN mcp_notes ON mcp_notes.id = mcp_note_words.rowid \
                      WHERE mcp_note_words MATCH ? AND tenant = ? AND owner = ? \
                      ORDER BY mcp_note_words.rowid DESC LIMIT ?";

#[async_trait]
impl Notes for SqlNotes {
    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError> {
        let note = Note { name: name.to_owned(), text: text.to_owned(), written: self.clock.now() };
        let held = words(name).chain(words(text)).collect::<BTreeSet<_>>();
        let held = Tokens::of(tenant, owner).all(held).collect::<Vec<_>>().join(" ");
        let row = ActiveModel {
            id: NotSet,
            tenant: Set(tenant.as_str().to_owned()),
            owner: Set(owner.as_str().to_owned()),
            name: Set(note.name.clone()),
            text: Set(note.text.clone()),
            written: Set(note.written.as_micros()),
        };
        let old = named(tenant, owner, name);
        let write = self.database.transaction(|transaction| replace(transaction, old, row, held).boxed());
        write.await.map_err(store_error(STORE))?;
        Ok(note)
    }

    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError> {
        let row = named(tenant, owner, name).one(self.database.readers()).await.map_err(store_error(STORE))?;
        Ok(row.map(Note::from))
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        let wanted: BTreeSet<_> = words(query).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // Quoted, each is a word and no part of FTS5's language; no word holds a quote.
        let tokens = Tokens::of(tenant, owner);
        let wanted = tokens.all(wanted).map(|token| format!("\"{token}\"")).collect::<Vec<_>>().join(" AND ");
        let values = [wanted.into(), tenant.as_str().into(), owner.as_str().into(), limit.into()];
        let search = Entity::find().from_raw_sql(Statement::from_sql_and_values(DbBackend::Sqlite, SEARCH, values));
        let rows = search.all(self.database.readers()).await.map_err(store_error(STORE))?;
        Ok(rows.into_iter().map(Note::from).collect())
    }
}

fn named(tenant: &Tenant, owner: &Principal, name: &str) -> Select<Entity> {
    Entity::find()
        .filter(Column::Tenant.eq(tenant.as_str()))
        .filter(Column::Owner.eq(owner.as_str()))
        .filter(Column::Name.eq(name))
}

/// Takes the old row away and writes a new one, whose number is greater than all others: so the numbers tell the order of
/// writing.
async fn replace(
    transaction: &DatabaseTransaction,
    old: Select<Entity>,
    row: ActiveModel,
    words: String,
) -> Result<(), DbErr> {
    let on_words = |sql: &str, values: Vec<sea_orm::Value>| {
        transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values))
    };
    if let Some(Model { id, .. }) = old.one(transaction).await? {
        on_words("DELETE FROM mcp_note_words WHERE rowid = ?", vec![id.into()]).await?;
        Entity::delete_by_id(id).exec(transaction).await?;
    }
    let id = Entity::insert(row).exec(transaction).await?.last_insert_id;
    on_words("INSERT INTO mcp_note_words (rowid, words) VALUES (?, ?)", vec![id.into(), words.into()]).await?;
    Ok(())
}

/// The words of one caller as the FTS5 table holds them: behind a mark of the caller, so that a search walks over no one else's
/// notes. That a mark is a digest costs nothing: what is found is the caller's own by its row.
struct Tokens {
    mark: String,
}

/// FTS5 cuts longer tokens (at 32,768 bytes), and would find what only begins alike.
const LONGEST: usize = 1_024;

impl Tokens {
    fn of(tenant: &Tenant, owner: &Principal) -> Self {
        let names = format!("{} {tenant}{owner}", tenant.as_str().len());
        Self { mark: hex(&Sha256::digest(names)[..8]) }
    }

    fn all(&self, words: BTreeSet<String>) -> impl Iterator<Item = String> {
        words.into_iter().map(|word| {
            if word.len() <= LONGEST {
                format!("{}{word}", self.mark)
            } else {
                // No word holds an ellipsis, so that none is taken for the digest of another.
                format!("{}…{}", self.mark, hex(&Sha256::digest(word)))
            }
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
