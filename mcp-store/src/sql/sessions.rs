//! Sessions in SQL.

mod remembered;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::StoreError;
use mcp_core::store::sessions::{
    LONGEST_IDLE, Saved, SessionInfo, SessionRoom, Sessions, StoredSession, check_size, new_handle, new_version,
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use tokio::sync::Mutex;

use super::Database;
use super::content::{Content, OVERHEAD, Place};
use super::error::store_error;
use super::text::stored;
use remembered::{Found, Remembered};

/// [`Sessions`] in SQL, which end by the clock of this process: replicas whose clocks differ end a session so much earlier or later.
///
/// The same statements do for both databases. Each stands alone, and may be run twice, since a connection that was closed may
/// have carried it: a handle and a version are drawn before the statement that writes them, which finds its own work done.
///
/// Each room has a table of its own. Those of an owner are counted whenever one more is created, along an index; all are counted once
/// in so many times as are a hundredth of the cap, so that counting costs each creation a hundred steps along another.
pub(crate) struct SqlSessions {
    database: Database,
    clock: Arc<dyn Clock>,
    room: SessionRoom,
    table: String,
    content: Content,
    /// None, where another process must see at once what this one has changed, and the other way around.
    remembered: Option<Remembered>,
    created: AtomicU32,
    /// Of several that remove what is too much in all, each finds what the one before has left.
    removing: Mutex<()>,
}

const STORE: &str = "store of sessions";

/// In so many microseconds a session is marked as used once at the most.
const GRAIN: i64 = 1_000_000;

/// The table that the statements name, in place of which that of the room stands.
const TABLE: &str = "mcp_sessions";

/// A second time, the handle is there.
const INSERT: &str = "INSERT INTO mcp_sessions (tenant, owner, handle, version, value, created, used, idle, ends) \
                      VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8) ON CONFLICT DO NOTHING";

/// All but the new one, and those that were used last. A second time, there is nothing more to remove.
const REMOVE_SURPLUS: &str = "DELETE FROM mcp_sessions WHERE tenant = $1 AND owner = $2 AND handle IN \
     (SELECT handle FROM mcp_sessions WHERE tenant = $1 AND owner = $2 AND handle <> $3 AND ends > $4 \
      ORDER BY used DESC, handle DESC LIMIT 1000 OFFSET $5)";

/// The same of all, whosever they are.
const REMOVE_SURPLUS_IN_ALL: &str = "DELETE FROM mcp_sessions WHERE (used, handle) IN \
     (SELECT used, handle FROM mcp_sessions WHERE handle <> $1 AND ends > $2 \
      ORDER BY used DESC, handle DESC LIMIT 1000 OFFSET $3)";

/// Some of those that have ended, whosever they are. A second time, some more.
const REMOVE_ENDED: &str = "DELETE FROM mcp_sessions WHERE ends <= $1 AND (tenant, owner, handle) IN \
     (SELECT tenant, owner, handle FROM mcp_sessions WHERE ends <= $1 ORDER BY ends LIMIT $2";

const FIND: &str = "SELECT version, value, used, idle FROM mcp_sessions \
     WHERE tenant = $1 AND owner = $2 AND handle = $3 AND ends > $4";

/// A second time, it is used again.
const USE: &str = "UPDATE mcp_sessions SET used = $4, ends = $4 + idle \
     WHERE tenant = $1 AND owner = $2 AND handle = $3 AND ends > $4 RETURNING version, value, used, idle";

/// A second time, the version is the new one, and the same is written again. If somebody else has saved between the two, it is
/// a conflict: what was written first was seen by whoever came between, and is not written over theirs.
const SAVE: &str = "UPDATE mcp_sessions SET version = $6, value = $7, used = $4, ends = $4 + idle \
     WHERE tenant = $1 AND owner = $2 AND handle = $3 AND ends > $4 AND version IN ($5, $6)";

const IS_THERE: &str = "SELECT 1 FROM mcp_sessions WHERE tenant = $1 AND owner = $2 AND handle = $3 AND ends > $4";

/// A second time, there is nothing to remove, and whoever asked is told so: that there is no such session is true by then.
const REMOVE: &str = "DELETE FROM mcp_sessions WHERE tenant = $1 AND owner = $2 AND handle = $3 AND ends > $4";

const REMOVE_THEIRS: &str = "DELETE FROM mcp_sessions WHERE tenant = $1 AND owner = $2 AND handle IN \
     (SELECT handle FROM mcp_sessions WHERE tenant = $1 AND owner = $2 ORDER BY handle LIMIT $3)";

const LIST: &str = "SELECT handle, created, used, length(value) FROM mcp_sessions \
     WHERE tenant = $1 AND owner = $2 AND ends > $3 ORDER BY used DESC, handle DESC LIMIT $4";

const COUNT: &str = "SELECT count(*) FROM mcp_sessions WHERE ends > $1";

impl SqlSessions {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, room: SessionRoom) -> Self {
        let (table, created, removing) = (format!("mcp_{}", room.name), AtomicU32::new(0), Mutex::new(()));
        Self { database, clock, room, table, content: Content::default(), remembered: None, created, removing }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Where the value of a session is.
    fn place(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Place {
        Place::of(&format!("{}.value", self.table))
            .text(&stored(tenant.as_str()))
            .text(&stored(owner.as_str()))
            .text(&stored(handle))
    }

    /// The same, for sessions that this process alone changes: of many uses within a second, one asks the database, and what another
    /// process removes all the same is found for a second more at the most.
    pub(crate) fn remembering(self) -> Self {
        Self { remembered: Some(Remembered::new(self.clock.clone())), ..self }
    }

    /// Which they are.
    pub(super) fn name(&self) -> &'static str {
        self.room.name
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.database.backend(), sql.replace(TABLE, &self.table), values)
    }

    /// Runs a statement that writes, and tells how many rows that concerned.
    async fn write(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, StoreError> {
        let done = self.database.writer().execute_raw(self.statement(sql, values)).await;
        done.map(|done| done.rows_affected()).map_err(store_error(STORE))
    }

    /// Runs a statement that changes or removes sessions, which are remembered no more when this ends, and tells how many. Who waits
    /// for it may leave: they are forgotten once it is done.
    async fn change(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, StoreError> {
        let statement = self.statement(&format!("{sql} RETURNING handle"), values);
        let (database, remembered) = (self.database.clone(), self.remembered.clone());
        let changed = self.database.apart(async move {
            let changed = database.writer().query_all_raw(statement).await?;
            if let Some(remembered) = remembered {
                for row in &changed {
                    remembered.forget(&row.try_get_by_index::<String>(0)?).await;
                }
            }
            Ok(changed.len() as u64)
        });
        changed.await.map_err(store_error(STORE))
    }

    /// Looks for a session, and uses it.
    async fn find(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Result<Option<Found>, StoreError> {
        let now = self.now();
        let one = one(tenant, owner, handle, now);
        let find = self.statement(FIND, one.clone());
        let row = self.database.readers().query_one_raw(find).await.map_err(store_error(STORE))?;
        let Some(row) = row else { return Ok(None) };
        let mut found = Some(read(handle, &row, now).map_err(store_error(STORE))?);
        if found.as_ref().is_some_and(|found| found.lasts.is_zero()) {
            let used = self.database.writer().query_one_raw(self.statement(USE, one)).await;
            let used = used.map_err(store_error(STORE))?;
            found = used.map(|row| read(handle, &row, now)).transpose().map_err(store_error(STORE))?;
        }
        let Some(mut found) = found else { return Ok(None) };
        if Content::is_marked(&found.session.value) {
            let value = found.session.value.to_vec();
            let opened = self.content.open(|| self.place(tenant, owner, handle), value).await?;
            found.session.value = opened.into();
        }
        Ok(Some(found))
    }

    fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }

    /// Removes some of those that have ended, whosever they are, and tells how many.
    pub(super) async fn remove_ended(&self, most: u16) -> Result<u64, StoreError> {
        // Two that remove at once do not wait for each other. SQLite has one that writes at a time.
        let lock = match self.database.backend() {
            DbBackend::Postgres => " FOR UPDATE SKIP LOCKED)",
            _ => ")",
        };
        self.write(&format!("{REMOVE_ENDED}{lock}"), [self.now().into(), i64::from(most).into()]).await
    }

    /// Removes what is too much now that there is one more, but never that one.
    async fn remove_surplus(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let others = |most: u32| i64::from(most.max(1)) - 1;
        let mut own = one(tenant, owner, handle, now);
        own.push(others(self.room.of_owner).into());
        self.change(REMOVE_SURPLUS, own).await?;
        let created = self.created.fetch_add(1, Ordering::Relaxed);
        if created.is_multiple_of((self.room.in_all / 100).max(1)) {
            let _alone = self.removing.lock().await;
            let all = [handle.into(), now.into(), others(self.room.in_all).into()];
            self.change(REMOVE_SURPLUS_IN_ALL, all).await?;
        }
        Ok(())
    }

    /// Removes some of an owner's, and tells how many.
    pub(super) async fn remove_all_of(&self, tenant: &Tenant, owner: &Principal, most: u16) -> Result<u64, StoreError> {
        self.change(REMOVE_THEIRS, key(tenant, owner).into_iter().chain([i64::from(most).into()])).await
    }
}

/// What every statement begins with.
fn key(tenant: &Tenant, owner: &Principal) -> [Value; 2] {
    [tenant.as_str(), owner.as_str()].map(|name| stored(name).into_owned().into())
}

/// One session, at this moment.
fn one(tenant: &Tenant, owner: &Principal, handle: &str, now: i64) -> Vec<Value> {
    [&key(tenant, owner)[..], &[stored(handle).into_owned().into(), now.into()]].concat()
}

#[async_trait]
impl Sessions for SqlSessions {
    async fn create(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        value: Bytes,
        idle: Duration,
    ) -> Result<StoredSession, StoreError> {
        check_size(STORE, &value)?;
        let session = StoredSession { handle: new_handle()?, version: new_version()?, value };
        let now = self.clock.now();
        self.remove_ended(10).await?;
        let (idle, ends) = (idle.min(LONGEST_IDLE), now.after(idle.min(LONGEST_IDLE)));
        let place = || self.place(tenant, owner, &session.handle);
        let sealed = self.content.seal(place, &session.value)?.into_owned();
        let row: [Value; 6] = [
            session.handle.clone().into(),
            session.version.cast_signed().into(),
            sealed.into(),
            now.as_micros().into(),
            i64::try_from(idle.as_micros()).unwrap_or(i64::MAX).into(),
            ends.as_micros().into(),
        ];
        self.write(INSERT, key(tenant, owner).into_iter().chain(row)).await?;
        // After it is there: of several that are created at once, the last sees all.
        self.remove_surplus(tenant, owner, &session.handle, now.as_micros()).await?;
        Ok(session)
    }

    async fn load(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
    ) -> Result<Option<StoredSession>, StoreError> {
        let find = self.find(tenant, owner, handle);
        match &self.remembered {
            Some(remembered) => remembered.load(tenant, owner, handle, find).await,
            None => Ok(find.await?.map(|found| found.session)),
        }
    }

    async fn save(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        version: u64,
        value: Bytes,
    ) -> Result<Saved, StoreError> {
        check_size(STORE, &value)?;
        let (one, new) = (one(tenant, owner, handle, self.now()), new_version()?);
        let sealed = self.content.seal(|| self.place(tenant, owner, handle), &value)?.into_owned();
        let change = [version.cast_signed().into(), new.cast_signed().into(), sealed.into()];
        if self.change(SAVE, one.iter().cloned().chain(change)).await? > 0 {
            return Ok(Saved::As(new));
        }
        // Another process may have come between, and who tries again has to see that.
        if let Some(remembered) = &self.remembered {
            remembered.forget(handle).await;
        }
        let is_there = self.statement(IS_THERE, one);
        let row = self.database.readers().query_one_raw(is_there).await.map_err(store_error(STORE))?;
        Ok(if row.is_some() { Saved::Conflict } else { Saved::Gone })
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Result<bool, StoreError> {
        Ok(self.change(REMOVE, one(tenant, owner, handle, self.now())).await? > 0)
    }

    async fn list(&self, tenant: &Tenant, owner: &Principal) -> Result<Vec<SessionInfo>, StoreError> {
        let bounds = [self.now().into(), i64::from(self.room.of_owner.max(1)).into()];
        let list = self.statement(LIST, key(tenant, owner).into_iter().chain(bounds));
        let rows = self.database.readers().query_all_raw(list).await.map_err(store_error(STORE))?;
        let mut infos = rows.iter().map(info).collect::<Result<Vec<_>, _>>().map_err(store_error(STORE))?;
        if self.content.seals() {
            for info in &mut infos {
                info.bytes = info.bytes.saturating_sub(OVERHEAD);
            }
        }
        Ok(infos)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = self.statement(COUNT, [self.now().into()]);
        let row = self.database.readers().query_one_raw(count).await.map_err(store_error(STORE))?;
        let count = row.map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(store_error(STORE))?;
        Ok(count.unwrap_or(0).max(0).cast_unsigned())
    }
}

/// What a row is, and for how long its use need not be marked again: writing costs more than all else, and some come many times a
/// second.
fn read(handle: &str, row: &QueryResult, now: i64) -> Result<Found, DbErr> {
    let (version, value) = (row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<Vec<u8>>(1)?);
    let (used, idle) = (row.try_get_by_index::<i64>(2)?, row.try_get_by_index::<i64>(3)?);
    let session = StoredSession { handle: handle.to_owned(), version: version.cast_unsigned(), value: value.into() };
    let grain = GRAIN.min(idle / 4);
    // A clock that was set back has not used it in the future.
    let lasts = grain.saturating_sub(now - used).clamp(0, grain);
    Ok(Found { session, lasts: Duration::from_micros(lasts.cast_unsigned()) })
}

fn info(row: &QueryResult) -> Result<SessionInfo, DbErr> {
    // PostgreSQL counts in 32 bits, and a value has few bytes.
    let bytes = row.try_get_by_index::<i32>(3)?;
    Ok(SessionInfo {
        handle: row.try_get_by_index(0)?,
        created: Timestamp::from_micros(row.try_get_by_index(1)?),
        used: Timestamp::from_micros(row.try_get_by_index(2)?),
        bytes: usize::try_from(bytes).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
