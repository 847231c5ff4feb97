//! Settings in SQL.

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::store::StoreError;
use mcp_core::store::settings::{Key, LARGEST, Setting, Settings};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    Statement,
};

use super::Database;
use super::entity::setting::{Column, Entity};
use super::error::store_error;
use super::text::{after_all, shown, stored, stored_tenant};
use crate::random::random;

/// [`Settings`] in SQL. Whoever stores a value makes up its version, so that a statement which is run twice finds its own.
pub(crate) struct SqlSettings {
    database: Database,
}

/// Run twice, it stores the same again; where somebody has changed it in between, it is a conflict.
const MAKE: &str = "INSERT INTO mcp_settings (tenant, name, value, version) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (tenant, name) DO UPDATE SET value = EXCLUDED.value \
                    WHERE mcp_settings.version = EXCLUDED.version RETURNING version";

/// Likewise.
const REPLACE: &str = "UPDATE mcp_settings SET value = $3, version = $4 \
                       WHERE tenant = $1 AND name = $2 AND version IN ($5, $4) RETURNING version";

impl SqlSettings {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

const STORE: &str = "settings";

#[async_trait]
impl Settings for SqlSettings {
    async fn load(&self, key: &Key) -> Result<Option<Setting>, StoreError> {
        let row = under(key).one(self.database.readers()).await.map_err(store_error(STORE))?;
        Ok(row.map(Setting::from))
    }

    async fn store(&self, key: &Key, value: Bytes, seen: Option<u64>) -> Result<u64, StoreError> {
        if value.len() > LARGEST {
            return Err(StoreError::Refused { store: STORE, source: None });
        }
        let version = random();
        let write = write(self.database.backend(), key, &value, version, seen);
        let written = self.database.writer().query_one_raw(write).await.map_err(store_error(STORE))?;
        if written.is_some() { Ok(version) } else { Err(StoreError::Conflict { store: STORE }) }
    }

    async fn remove(&self, key: &Key, seen: u64) -> Result<(), StoreError> {
        // Run twice, it finds nothing the second time: what somebody has stored in between has another version.
        let remove = Entity::delete_many()
            .filter(Column::Tenant.eq(&*stored_tenant(key.tenant())))
            .filter(Column::Name.eq(&*stored(key.name())))
            .filter(Column::Version.eq(seen.cast_signed()));
        let removed = remove.exec(self.database.writer()).await.map_err(store_error(STORE))?;
        if removed.rows_affected == 0 && self.load(key).await?.is_some() {
            return Err(StoreError::Conflict { store: STORE });
        }
        Ok(())
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: u16) -> Result<Vec<(String, Setting)>, StoreError> {
        let rows = select(prefix, after, limit).all(self.database.readers()).await.map_err(store_error(STORE))?;
        Ok(rows.into_iter().map(|mut row| (shown(std::mem::take(&mut row.name)), row.into())).collect())
    }
}

/// Gives a row if it writes.
fn write(backend: DbBackend, key: &Key, value: &[u8], version: u64, seen: Option<u64>) -> Statement {
    let mut values = vec![
        stored_tenant(key.tenant()).into_owned().into(),
        stored(key.name()).into_owned().into(),
        value.to_vec().into(),
        version.cast_signed().into(),
    ];
    values.extend(seen.map(|seen| seen.cast_signed().into()));
    Statement::from_sql_and_values(backend, if seen.is_some() { REPLACE } else { MAKE }, values)
}

fn under(key: &Key) -> Select<Entity> {
    Entity::find_by_id((stored_tenant(key.tenant()).into_owned(), stored(key.name()).into_owned()))
}

/// What is stored sorts, and begins, as what is shown.
pub(super) fn select(prefix: &Key, after: Option<&str>, limit: u16) -> Select<Entity> {
    let first = stored(prefix.name());
    // One beginning, so that a later page does not walk over the earlier ones.
    let from = match after.map(stored) {
        Some(after) if after >= first => Column::Name.gt(&*after),
        _ => Column::Name.gte(&*first),
    };
    Entity::find()
        .filter(Column::Tenant.eq(&*stored_tenant(prefix.tenant())))
        .filter(from)
        .apply_if(after_all(&first), |select, end| select.filter(Column::Name.lt(end)))
        .order_by_asc(Column::Name)
        .limit(u64::from(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{postgres, tests};

    /// Its answer may have been lost on the way.
    #[tokio::test]
    async fn a_statement_that_is_run_twice_does_what_it_did_once() {
        let (_folder, sqlite) = tests::database().await;
        for database in [sqlite, postgres::tests::database(1).await] {
            let settings = SqlSettings::new(database.clone());
            let key = Key::of_the_house("switch");
            for (version, seen) in [(1, None), (2, Some(1))] {
                for _ in 0..2 {
                    let write = write(database.backend(), &key, b"on", version, seen);
                    assert!(database.writer().query_one_raw(write).await.unwrap().is_some(), "{version}");
                    assert_eq!(settings.load(&key).await.unwrap().map(|setting| setting.version), Some(version));
                }
            }
            settings.store(&key, "off".into(), Some(2)).await.unwrap();
            for (version, seen) in [(1, None), (2, Some(1))] {
                let late = write(database.backend(), &key, b"on", version, seen);
                assert!(database.writer().query_one_raw(late).await.unwrap().is_none(), "somebody has changed it");
            }
            assert_eq!(settings.load(&key).await.unwrap().unwrap().value, "off");
        }
    }
}
