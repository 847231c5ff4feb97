//! Users in SQL.

pub(crate) mod api_keys;

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::principals::{Principals, User, UserChange};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Statement, Value};

use super::Database;
use super::error::store_error;
use super::text::{shown, stored};

/// [`Principals`] in SQL. The same statements do for both databases.
pub(crate) struct SqlPrincipals {
    database: Database,
}

const STORE: &str = "store of users";

/// Each user once for each role, or once, where they have none. What stands for the page is one of those below.
const SELECT: &str = "SELECT page.principal, page.display_name, page.disabled, page.created, mcp_user_roles.role \
     FROM (SELECT * FROM mcp_users WHERE tenant = $1 AND {page}) AS page LEFT JOIN mcp_user_roles \
     ON mcp_user_roles.tenant = page.tenant AND mcp_user_roles.principal = page.principal \
     ORDER BY page.principal, mcp_user_roles.role";

const ONE: &str = "principal = $2";
const FIRST: &str = "principal >= $2 ORDER BY principal LIMIT $3";
const AFTER: &str = "principal > $2 ORDER BY principal LIMIT $3";

const INSERT: &str = "INSERT INTO mcp_users (tenant, principal, display_name, disabled, created) \
                      VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// It holds others up that change the same user, until all of the change is made.
const UPDATE: &str = "UPDATE mcp_users SET display_name = COALESCE($3, display_name), \
                      disabled = COALESCE($4, disabled) WHERE tenant = $1 AND principal = $2";

const INSERT_ROLE: &str = "INSERT INTO mcp_user_roles (tenant, principal, role) VALUES ($1, $2, $3)";

const DELETE_ROLES: &str = "DELETE FROM mcp_user_roles WHERE tenant = $1 AND principal = $2";

/// With roles and keys, by their foreign keys. Run twice, it finds nobody the second time, and whoever asked is told so: that there
/// is no such user is true by then.
const DELETE: &str = "DELETE FROM mcp_users WHERE tenant = $1 AND principal = $2";

impl SqlPrincipals {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.database.backend(), sql, values)
    }

    async fn select(&self, page: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<User>, StoreError> {
        let select = self.statement(&SELECT.replace("{page}", page), values);
        let rows = self.database.readers().query_all_raw(select).await.map_err(store_error(STORE))?;
        users(&rows).map_err(store_error(STORE))
    }
}

#[async_trait]
impl Principals for SqlPrincipals {
    async fn create(&self, tenant: &Tenant, user: &User) -> Result<(), StoreError> {
        let (who, roles) = (who(tenant, &user.principal), user.roles.clone());
        let row: [Value; 3] =
            [stored(&user.display_name).into_owned().into(), user.disabled.into(), user.created.as_micros().into()];
        let insert = self.statement(INSERT, who.iter().cloned().chain(row));
        let create = self.database.transaction(move |transaction| {
            async move {
                let is_new = transaction.execute_raw(insert).await?.rows_affected() > 0;
                if is_new {
                    insert_roles(transaction, &who, &roles).await?;
                }
                Ok(is_new)
            }
            .boxed()
        });
        let is_new = create.await.map_err(store_error(STORE))?;
        if is_new { Ok(()) } else { Err(StoreError::Conflict { store: STORE }) }
    }

    async fn user(&self, tenant: &Tenant, principal: &Principal) -> Result<Option<User>, StoreError> {
        Ok(self.select(ONE, who(tenant, principal)).await?.pop())
    }

    async fn users(&self, tenant: &Tenant, after: Option<&Principal>, limit: u16) -> Result<Vec<User>, StoreError> {
        let from = match after {
            Some(after) => who(tenant, after),
            None => who(tenant, &Principal::from("")),
        };
        let page = if after.is_some() { AFTER } else { FIRST };
        self.select(page, from.into_iter().chain([i64::from(limit).into()])).await
    }

    async fn change(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        change: &UserChange,
    ) -> Result<Option<User>, StoreError> {
        let (who, roles) = (who(tenant, principal), change.roles.clone());
        let name = change.display_name.as_deref().map(|name| stored(name).into_owned());
        let update = self.statement(UPDATE, who.iter().cloned().chain([name.into(), change.disabled.into()]));
        let delete_roles = self.statement(DELETE_ROLES, who.iter().cloned());
        let select = self.statement(&SELECT.replace("{page}", ONE), who.iter().cloned());
        let change = self.database.transaction(move |transaction| {
            async move {
                transaction.execute_raw(update).await?;
                let is_there = transaction.query_one_raw(select.clone()).await?.is_some();
                if let Some(roles) = roles.filter(|_| is_there) {
                    transaction.execute_raw(delete_roles).await?;
                    insert_roles(transaction, &who, &roles).await?;
                }
                Ok(users(&transaction.query_all_raw(select).await?)?.pop())
            }
            .boxed()
        });
        change.await.map_err(store_error(STORE))
    }

    async fn remove(&self, tenant: &Tenant, principal: &Principal) -> Result<bool, StoreError> {
        let delete = self.statement(DELETE, who(tenant, principal));
        let done = self.database.writer().execute_raw(delete).await.map_err(store_error(STORE))?;
        Ok(done.rows_affected() > 0)
    }
}

fn who(tenant: &Tenant, principal: &Principal) -> [Value; 2] {
    [tenant.as_str(), principal.as_str()].map(|name| stored(name).into_owned().into())
}

async fn insert_roles(
    transaction: &DatabaseTransaction,
    who: &[Value; 2],
    roles: &BTreeSet<String>,
) -> Result<(), DbErr> {
    for role in roles {
        let values = who.iter().cloned().chain([stored(role).into_owned().into()]);
        let backend = transaction.get_database_backend();
        transaction.execute_raw(Statement::from_sql_and_values(backend, INSERT_ROLE, values)).await?;
    }
    Ok(())
}

/// The users of rows that are in the order of principals.
fn users(rows: &[QueryResult]) -> Result<Vec<User>, DbErr> {
    let mut users = Vec::<User>::new();
    for row in rows {
        let principal = Principal::from(shown(row.try_get("", "principal")?));
        if users.last().is_none_or(|last| last.principal != principal) {
            users.push(User {
                principal,
                display_name: shown(row.try_get("", "display_name")?),
                disabled: row.try_get("", "disabled")?,
                created: Timestamp::from_micros(row.try_get("", "created")?),
                roles: BTreeSet::new(),
            });
        }
        if let (Some(user), Some(role)) = (users.last_mut(), row.try_get::<Option<String>>("", "role")?) {
            user.roles.insert(shown(role));
        }
    }
    Ok(users)
}
