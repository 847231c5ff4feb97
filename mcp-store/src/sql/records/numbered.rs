//! Notes and messages, as they go again: their numbers tell the order in which they were written.

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::StoreError;
use mcp_core::store::records::{Keep, Records};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use crate::sql::Database;
use crate::sql::error::store_error;
use crate::sql::text::stored;

/// Rows with a number that grows, and an owner.
pub(super) struct Numbered {
    pub(super) store: &'static str,
    pub(super) table: &'static str,
    pub(super) number: &'static str,
    /// When a row was written.
    pub(super) at: &'static str,
    /// Where SQLite has the words of the rows, under their numbers.
    pub(super) words: &'static str,
}

/// Of the oldest rows those that are too old. No other rows are looked at, since none of them is older.
const OLD: &str =
    "SELECT {number} FROM (SELECT {number}, {at} FROM {table} ORDER BY {number} LIMIT $1) AS oldest WHERE {at} < $2";

const TOO_MANY: &str = "SELECT tenant, count(*) FROM {table} GROUP BY tenant HAVING count(*) > $1 LIMIT 1";
const OLDEST: &str = "SELECT {number} FROM {table} WHERE tenant = $1 ORDER BY {number} LIMIT $2";

const THEIRS: &str = "SELECT {number} FROM {table} WHERE tenant = $1 AND owner = $2 LIMIT $3";

impl Numbered {
    fn sql(&self, sql: &str) -> String {
        sql.replace("{number}", self.number).replace("{table}", self.table).replace("{at}", self.at)
    }

    /// Removes the rows whose numbers `which` gives, with their words.
    async fn remove(&self, database: &Database, which: &str, values: Vec<Value>) -> Result<u64, DbErr> {
        let backend = database.backend();
        let which = self.sql(which);
        let words = format!("DELETE FROM {} WHERE rowid IN ({which})", self.words);
        let rows = format!("DELETE FROM {} WHERE {} IN ({which})", self.table, self.number);
        let words = Statement::from_sql_and_values(backend, words, values.clone());
        let rows = Statement::from_sql_and_values(backend, rows, values);
        if backend == DbBackend::Postgres {
            return Ok(database.writer().execute_raw(rows).await?.rows_affected());
        }
        let remove = database.transaction(|transaction| {
            async move {
                transaction.execute_raw(words).await?;
                Ok(transaction.execute_raw(rows).await?.rows_affected())
            }
            .boxed()
        });
        remove.await
    }

    async fn remove_surplus(&self, database: &Database, most: u64, batch: u16) -> Result<u64, DbErr> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let too_many = Statement::from_sql_and_values(database.backend(), self.sql(TOO_MANY), [most.into()]);
        let Some(row) = database.readers().query_one_raw(too_many).await? else { return Ok(0) };
        let (tenant, count): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let surplus = (count - most).min(batch.into());
        self.remove(database, OLDEST, vec![tenant.into(), surplus.into()]).await
    }

    pub(super) async fn expire(&self, database: &Database, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let mut removed = 0;
        if let Some(since) = keep.since {
            let values = vec![i64::from(batch).into(), since.as_micros().into()];
            removed = self.remove(database, OLD, values).await.map_err(store_error(self.store))?;
        }
        if let Some(most) = keep.most
            && removed == 0
        {
            removed = self.remove_surplus(database, most, batch).await.map_err(store_error(self.store))?;
        }
        Ok(removed)
    }

    pub(super) async fn forget(
        &self,
        database: &Database,
        tenant: &Tenant,
        principal: &Principal,
        batch: u16,
    ) -> Result<u64, StoreError> {
        let [of, by] = [tenant.as_str(), principal.as_str()].map(|name| Value::from(&*stored(name)));
        self.remove(database, THEIRS, vec![of, by, i64::from(batch).into()]).await.map_err(store_error(self.store))
    }
}

/// [`Records`] of notes.
pub(crate) struct NoteRecords {
    database: Database,
}

const NOTES: Numbered =
    Numbered { store: "store of notes", table: "mcp_notes", number: "id", at: "written", words: "mcp_note_words" };

impl NoteRecords {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Records for NoteRecords {
    fn kind(&self) -> &'static str {
        "notes"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        NOTES.expire(&self.database, keep, batch).await
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        NOTES.forget(&self.database, tenant, principal, batch).await
    }
}
