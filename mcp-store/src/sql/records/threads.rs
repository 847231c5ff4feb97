//! Messages, as they go again, and the threads in which nothing is left.

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::records::{Keep, Records};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use super::numbered::Numbered;
use crate::sql::Database;
use crate::sql::error::store_error;
use crate::sql::text::stored;

/// [`Records`] of messages.
pub(crate) struct ThreadRecords {
    database: Database,
}

const STORE: &str = "store of threads";

const MESSAGES: Numbered =
    Numbered { store: STORE, table: "mcp_messages", number: "number", at: "at", words: "mcp_message_words" };

/// Threads that were begun before then, in which nothing is; in PostgreSQL none to which something is being appended, and to none
/// of them something is until this is done.
const EMPTY: &str = "SELECT tenant, owner, id FROM mcp_threads WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM mcp_messages \
     WHERE mcp_messages.tenant = mcp_threads.tenant AND mcp_messages.owner = mcp_threads.owner \
     AND mcp_messages.thread = mcp_threads.id) LIMIT $2";

/// Looks once more: something may have been appended before the thread was locked.
const REMOVE: &str = "DELETE FROM mcp_threads WHERE tenant = $1 AND owner = $2 AND id = $3 AND NOT EXISTS \
     (SELECT 1 FROM mcp_messages WHERE tenant = $1 AND owner = $2 AND thread = $3)";

const THEIRS: &str = "DELETE FROM mcp_threads WHERE tenant = $1 AND owner = $2 AND id IN \
     (SELECT id FROM mcp_threads WHERE tenant = $1 AND owner = $2 ORDER BY id LIMIT $3)";

impl ThreadRecords {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn remove_empty(&self, since: Timestamp, batch: u16) -> Result<u64, DbErr> {
        let backend = self.database.backend();
        let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let values = [since.as_micros().into(), i64::from(batch).into()];
        let empty = Statement::from_sql_and_values(backend, format!("{EMPTY}{lock}"), values);
        if self.database.readers().query_one_raw(empty.clone()).await?.is_none() {
            return Ok(0);
        }
        let remove = self.database.transaction(move |transaction| {
            async move {
                let mut removed = 0;
                for row in transaction.query_all_raw(empty).await? {
                    let thread: [Value; 3] = [
                        row.try_get_by_index::<String>(0)?.into(),
                        row.try_get_by_index::<String>(1)?.into(),
                        row.try_get_by_index::<Uuid>(2)?.into(),
                    ];
                    let remove = Statement::from_sql_and_values(backend, REMOVE, thread);
                    removed += transaction.execute_raw(remove).await?.rows_affected();
                }
                Ok(removed)
            }
            .boxed()
        });
        remove.await
    }
}

#[async_trait]
impl Records for ThreadRecords {
    fn kind(&self) -> &'static str {
        "messages"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let messages = MESSAGES.expire(&self.database, keep, batch).await?;
        match keep.since {
            Some(since) if messages == 0 => self.remove_empty(since, batch).await.map_err(store_error(STORE)),
            _ => Ok(messages),
        }
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let messages = MESSAGES.forget(&self.database, tenant, principal, batch).await?;
        if messages > 0 {
            return Ok(messages);
        }
        let [of, by] = [tenant.as_str(), principal.as_str()].map(|name| Value::from(&*stored(name)));
        let threads =
            Statement::from_sql_and_values(self.database.backend(), THEIRS, [of, by, i64::from(batch).into()]);
        let removed = self.database.writer().execute_raw(threads).await.map_err(store_error(STORE))?;
        Ok(removed.rows_affected())
    }
}
