//! API keys in SQL.

use async_trait::async_trait;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::api_keys::{ApiKey, ApiKeys, KeyHash, KeyHolder, KeyId, NOTED_EVERY};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Statement, Value,
};

use super::users;
use crate::sql::Database;
use crate::sql::entity::api_key::{Column, Entity, Model, uuid};
use crate::sql::error::store_error;
use crate::sql::text::{shown, stored};

/// [`ApiKeys`] in SQL. The same statements do for both databases, and each may be run twice.
pub(crate) struct SqlApiKeys {
    database: Database,
}

const STORE: &str = "store of keys";

const INSERT: &str = "INSERT INTO mcp_api_keys \
     (tenant, id, principal, name, hash, scopes, roles, created, expires, revoked, used, replaces, replaces_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";

/// By an index on the hash alone, since the tenant is what is looked for. Once for each role of the user, or once, where they have
/// none.
const FIND: &str = "SELECT k.tenant AS k_tenant, k.id AS k_id, k.principal AS k_principal, k.name AS k_name, k.hash AS k_hash, \
     k.scopes AS k_scopes, k.roles AS k_roles, k.created AS k_created, k.expires AS k_expires, k.revoked AS k_revoked, \
     k.used AS k_used, k.replaces AS k_replaces, k.replaces_at AS k_replaces_at, u.principal, u.display_name, u.disabled, u.created, r.role \
     FROM mcp_api_keys AS k JOIN mcp_users AS u ON u.tenant = k.tenant AND u.principal = k.principal \
     LEFT JOIN mcp_user_roles AS r ON r.tenant = u.tenant AND r.principal = u.principal \
     WHERE k.hash = $1 ORDER BY r.role";

const REVOKE: &str = "UPDATE mcp_api_keys SET revoked = CASE WHEN revoked < $3 THEN revoked ELSE $3 END \
                      WHERE tenant = $1 AND id = $2";

const NOTE_USE: &str =
    "UPDATE mcp_api_keys SET used = $3 WHERE tenant = $1 AND id = $2 AND (used IS NULL OR used <= $4)";

const DELETE: &str = "DELETE FROM mcp_api_keys WHERE tenant = $1 AND id = $2";

impl SqlApiKeys {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Runs a statement that writes, and tells whether that concerned a key.
    async fn write(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<bool, StoreError> {
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        let done = self.database.writer().execute_raw(statement).await.map_err(store_error(STORE))?;
        Ok(done.rows_affected() > 0)
    }
}

#[async_trait]
impl ApiKeys for SqlApiKeys {
    async fn create(&self, tenant: &Tenant, key: &ApiKey) -> Result<(), StoreError> {
        let row = Model::new(tenant, key);
        let values: [Value; 13] = [
            row.tenant.into(),
            row.id.into(),
            row.principal.into(),
            row.name.into(),
            row.hash.into(),
            row.scopes.into(),
            row.roles.into(),
            row.created.into(),
            row.expires.into(),
            row.revoked.into(),
            row.used.into(),
            row.replaces.into(),
            row.replaces_at.into(),
        ];
        if self.write(INSERT, values).await? {
            return Ok(());
        }
        let there = Entity::find_by_id((stored(tenant.as_str()).into_owned(), uuid(key.id)));
        let there = there.one(self.database.writer()).await.map_err(store_error(STORE))?;
        let there = there.map(ApiKey::try_from).transpose().map_err(store_error(STORE))?;
        let is_the_same = there.is_some_and(|there| there.hash == key.hash && there.principal == key.principal);
        if is_the_same { Ok(()) } else { Err(StoreError::Conflict { store: STORE }) }
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyHolder>, StoreError> {
        let find = Statement::from_sql_and_values(self.database.backend(), FIND, [hash.0.to_vec().into()]);
        let rows = self.database.readers().query_all_raw(find).await.map_err(store_error(STORE))?;
        let Some(row) = rows.first() else { return Ok(None) };
        let key = Model::from_query_result(row, "k_").map_err(store_error(STORE))?;
        let tenant = Tenant::from(shown(key.tenant.clone()));
        let key = ApiKey::try_from(key).map_err(store_error(STORE))?;
        let user = users(&rows).map_err(store_error(STORE))?.pop();
        Ok(user.map(|user| KeyHolder { tenant, user, key }))
    }

    async fn keys(
        &self,
        tenant: &Tenant,
        principal: Option<&Principal>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let select = Entity::find()
            .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
            .apply_if(principal, |select, principal| select.filter(Column::Principal.eq(&*stored(principal.as_str()))))
            .apply_if(after, |select, after| select.filter(Column::Id.gt(uuid(after))))
            .order_by_asc(Column::Id)
            .limit(u64::from(limit));
        let rows = select.all(self.database.readers()).await.map_err(store_error(STORE))?;
        rows.into_iter().map(ApiKey::try_from).collect::<Result<_, _>>().map_err(store_error(STORE))
    }

    async fn revoke(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<bool, StoreError> {
        self.write(REVOKE, which(tenant, id).into_iter().chain([at.as_micros().into()])).await
    }

    async fn note_use(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        let every = i64::try_from(NOTED_EVERY.as_micros()).unwrap_or(i64::MAX);
        let times = [at.as_micros(), at.as_micros().saturating_sub(every)].map(Value::from);
        self.write(NOTE_USE, which(tenant, id).into_iter().chain(times)).await.map(drop)
    }

    /// Run twice, it finds nothing the second time, and whoever asked is told so: that there is no such key is true by then.
    async fn remove(&self, tenant: &Tenant, id: KeyId) -> Result<bool, StoreError> {
        self.write(DELETE, which(tenant, id)).await
    }
}

fn which(tenant: &Tenant, id: KeyId) -> [Value; 2] {
    [stored(tenant.as_str()).into_owned().into(), uuid(id).into()]
}
