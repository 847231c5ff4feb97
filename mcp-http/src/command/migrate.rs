//! `migrate`: brings the database to this version, and what is kept to what the settings say.

use std::sync::Arc;

use mcp_core::tokio_runtime::TokioClock;
use mcp_store::StoreConfig;
use serde_json::json;

use super::act;
use super::failure::Failure;
use super::output::{Output, table};
use super::progress::Progress;
use crate::bundled;
use crate::config::Config;
use crate::secret::SecretKeys;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http migrate --dry-run                    what would be done
  mcp-http migrate
  mcp-http migrate --reencrypt                  after SECRET_KEYS or ENCRYPT_CONTENT were changed";

pub(super) fn run(config: &Config, dry_run: bool, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bad = |error: mcp_store::OpenError| config.error("DATABASE_URL", error.to_string());
    let store = StoreConfig::new(&config.database_url, Arc::new(TokioClock::new())).map_err(bad)?;
    let names = if dry_run {
        runtime.block_on(mcp_store::pending_migrations(&store)).map_err(bad)?
    } else {
        let migrated = runtime.block_on(async {
            Progress::new("migrate", output).follow(&store.progress, mcp_store::migrate(&store)).await
        });
        migrated.map_err(bad)?
    };
    if !dry_run && !names.is_empty() {
        runtime.block_on(act::record(config, "migrate", json!({"migrations": names}), Ok(())))?;
    }
    output.write(&json!({"applied": !dry_run, "migrations": names}), || match (names.as_slice(), dry_run) {
        ([], _) => "The database is up to date.".to_owned(),
        (names, true) => format!("Pending:\n  {}", names.join("\n  ")),
        (names, false) => format!("Applied:\n  {}", names.join("\n  ")),
    })
}

pub(super) fn reencrypt(config: &Config, dry_run: bool, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let renewed = runtime.block_on(async {
        let mut store = bundled::located(config)?;
        store.secret_keys = SecretKeys::existing(config)?.subkeys("mcp-store").collect();
        let renew = async {
            let renew = mcp_store::renew_content(&store, dry_run);
            let renewed = Progress::new("migrate", output).follow(&store.progress, renew).await;
            renewed.map_err(|error| Failure::from(bundled::unopened(config, &error)))
        };
        if dry_run {
            act::at_this_version(config).await?;
            return renew.await;
        }
        let (server, _) = act::opened(config).await?;
        let details = json!({"encrypted": config.encrypt_content});
        server.administer(&act::by(bundled::HOUSE), ("reencrypt", details), renew).await
    })?;
    let total: u64 = renewed.iter().map(|table| table.rows).sum();
    output.write(&json!({"applied": !dry_run, "encrypted": config.encrypt_content, "tables": renewed}), || {
        let rows: Vec<_> = renewed.iter().map(|table| vec![table.table.to_owned(), table.rows.to_string()]).collect();
        let to = if config.encrypt_content { "sealed under the newest key" } else { "kept as it comes" };
        let said = match (dry_run, total) {
            (_, 0) => format!("All of it is {to}."),
            (true, rows) => format!("{rows} rows are not {to} yet."),
            (false, rows) => format!("{rows} rows are {to} now."),
        };
        format!("{}{said}", table(&rows))
    })
}
