//! `backup` and `restore`: a copy of everything, and the way back.

use std::path::Path;

use mcp_store::backup::{self, BackupError, Manifest};
use mcp_store::{OpenError, StoreConfig};
use serde_json::json;

use super::act;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::progress::Progress;
use crate::bundled::located;
use crate::config::Config;
use crate::secret::SecretKeys;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http backup /backups/monday
  mcp-http backup /backups/monday --verify      and whether all of it comes back";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  mcp-http restore /backups/monday
  DATABASE_URL=sqlite:./trial.db mcp-http restore /backups/monday";

pub(super) fn run(config: &Config, folder: &Path, verify: bool, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let failed = |error| failure(config, error);
    let store = store(config)?;
    let made = runtime.block_on(async {
        let work = async {
            let made = backup::backup(&store, folder).await?;
            if verify {
                backup::verify(&store, folder).await?;
            }
            Ok::<_, BackupError>(made)
        };
        Progress::new("backup", output).follow(&store.progress, work).await
    });
    let details = json!({"folder": folder, "verified": verify});
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            // Alerts tell of it. Where even that cannot be recorded, the failure itself is what counts.
            let told = Failure::new(Kind::Failed, error.to_string());
            let _ = runtime.block_on(act::record(config, "backup", details, Err(told)));
            return Err(failed(error));
        }
    };
    runtime.block_on(act::record(config, "backup", details, Ok(())))?;
    output.write(&json!({"folder": folder, "verified": verify, "manifest": made}), || {
        let bytes: u64 = made.files.iter().map(|file| file.bytes).sum();
        let tried = if verify { "\nA trial gave all of it back." } else { "" };
        format!("{} is whole: {}, in {bytes} bytes.{tried}", folder.display(), count(&made))
    })
}

pub(super) fn restore(config: &Config, folder: &Path, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = store(config)?;
    let restored = runtime.block_on(async {
        Progress::new("restore", output).follow(&store.progress, backup::restore(&store, folder)).await
    });
    let restored = restored.map_err(|error| failure(config, error))?;
    runtime.block_on(act::record(config, "restore", json!({"folder": folder, "made": restored.made}), Ok(())))?;
    output.write(&json!({"folder": folder, "manifest": restored}), || {
        format!("Restored: {}, as of {}.", count(&restored), restored.made)
    })
}

fn store(config: &Config) -> Result<StoreConfig, Failure> {
    let mut store = located(config)?;
    if !SecretKeys::are_missing(config) {
        store.secret_keys = SecretKeys::load(config)?.subkeys("mcp-store").collect();
    }
    Ok(store)
}

fn count(manifest: &Manifest) -> String {
    let tables = &manifest.contents.tables;
    format!("{} rows in {} tables", tables.values().sum::<u64>(), tables.len())
}

fn failure(config: &Config, error: BackupError) -> Failure {
    let setting = |key: &str| Failure::from(config.error(key, error.to_string()));
    match &error {
        BackupError::Open(OpenError::Files { .. } | OpenError::Bucket { .. }) => setting("FILES_URL"),
        BackupError::Open(_) | BackupError::Empty { .. } | BackupError::Kind { .. } => setting("DATABASE_URL"),
        BackupError::Sealed { .. } => setting("SECRET_KEYS"),
        BackupError::FilesNotEmpty { .. } => setting("FILES_URL"),
        BackupError::Exists { .. }
        | BackupError::Busy { .. }
        | BackupError::NotEmpty { .. }
        | BackupError::Damaged { .. }
        | BackupError::Newer { .. } => Failure::new(Kind::Refused, error.to_string()),
        _ => Failure::new(Kind::Failed, error.to_string()),
    }
}
