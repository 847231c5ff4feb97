//! `forget`: removes what somebody has.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::retention;
use mcp_core::store::StoreError;
use serde_json::{Map, json};

use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::bundled::{self, Opened};
use crate::config::Config;

pub(super) fn run(config: &Config, tenant: &str, principal: &str, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (tenant, principal) = (Tenant::from(tenant), Principal::from(principal));
    let forgotten = runtime.block_on(async {
        let pending = bundled::pending_migrations(config).await?;
        if !pending.is_empty() {
            let stale = config.error("DATABASE_URL", "the database is not at this version: run `mcp-http migrate`");
            return Err(Failure::from(stale));
        }
        let Opened { stores, .. } = bundled::open(config).await?;
        retention::forget(&stores, &tenant, &principal).await.map_err(unavailable)
    })?;
    let counts: Map<_, _> = forgotten.iter().map(|(kind, count)| ((*kind).to_owned(), json!(count))).collect();
    output.write(&json!({"tenant": tenant.as_str(), "principal": principal.as_str(), "removed": counts}), || {
        if forgotten.iter().all(|(_, count)| *count == 0) {
            return format!("Nothing is kept of {principal} in the tenant {tenant}.");
        }
        table(&forgotten.iter().map(|(kind, count)| vec![(*kind).to_owned(), count.to_string()]).collect::<Vec<_>>())
    })
}

fn unavailable(error: StoreError) -> Failure {
    let kind = if matches!(error, StoreError::Unavailable { .. }) { Kind::Unreachable } else { Kind::Failed };
    Failure::new(kind, error.to_string()).hint("some may have been removed: run it again once that is mended")
}
