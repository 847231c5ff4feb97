//! A copy of everything, and the way back.

mod followed;
mod large;
mod refused;
mod whole;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::key::Key;
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Outcome};
use mcp_store::StoreConfig;
use mcp_store::backup::{BackupError, Manifest, backup, restore, verify};
use mcp_store::test_servers::PostgresServer;
use tempfile::TempDir;

/// A database with something in each table, and room for backups of it.
struct Filled {
    url: String,
    config: StoreConfig,
    stores: Stores,
    folder: TempDir,
}

const SECRET: [u8; 32] = [7; 32];

fn config(url: &str) -> StoreConfig {
    let mut config = StoreConfig::new(url, Arc::new(SimulatedClock::new())).unwrap();
    config.secret_keys = vec![SECRET];
    config
}

impl Filled {
    async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = super::url(&folder);
        Self::at(&url, folder).await
    }

    async fn postgres() -> Self {
        Self::at(&PostgresServer::shared().database(), TempDir::new().unwrap()).await
    }

    async fn both() -> [Self; 2] {
        [Self::sqlite().await, Self::postgres().await]
    }

    async fn at(url: &str, folder: TempDir) -> Self {
        let mut config = config(url);
        config.files_url = Some(format!("file:{}/files", folder.path().display()));
        let stores = mcp_store::open(&config).await.unwrap();
        let (tenant, owner, hour) = (Tenant::from("a"), Principal::from("ada"), Duration::from_secs(60 * 60));
        stores.ledger.commit(calls(1)).await.unwrap();
        stores.notes.write(&tenant, &owner, "list", "apples and \u{1f34e}").await.unwrap();
        for sessions in [&stores.sessions, &stores.protocol_sessions] {
            sessions.create(&tenant, &owner, Bytes::from_static(b"\0state"), hour).await.unwrap();
        }
        stores.settings.store(&Key::of(&tenant, "colour"), Bytes::from_static(b"red"), None).await.unwrap();
        stores.leases.acquire("work", hour).await.unwrap().unwrap();
        write(&stores, "greeting", b"hello").await;
        Self { url: url.to_owned(), config, stores, folder }
    }

    /// Where a backup of that name is.
    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn backup(&self, name: &str) -> Manifest {
        backup(&self.config, &self.place(name)).await.unwrap()
    }

    /// A database, and a place for files with nothing in it.
    fn with_files(&self, url: &str) -> StoreConfig {
        let mut config = config(url);
        config.files_url = Some(format!("file:{}/more-files", self.folder.path().display()));
        config
    }

    /// A place of the same kind with nothing in it.
    fn empty(&self, name: &str) -> StoreConfig {
        let mut config = config(&match self.url.starts_with("postgres") {
            true => PostgresServer::shared().database(),
            false => format!("sqlite:{}/{name}/mcp.db", self.folder.path().display()),
        });
        config.files_url = Some(format!("file:{}/{name}-files", self.folder.path().display()));
        config
    }
}

/// Writes a file of ada's.
async fn write(stores: &Stores, name: &str, bytes: &'static [u8]) {
    let (tenant, owner) = (Tenant::from("a"), Principal::from("ada"));
    let stream = futures_util::stream::iter([Ok(Bytes::from_static(bytes))]).boxed();
    let files = stores.files.as_ref().unwrap();
    files.write(&tenant, &owner, name, "text/plain", stream).await.unwrap();
}

/// Two calls that are written together.
fn calls(n: u128) -> Vec<Entry> {
    let call = |id| CallRecord {
        id: CallId::from_u128(id),
        parent: None,
        address: None,
        tenant: Tenant::from("a"),
        principal: Principal::from("ada"),
        tool: "t".to_owned(),
        arguments: Bytes::from_static(b"{\"b\": \"\\u0000\", \"a\": 1.0}"),
        outcome: Outcome::Ok,
        result: Bytes::from_static(b"{}"),
        at: Timestamp::default(),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
    };
    vec![Entry::Call(call(2 * n)), Entry::Call(call(2 * n + 1))]
}

/// What is said of a failure, in one line.
fn line<T: std::fmt::Debug>(result: Result<T, BackupError>) -> String {
    let line = result.unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// The files of a backup.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    all.sort();
    all
}
