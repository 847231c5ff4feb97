//! `migrate`: brings the database to this version.

use std::sync::Arc;

use mcp_core::tokio_runtime::TokioClock;
use mcp_store::StoreConfig;
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use crate::config::Config;

pub(super) fn run(config: &Config, dry_run: bool, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bad = |error: mcp_store::OpenError| config.error("DATABASE_URL", error.to_string());
    let store = StoreConfig::new(&config.database_url, Arc::new(TokioClock::new())).map_err(bad)?;
    let names = if dry_run {
        runtime.block_on(mcp_store::pending_migrations(&store)).map_err(bad)?
    } else {
        runtime.block_on(mcp_store::migrate(&store)).map_err(bad)?
    };
    output.write(&json!({"applied": !dry_run, "migrations": names}), || match (names.as_slice(), dry_run) {
        ([], _) => "The database is up to date.".to_owned(),
        (names, true) => format!("Pending:\n  {}", names.join("\n  ")),
        (names, false) => format!("Applied:\n  {}", names.join("\n  ")),
    })
}
