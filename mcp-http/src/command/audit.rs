//! `audit`: proves what was recorded, and tells it to an archive elsewhere.

use clap::Subcommand;
use futures_util::StreamExt;
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::audit::{Export, ExportKey, Verification, export};
use mcp_store::{OpenError, Recorded};
use serde_json::json;

use super::failure::{Failure, Kind};
use super::output::{Output, table};
use crate::bundled;
use crate::config::Config;
use crate::secret::SecretKeys;

/// What is to be done with what was recorded.
#[derive(Subcommand)]
pub(super) enum Audit {
    /// Compare all records with the audit chains, and tell what was altered, removed or added; the server may serve meanwhile
    Verify,
    /// Print what was done as lines of JSON, with signed anchors, for an archive elsewhere
    #[command(before_help = EXPORT_EXAMPLES)]
    Export {
        /// Not before this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Before this time
        #[arg(long, value_name = "TIME")]
        to: Option<Timestamp>,
        /// With the arguments of calls, and not their digest alone
        #[arg(long)]
        arguments: bool,
    },
    /// Print the public key by which exports are checked
    Key,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http audit verify
  mcp-http audit export --from 2026-01-01T00:00:00Z --output audit.jsonl";

const EXPORT_EXAMPLES: &str = "\
Examples:
  mcp-http audit export --from 2026-11-25T00:00:00Z --to 2026-11-26T00:00:00Z -o 2026-11-25.jsonl
  mcp-http audit key -o audit.pem               to be kept elsewhere: it is what exports are checked by";

pub(super) fn run(config: &Config, what: &Audit, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match *what {
        Audit::Verify => verify(&runtime.block_on(verified(config))?, output),
        Audit::Export { from, to, arguments } => {
            runtime.block_on(exported(config, Export { from, to, arguments }, output))
        }
        Audit::Key => {
            let pem = export_key(config)?.public_pem();
            output.write(&json!({"public_key": pem}), || pem.clone())
        }
    }
}

fn verify(verified: &Verification, output: &mut Output) -> Result<(), Failure> {
    let mut object = json!(verified);
    object["whole"] = verified.is_whole().into();
    output.write(&object, || show(verified))?;
    match verified.findings.len() as u64 + verified.more {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::Findings, "1 finding: what is recorded is not what was written")),
        count => {
            Err(Failure::new(Kind::Findings, format!("{count} findings: what is recorded is not what was written")))
        }
    }
}

pub(super) async fn verified(config: &Config) -> Result<Verification, Failure> {
    let audit = recorded(config).await?.audit;
    audit.verify().await.map_err(|error| match error {
        StoreError::Refused { .. } => config
            .error(
                "DATABASE_URL",
                "there are no audit chains in it: the server makes them when it records its first call",
            )
            .into(),
        _ => unreachable(&error),
    })
}

async fn exported(config: &Config, what: Export, output: &mut Output) -> Result<(), Failure> {
    let key = export_key(config)?;
    let Recorded { audit, history, .. } = recorded(config).await?;
    let mut lines = export(&*audit, &*history, &key, what);
    while let Some(text) = lines.next().await {
        let text = text.map_err(|error| match error {
            StoreError::Refused { .. } => Failure::new(Kind::Findings, error.to_string())
                .hint("some of it cannot be read; `mcp-http audit verify` tells what"),
            _ => unreachable(&error),
        })?;
        if !output.lines(&text)? {
            break;
        }
    }
    Ok(())
}

async fn recorded(config: &Config) -> Result<Recorded, Failure> {
    let bad = |error: OpenError| bundled::unopened(config, &error);
    let mut store = bundled::located(config)?;
    store.secret_keys = SecretKeys::existing(config)?.subkeys("mcp-store").collect();
    Ok(mcp_store::recorded(&store).await.map_err(bad)?)
}

fn export_key(config: &Config) -> Result<ExportKey, Failure> {
    let missing = || config.error("SECRET_KEYS", "there is none, and without one nothing can be signed");
    Ok(ExportKey::new(&SecretKeys::existing(config)?.subkeys("audit export").next().ok_or_else(missing)?))
}

fn unreachable(error: &StoreError) -> Failure {
    Failure::new(Kind::Unreachable, error.to_string()).hint("see that the database runs, and the place for files")
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
