//! What can be found out of stores without opening them: nothing is made or changed.

use std::time::Duration;

use mcp_core::clock::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use crate::error::OpenError;
use crate::open::StoreConfig;
use crate::redis;
use crate::sql::keys::{HouseKey, Purpose};
use crate::sql::now::POSTGRES_NOW;

/// Whether [`StoreConfig::secret_keys`] open every key that the house keeps in the database.
///
/// # Errors
/// [`OpenError::Sealed`] for the first that they do not open; otherwise as [`open`](crate::open()).
pub async fn keys_open(config: &StoreConfig) -> Result<(), OpenError> {
    let (database, secrets) = (config.connect().await?, &config.secret_keys);
    for purpose in [Purpose::Audit, Purpose::Files] {
        HouseKey::existing(&database, secrets, purpose).await?;
    }
    HouseKey::all_of_content(&database, secrets, false).await.map(drop)
}

/// Whether any API key is kept that lets somebody in now.
///
/// # Errors
/// As [`open`](crate::open()).
pub async fn keeps_api_keys(config: &StoreConfig) -> Result<bool, OpenError> {
    const ANY: &str = "SELECT 1 FROM mcp_api_keys WHERE (revoked IS NULL OR revoked > $1) \
                       AND (expires IS NULL OR expires > $1) LIMIT 1";
    let database = config.connect().await?;
    let any = Statement::from_sql_and_values(database.backend(), ANY, [config.clock.now().as_micros().into()]);
    Ok(database.readers().query_one_raw(any).await.map_err(unreadable(config))?.is_some())
}

/// Whether the Redis that [`StoreConfig::redis_url`] names answers and takes writes; true, where it names none.
///
/// # Errors
/// [`OpenError::Redis`] and [`OpenError::RedisAuthority`] where the settings cannot be used.
pub async fn redis_answers(config: &StoreConfig) -> Result<bool, OpenError> {
    /// Patience of somebody who looks once.
    const DEADLINE: Duration = Duration::from_secs(3);
    match &config.redis_url {
        Some(url) => redis::answers((url, config.redis_ca.as_deref()), DEADLINE, &config.clock).await,
        None => Ok(true),
    }
}

/// What time it is for the database; nothing on SQLite, whose time is this machine's.
///
/// # Errors
/// As [`open`](crate::open()).
pub async fn database_time(config: &StoreConfig) -> Result<Option<Timestamp>, OpenError> {
    let row = of_postgres(config, &format!("SELECT {POSTGRES_NOW} AS now")).await?;
    row.map(|row| row.try_get("", "now").map(Timestamp::from_micros)).transpose().map_err(unreadable(config))
}

/// What the user may do with whom we come to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseUser {
    /// Its name.
    pub name: String,
    /// Whether it may do anything, or make others who may.
    pub is_superuser: bool,
    /// Whether it may make tables.
    pub makes_tables: bool,
}

/// With whom we come to the database; nobody on SQLite, which has no users.
///
/// # Errors
/// As [`open`](crate::open()).
pub async fn database_user(config: &StoreConfig) -> Result<Option<DatabaseUser>, OpenError> {
    const WHO: &str = "SELECT rolname::text AS name, rolsuper OR rolcreaterole AS super, \
                       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS makes_tables \
                       FROM pg_roles WHERE rolname = current_user";
    let user = |row: QueryResult| {
        Ok(DatabaseUser {
            name: row.try_get("", "name")?,
            is_superuser: row.try_get("", "super")?,
            makes_tables: row.try_get("", "makes_tables")?,
        })
    };
    of_postgres(config, WHO).await?.map(user).transpose().map_err(unreadable(config))
}

/// The only row of an answer of PostgreSQL.
async fn of_postgres(config: &StoreConfig, sql: &str) -> Result<Option<QueryResult>, OpenError> {
    let database = config.connect().await?;
    if database.backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let asked = Statement::from_string(DbBackend::Postgres, sql);
    database.readers().query_one_raw(asked).await.map_err(unreadable(config))
}

fn unreadable(config: &StoreConfig) -> impl Fn(DbErr) -> OpenError {
    |error| OpenError::Migration { place: config.location.to_string(), source: error.to_string().into() }
}
