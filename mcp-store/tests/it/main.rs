//! The stores on SQLite and on PostgreSQL, and the tools on them.

mod backup;
mod data_model;
mod fault_proxy;
mod file_tools;
mod keyed;
mod opening;
mod postgres;
#[cfg(target_os = "linux")]
mod power_cut;
mod redis;
mod retention;
#[cfg(feature = "s3")]
mod s3;
mod sealed;
mod servers;
mod session_rows;
mod tls;
mod tools;
mod workers;

use std::sync::Arc;

use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::contract::Fresh;
use mcp_store::StoreConfig;
use tempfile::TempDir;

async fn fresh() -> Fresh {
    let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
    let mut config = StoreConfig::new(&url(&folder), Arc::new(clock.clone())).unwrap();
    config.cache_bytes = 1024 * 1024;
    config.secret_keys = vec![[1; 32]];
    config.file_caps = mcp_core::contract::files::CAPS;
    config.protocol_sessions = mcp_core::contract::sessions::ROOM;
    let stores = mcp_store::open(&config).await.unwrap();
    Fresh::new(stores, clock).keeping(folder)
}

/// A file that is not there yet, in a folder that is not there yet.
fn url(folder: &TempDir) -> String {
    format!("sqlite:{}/data/mcp.db", folder.path().display())
}

mcp_core::ledger_contract!(fresh);
mcp_core::history_contract!(fresh);
mcp_core::stats_contract!(fresh);
mcp_core::audit_contract!(fresh);
mcp_core::idempotency_contract!(fresh);
mcp_core::notes_contract!(fresh);
mcp_core::threads_contract!(fresh);
mcp_core::principals_contract!(fresh);
mcp_core::api_keys_contract!(fresh);
mcp_core::records_contract!(fresh);
mcp_core::cache_contract!(fresh);
mcp_core::events_contract!(fresh);
mcp_core::leases_contract!(fresh);
mcp_core::replicas_contract!(fresh);
mcp_core::settings_contract!(fresh);
mcp_core::limits_contract!(fresh);
mcp_core::sessions_contract!(fresh);
mcp_core::runs_contract!(fresh);
mcp_core::blobs_contract!(fresh);
mcp_core::files_contract!(fresh);
