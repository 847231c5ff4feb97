//! What is kept once, what is left behind, and who removes it.

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use mcp_core::clock::Timestamp;
use mcp_core::store::blobs::REMOVAL;
use mcp_core::store::files::OVERHEAD;
use mcp_core::store::leases::Leases;
use mcp_core::tokio_runtime::TokioClock;
use std::time::Duration;
use tempfile::TempDir;

use super::*;
use crate::blobs::Location;
use crate::sql::keys::Purpose;
use crate::sql::leases::SqlLeases;
use crate::sql::{postgres, tests};

/// Files, and what they stand on.
struct Kept {
    files: SqlFiles,
    blobs: Arc<dyn Blobs>,
    leases: Arc<dyn Leases>,
    _folder: TempDir,
}

const CAPS: Caps = Caps { file: 1_000_000, owner: 100_000 };

impl Kept {
    async fn in_(database: Database) -> Self {
        let folder = TempDir::new().unwrap();
        let key = HouseKey::load(&database, &[[7; 32]], Purpose::Files).await.unwrap().unwrap();
        let blobs = Location::Folder(folder.path().to_owned()).open(&[]).await.unwrap().blobs;
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        let leases: Arc<dyn Leases> = Arc::new(SqlLeases::new(database.clone(), clock.clone()));
        let sweep = Arc::new(Sweep {
            database: database.clone(),
            blobs: blobs.clone(),
            folder: None,
            leases: leases.clone(),
            clock: clock.clone(),
        });
        let mover = Arc::new(Mover {
            database: database.clone(),
            blobs: blobs.clone(),
            leases: leases.clone(),
            clock: clock.clone(),
        });
        let files = SqlFiles::new(database, blobs.clone(), &key, CAPS, clock, sweep, mover);
        Self { files, blobs, leases, _folder: folder }
    }

    async fn try_write(&self, tenant: &str, owner: &str, name: &str, bytes: &[u8]) -> Result<File, FileError> {
        let bytes = stream::once(future::ready(Ok(Bytes::copy_from_slice(bytes)))).boxed();
        self.files.write(&Tenant::from(tenant), &Principal::from(owner), name, "text/plain", bytes).await
    }

    async fn write(&self, tenant: &str, owner: &str, name: &str, bytes: &[u8]) {
        self.try_write(tenant, owner, name, bytes).await.unwrap();
    }

    async fn remove(&self, tenant: &str, owner: &str, name: &str) -> bool {
        self.files.remove(&Tenant::from(tenant), &Principal::from(owner), name).await.unwrap()
    }

    async fn try_read(&self, tenant: &str, owner: &str, name: &str) -> Result<Option<Vec<u8>>, FileError> {
        match self.files.read(&Tenant::from(tenant), &Principal::from(owner), name, None).await? {
            Some(open) => Ok(Some(open.bytes.try_collect::<Vec<_>>().await?.concat())),
            None => Ok(None),
        }
    }

    async fn blobs(&self) -> usize {
        self.blobs.list().try_collect::<Vec<_>>().await.unwrap().len()
    }

    /// Sweeps what was put until now, whatever the clock of the disk says.
    async fn sweep(&self) -> Option<usize> {
        self.files._sweep.run(Timestamp::from_micros(i64::MAX)).await.unwrap()
    }
}

/// Both databases.
async fn each() -> [(Option<TempDir>, Kept); 2] {
    let (folder, sqlite) = tests::database().await;
    let postgres = postgres::tests::database(5).await;
    [(Some(folder), Kept::in_(sqlite).await), (None, Kept::in_(postgres).await)]
}

#[tokio::test]
async fn equal_bytes_of_a_tenant_are_kept_once() {
    for (_folder, kept) in each().await {
        for (owner, name) in [("ada", "one"), ("ada", "two"), ("bob", "one"), ("ada", "one")] {
            kept.write("a", owner, name, b"the same").await;
            assert_eq!(kept.blobs().await, 1, "{owner}, {name}");
        }
        kept.write("b", "ada", "one", b"the same").await;
        assert_eq!(kept.blobs().await, 2);
        for (owner, name) in [("ada", "one"), ("bob", "one")] {
            assert!(kept.remove("a", owner, name).await);
            assert_eq!(kept.sweep().await, Some(0), "another file has the same bytes");
        }
        assert_eq!(kept.try_read("a", "ada", "two").await.unwrap().as_deref(), Some(&b"the same"[..]));
        assert!(kept.remove("a", "ada", "two").await);
        assert_eq!((kept.sweep().await, kept.blobs().await), (Some(1), 1));
        assert_eq!(kept.try_read("b", "ada", "one").await.unwrap().as_deref(), Some(&b"the same"[..]));
    }
}

