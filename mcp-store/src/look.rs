//! What can be found out of stores without opening them: nothing is made or changed.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::error::OpenError;
use crate::open::StoreConfig;
use crate::redis;
use crate::sql::keys::{HouseKey, Purpose};

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
    let unreadable =
        |error: DbErr| OpenError::Migration { place: config.location.to_string(), source: error.to_string().into() };
    Ok(database.readers().query_one_raw(any).await.map_err(unreadable)?.is_some())
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
