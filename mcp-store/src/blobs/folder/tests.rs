//! What is left in a folder, and who may look into it.

use futures_util::future;
use mcp_core::store::blobs::new_name;
use tempfile::TempDir;

use super::*;

fn open(folder: &TempDir) -> FolderBlobs {
    FolderBlobs::open(&folder.path().join("a/files")).unwrap()
}

async fn put(blobs: &FolderBlobs, bytes: &'static [u8]) -> String {
    let name = new_name().unwrap();
    blobs.put(&name, stream::once(future::ready(Ok(Bytes::from_static(bytes)))).boxed()).await.unwrap();
    name
}

#[cfg(unix)]
#[tokio::test]
async fn what_it_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let name = put(&open(&folder), b"mine").await;
    let shelf = format!("a/files/{}", &name[..2]);
    for (path, mode) in [("a", 0o700), ("a/files", 0o700), (shelf.as_str(), 0o700), (&format!("{shelf}/{name}"), 0o600)]
    {
        let found = folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
}

#[tokio::test]
async fn what_was_put_is_there_when_it_is_opened_again() {
    let folder = TempDir::new().unwrap();
    let name = put(&open(&folder), b"kept").await;
    let bytes: Vec<Bytes> = open(&folder).get(&name, None).await.unwrap().unwrap().try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"kept");
}

#[tokio::test]
async fn what_a_process_left_unfinished_is_removed_once_it_is_old() {
    let folder = TempDir::new().unwrap();
    let blobs = open(&folder);
    let name = put(&blobs, b"whole").await;
    let unfinished = blobs.path(&name).with_extension(UNFINISHED);
    std::fs::write(&unfinished, "half").unwrap();
    let listed: Vec<_> = blobs.list().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let remove = |age| FolderBlobs::remove_unfinished(&blobs.folder, age).unwrap();
    remove(Duration::from_secs(60 * 60));
    assert!(unfinished.exists(), "somebody may still write it");
    remove(Duration::ZERO);
    assert!(!unfinished.exists());
    assert!(blobs.get(&name, None).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_blob_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let blobs = open(&folder);
    std::fs::create_dir(folder.path().join("a/files/zz")).unwrap();
    for path in ["a/files/README", "a/files/zz/notes.txt"] {
        std::fs::write(folder.path().join(path), "somebody's").unwrap();
    }
    assert_eq!(blobs.list().try_collect::<Vec<_>>().await.unwrap(), []);
    FolderBlobs::remove_unfinished(&blobs.folder, Duration::ZERO).unwrap();
    assert!(folder.path().join("a/files/zz/notes.txt").exists());
}

#[tokio::test]
async fn a_disk_that_does_not_take_it_is_told() {
    let folder = TempDir::new().unwrap();
    let blobs = open(&folder);
    let name = new_name().unwrap();
    // In the place of a shelf there is a file.
    std::fs::write(blobs.folder.join(&name[..2]), "").unwrap();
    let put = blobs.put(&name, stream::empty().boxed()).await;
    assert!(matches!(put, Err(StoreError::Unavailable { .. })), "{put:?}");
}