#[tokio::test]
async fn what_nothing_refers_to_is_swept_once_it_is_old_and_while_nobody_needs_it_to_stay() {
    for (_folder, kept) in each().await {
        kept.write("a", "ada", "replaced", b"old").await;
        kept.write("a", "ada", "replaced", b"new").await;
        kept.write("a", "ada", "removed", b"gone").await;
        assert!(kept.remove("a", "ada", "removed").await);
        // A write that came no further than to its blob.
        let bytes = stream::once(future::ready(Ok(Bytes::from_static(b"lost")))).boxed();
        kept.blobs.put(&new_name().unwrap(), bytes).await.unwrap();
        let an_hour_ago = kept.files.clock.now().as_micros() - i64::try_from(sweep::AGE.as_micros()).unwrap();
        assert_eq!(kept.files._sweep.run(Timestamp::from_micros(an_hour_ago)).await.unwrap(), Some(0), "too young");
        let backup = kept.leases.acquire(REMOVAL, Duration::from_secs(600)).await.unwrap().unwrap();
        assert_eq!((kept.sweep().await, kept.blobs().await), (None, 4));
        kept.leases.release(backup).await.unwrap();
        assert_eq!((kept.sweep().await, kept.blobs().await), (Some(3), 1));
        assert_eq!(kept.try_read("a", "ada", "replaced").await.unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(kept.sweep().await, Some(0), "the lease was given back");
    }
}

#[tokio::test]
async fn a_write_that_is_refused_leaves_no_blob() {
    for (_folder, kept) in each().await {
        let too_large = kept.try_write("a", "ada", "one", &vec![0; 1_000_001]).await;
        assert!(matches!(too_large, Err(FileError::TooLarge { limit: 1_000_000 })), "{too_large:?}");
        let full = kept.try_write("a", "ada", "one", &vec![0; 100_000]).await;
        assert!(matches!(full, Err(FileError::Full { limit: 100_000 })), "{full:?}");
        assert_eq!(kept.blobs().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_and_removals_of_equal_bytes_that_meet_lose_nothing() {
    for (_folder, kept) in each().await {
        for round in 0..10 {
            let bytes = format!("bytes of the round {}", round / 2);
            kept.write("a", "ada", "kept", bytes.as_bytes()).await;
            let names: Vec<String> = (0..6).map(|n| n.to_string()).collect();
            let writes = join_all(names.iter().map(|name| kept.write("a", "bob", name, bytes.as_bytes())));
            let removals = join_all(names.iter().map(|name| kept.remove("a", "bob", name)));
            let others = kept.remove("a", "ada", "kept");
            let sweeps = async { kept.files._sweep.run(Timestamp::from_micros(0)).await.unwrap() };
            let (_, removed, _, _) = futures_util::join!(writes, removals, others, sweeps);
            for (name, removed) in names.iter().zip(removed) {
                let read = kept.try_read("a", "bob", name).await.unwrap();
                assert!(read.as_deref() == Some(bytes.as_bytes()) || removed && read.is_none(), "{name}: {read:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_are_written_at_once_take_no_more_room_than_there_is() {
    const SIZE: usize = 9_000;
    for (_folder, kept) in each().await {
        let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let write = |name: &String| {
            let (kept, name) = (&kept, name.clone());
            async move { kept.try_write("a", "ada", &name, &[name.len() as u8; SIZE]).await }
        };
        let written = join_all(names.iter().map(write)).await;
        let fit = usize::try_from(CAPS.owner / (SIZE as u64 + OVERHEAD)).unwrap();
        assert_eq!(written.iter().filter(|result| result.is_ok()).count(), fit);
        assert!(written.iter().all(|result| matches!(result, Ok(_) | Err(FileError::Full { .. }))), "{written:?}");
        for name in &names {
            kept.remove("a", "ada", name).await;
        }
        let rooms = Statement::from_string(kept.files.database.backend(), "SELECT count(*) FROM mcp_file_rooms");
        let row = kept.files.database.readers().query_one_raw(rooms).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0);
    }
}

#[tokio::test]
async fn a_blob_that_is_missing_is_told_and_not_taken_for_no_file() {
    for (_folder, kept) in each().await {
        kept.write("a", "ada", "one", b"bytes").await;
        let all: Vec<_> = kept.blobs.list().try_collect().await.unwrap();
        kept.blobs.delete(&all[0].name).await.unwrap();
        let read = kept.try_read("a", "ada", "one").await;
        assert!(matches!(read, Err(FileError::Store(StoreError::Refused { .. }))), "{read:?}");
    }
}
