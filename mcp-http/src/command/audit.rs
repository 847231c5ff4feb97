//! `audit verify`: proves what was recorded.

use mcp_core::store::StoreError;
use mcp_core::store::audit::Verification;
use mcp_store::OpenError;
use serde_json::json;

use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::bundled;
use crate::config::Config;
use crate::secret::SecretKeys;

pub(super) fn verify(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verified = runtime.block_on(run(config))?;
    let mut object = json!(verified);
    object["whole"] = verified.is_whole().into();
    output.write(&object, || show(&verified))?;
    match verified.findings.len() as u64 + verified.more {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::Findings, "1 finding: what is recorded is not what was written")),
        count => {
            Err(Failure::new(Kind::Findings, format!("{count} findings: what is recorded is not what was written")))
        }
    }
}

async fn run(config: &Config) -> Result<Verification, Failure> {
    let bad = |error: OpenError| bundled::unopened(config, &error);
    let mut store = bundled::located(config)?;
    store.secret_keys = SecretKeys::existing(config)?.subkeys("mcp-store").collect();
    let audit = mcp_store::audit(&store).await.map_err(bad)?;
    audit.verify().await.map_err(|error| match error {
        StoreError::Refused { .. } => config
            .error(
                "DATABASE_URL",
                "there are no audit chains in it: the server makes them when it records its first call",
            )
            .into(),
        _ => Failure::new(Kind::Unreachable, error.to_string())
            .hint("see that the database runs, and the place for files"),
    })
}

fn show(verified: &Verification) -> String {
    let counts = [
        ("chains", verified.chains),
        ("links", verified.links),
        ("records", verified.records),
        ("removed", verified.removed),
    ];
    let mut text = table(&counts.map(|(what, count)| vec![what.to_owned(), count.to_string()]));
    for finding in &verified.findings {
        text.push_str(&format!("{finding}\n"));
    }
    if verified.more > 0 {
        text.push_str(&format!("… and {} more\n", verified.more));
    }
    if verified.is_whole() {
        text.push_str("All of it is as it was written.\n");
    }
    text
}
