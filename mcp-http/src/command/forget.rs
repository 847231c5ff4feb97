//! `forget`: removes what somebody has.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::retention;
use mcp_core::store::StoreError;
use serde_json::{Map, json};

use super::act;
use super::failure::Failure;
use super::output::{Output, table};
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http forget ada
  mcp-http forget ada --tenant acme";

pub(super) fn run(config: &Config, tenant: &str, principal: &str, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (tenant, principal) = (Tenant::from(tenant), Principal::from(principal));
    let forgotten = runtime.block_on(async {
        let (server, stores) = act::opened(config).await?;
        let forget = async { retention::forget(&stores, &tenant, &principal).await.map_err(unfinished) };
        let details = json!({"user": principal.as_str()});
        server.administer(&act::by(tenant.as_str()), ("forget", details), forget).await
    })?;
    let counts: Map<_, _> = forgotten.iter().map(|(kind, count)| ((*kind).to_owned(), json!(count))).collect();
    output.write(&json!({"tenant": tenant.as_str(), "principal": principal.as_str(), "removed": counts}), || {
        if forgotten.iter().all(|(_, count)| *count == 0) {
            return format!("Nothing is kept of {principal} in the tenant {tenant}.");
        }
        table(&forgotten.iter().map(|(kind, count)| vec![(*kind).to_owned(), count.to_string()]).collect::<Vec<_>>())
    })
}

fn unfinished(error: StoreError) -> Failure {
    Failure::from(error).hint("some may have been removed: run it again once that is mended")
}
