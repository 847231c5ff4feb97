//! From a configuration to stores.

use std::sync::Arc;

use mcp_core::Stores;
use mcp_core::retention::{Limit, Policy};
use mcp_core::store::files::Caps;
use mcp_core::tokio_runtime::TokioClock;
use mcp_store::{OpenError, StoreConfig};
use secrecy::ExposeSecret;

use crate::config::{Config, ConfigError};
use crate::secret::SecretKeys;

/// What a configuration names, opened.
pub(crate) struct Opened {
    pub(crate) stores: Stores,
    pub(crate) secret_keys: SecretKeys,
}

/// Opens what `config` names, and makes what is missing.
pub(crate) async fn open(config: &Config) -> Result<Opened, ConfigError> {
    let bad = |error| unopened(config, &error);
    let mut store = located(config)?;
    SecretKeys::check(config)?;
    // Makes the folder in which the key is kept as well.
    mcp_store::migrate(&store).await.map_err(bad)?;
    let secret_keys = SecretKeys::load(config)?;
    store.secret_keys = secret_keys.subkeys("mcp-store").collect();
    let stores = mcp_store::open(&store).await.map_err(bad)?;
    Ok(Opened { stores, secret_keys })
}

/// What [`open`] would have to change in the database before it uses it. It changes nothing.
pub(crate) async fn pending_migrations(config: &Config) -> Result<Vec<String>, ConfigError> {
    mcp_store::pending_migrations(&located(config)?).await.map_err(|error| unopened(config, &error))
}

/// How long each kind of record is kept.
pub(super) fn policy(config: &Config) -> Policy {
    Policy::default()
        .limit("calls", config.keep_calls)
        .limit("messages", config.keep_messages)
        .limit("notes", config.keep_notes)
        .limit("runs", config.keep_runs)
        .limit("keys", keep_keys(config))
        .limit("audit", config.keep_audit)
        .limit("stats", config.keep_stats)
}

/// A key goes before the link that proves how it was answered may.
fn keep_keys(config: &Config) -> Limit {
    let age = [config.keep_keys.age, config.keep_audit.age].into_iter().flatten().min();
    Limit { age, ..config.keep_keys }
}

/// Where `config` says that everything is kept; without the secret keys.
pub(crate) fn located(config: &Config) -> Result<StoreConfig, ConfigError> {
    let store = StoreConfig::new(&config.database_url, Arc::new(TokioClock::new()));
    let mut store = store.map_err(|error| unopened(config, &error))?;
    store.cache_bytes = config.cache_bytes;
    store.replica_lease = config.replica_lease;
    store.redis_url = config.redis_url.as_ref().map(|url| url.expose_secret().to_owned());
    store.redis_ca.clone_from(&config.redis_ca);
    store.encrypt_content = config.encrypt_content;
    store.index_plaintext = config.index_plaintext;
    store.files_url.clone_from(&config.files_url);
    store.aws = config.aws.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
    store.file_caps = Caps { file: config.max_file, owner: config.files_quota };
    store.protocol_sessions.in_all = config.protocol_sessions;
    store.protocol_sessions.of_owner = config.protocol_sessions_per_caller;
    Ok(store)
}

/// What is said of stores that cannot be opened.
pub(crate) fn unopened(config: &Config, error: &OpenError) -> ConfigError {
    let key = match error {
        OpenError::Redis { .. } => "REDIS_URL",
        OpenError::RedisAuthority { .. } => "REDIS_CA",
        OpenError::Files { .. } | OpenError::Bucket { .. } => "FILES_URL",
        OpenError::Sealed { .. } => "SECRET_KEYS",
        _ => "DATABASE_URL",
    };
    config.error(key, error.to_string())
}
