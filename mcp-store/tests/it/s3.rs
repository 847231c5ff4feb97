//! Files in a bucket of S3.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::contract::Fresh;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{ByteStream, new_name};
use mcp_core::store::files::FileError;
use mcp_store::StoreConfig;
use mcp_store::backup::{backup, restore, verify};
use mcp_store::test_servers::{Authority, Fault, FaultProxy, S3Server};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::CryptoProvider;

use super::url;

const MIB: usize = 1024 * 1024;

async fn fresh() -> Fresh {
    let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
    let server = shared().await;
    let mut config = config(server, &folder);
    config.clock = Arc::new(clock.clone());
    let stores = mcp_store::open(&config).await.unwrap();
    Fresh::new(stores, clock).keeping(folder)
}

mcp_core::blobs_contract!(fresh);

/// It takes a while to start.
async fn shared() -> &'static S3Server {
    tokio::task::spawn_blocking(S3Server::shared).await.unwrap()
}

/// A database of one's own, and an empty place for files.
fn config(server: &S3Server, folder: &TempDir) -> StoreConfig {
    let mut config = StoreConfig::new(&url(folder), Arc::new(SimulatedClock::new())).unwrap();
    config.secret_keys = vec![[1; 32]];
    config.files_url = Some(server.place());
    config.aws = server.variables();
    config
}

fn set(config: &mut StoreConfig, name: &str, value: &str) {
    config.aws.retain(|(known, _)| known != name);
    config.aws.push((name.to_owned(), value.to_owned()));
}

fn bytes_of(pieces: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> ByteStream {
    stream::iter(pieces).map(Ok).boxed()
}

/// The error's text, which a person reads.
async fn refusal(config: &StoreConfig) -> String {
    let text = mcp_store::open(config).await.err().expect("it is refused").to_string();
    assert!(!text.contains('\n') && text.contains("FILES_URL") && text.contains("AWS_ACCESS_KEY_ID"), "{text}");
    for (name, value) in &config.aws {
        assert!(!name.contains("SECRET") || !text.contains(value), "{text}");
    }
    text
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_told_at_the_start() {
    let (server, folder) = (shared().await, TempDir::new().unwrap());
    let good = config(server, &folder);
    let mut missing = good.clone();
    missing.files_url = Some("s3://no-such-bucket/files".to_owned());
    let text = refusal(&missing).await;
    assert!(text.contains("no-such-bucket") && text.contains("NoSuchBucket"), "{text}");

    let mut unknown = good.clone();
    set(&mut unknown, "AWS_ACCESS_KEY_ID", "AKIAUNKNOWN");
    let text = refusal(&unknown).await;
    assert!(text.contains("InvalidAccessKeyId"), "{text}");

    let mut wrong = good.clone();
    set(&mut wrong, "AWS_SECRET_ACCESS_KEY", "another secret");
    let text = refusal(&wrong).await;
    assert!(text.contains("SignatureDoesNotMatch"), "{text}");

    let mut half = good.clone();
    half.aws.retain(|(name, _)| name != "AWS_SECRET_ACCESS_KEY");
    refusal(&half).await;

    let mut gone = good.clone();
    let proxy = FaultProxy::to(server.port());
    proxy.set(Fault::Close);
    set(&mut gone, "AWS_ENDPOINT_URL", &proxy.url(server.url()));
    let text = refusal(&gone).await;
    assert!(text.contains("connection"), "{text}");

    mcp_store::open(&good).await.unwrap();
}

/// In the middle of its parts.
#[tokio::test]
async fn an_upload_that_is_cut_in_the_middle_leaves_nothing() {
    let (server, folder) = (shared().await, TempDir::new().unwrap());
    let config = config(server, &folder);
    let place = config.files_url.clone().unwrap();
    let blobs = mcp_store::open(&config).await.unwrap().blobs.unwrap();
    let broken = StoreError::Conflict { store: "stream that broke" };
    let pieces = bytes_of((0..20).map(|n| Bytes::from(vec![n; MIB]))).chain(stream::once(future::ready(Err(broken))));
    let put = blobs.put(&new_name().unwrap(), pieces.boxed()).await;
    assert!(matches!(put, Err(StoreError::Conflict { .. })), "{put:?}");

    // Whoever waits leaves while parts are on their way.
    let (sent, mut waits) = tokio::sync::mpsc::channel(1);
    let pieces = stream::unfold(sent, async |sent| {
        let more = sent.send(()).await.is_ok();
        more.then(|| (Ok(Bytes::from(vec![0; MIB])), sent))
    });
    let leaves = blobs.clone();
    let put = tokio::spawn(async move { leaves.put(&new_name().unwrap(), pieces.boxed()).await });
    for _ in 0..10 {
        waits.recv().await.unwrap();
    }
    put.abort();
    let _ = put.await;
    assert_eq!(blobs.list().try_collect::<Vec<_>>().await.unwrap(), []);
    let begun = std::time::Instant::now();
    let count = async || {
        let place = place.clone();
        tokio::task::spawn_blocking(move || server.unfinished(&place)).await.unwrap()
    };
    while count().await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "an upload is left");
    }
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_not_an_empty_one() {
    let (server, folder) = (shared().await, TempDir::new().unwrap());
    let proxy = FaultProxy::to(server.port());
    let mut config = config(server, &folder);
    set(&mut config, "AWS_ENDPOINT_URL", &proxy.url(server.url()));
    let stores = mcp_store::open(&config).await.unwrap();
    let (tenant, owner) = (Tenant::from("a"), Principal::from("ada"));
    let (blobs, files) = (stores.blobs.clone().unwrap(), stores.files.clone().unwrap());
    let hello = || bytes_of([Bytes::from_static(b"hello")]);
    files.write(&tenant, &owner, "greeting", "text/plain", hello()).await.unwrap();
    let name = blobs.list().try_next().await.unwrap().unwrap().name;

    proxy.set(Fault::Close);
    let gone = |error: &StoreError| matches!(error, StoreError::Unavailable { .. });
    let got = blobs.get(&name, None).await;
    assert!(got.as_ref().err().is_some_and(gone), "{:?}", got.err());
    let got = blobs.get(&name, Some(7..7)).await;
    assert!(got.as_ref().err().is_some_and(gone), "{:?}", got.err());
    let put = blobs.put(&new_name().unwrap(), hello()).await;
    assert!(put.as_ref().err().is_some_and(gone), "{put:?}");
    let put = blobs.put(&new_name().unwrap(), bytes_of((0..9).map(|n| Bytes::from(vec![n; MIB])))).await;
    assert!(put.as_ref().err().is_some_and(gone), "{put:?}");
    let deleted = blobs.delete(&name).await;
    assert!(deleted.as_ref().err().is_some_and(gone), "{deleted:?}");
    let listed = blobs.list().try_collect::<Vec<_>>().await;
    assert!(listed.as_ref().err().is_some_and(gone), "{listed:?}");
    let read = files.read(&tenant, &owner, "greeting", None).await;
    assert!(matches!(read, Err(FileError::Store(StoreError::Unavailable { .. }))), "{:?}", read.err());

    proxy.set(Fault::Nothing);
    let file = files.read(&tenant, &owner, "greeting", None).await.unwrap().unwrap();
    assert_eq!(file.bytes.try_collect::<Vec<_>>().await.unwrap().concat(), b"hello");
}

#[tokio::test]
async fn a_backup_has_the_bytes_and_a_restore_puts_them_into_a_bucket() {
    let (server, folder, elsewhere) = (shared().await, TempDir::new().unwrap(), TempDir::new().unwrap());
    let (config, restored) = (config(server, &folder), config(server, &elsewhere));
    let (tenant, owner) = (Tenant::from("a"), Principal::from("ada"));
    let stores = mcp_store::open(&config).await.unwrap();
    let bytes = Bytes::from((0..9 * MIB).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let files = stores.files.as_ref().unwrap();
    files.write(&tenant, &owner, "large", "text/plain", bytes_of([bytes.clone()])).await.unwrap();
    let place = folder.path().join("backup");
    backup(&config, &place).await.unwrap();
    let blob = place.join("blobs").read_dir().unwrap().next().unwrap().unwrap();
    assert!(std::fs::read(blob.path()).unwrap() == bytes);
    verify(&config, &place).await.unwrap();

    restore(&restored, &place).await.unwrap();
    let stores = mcp_store::open(&restored).await.unwrap();
    let file = stores.files.as_ref().unwrap().read(&tenant, &owner, "large", None).await.unwrap().unwrap();
    assert!(file.bytes.try_collect::<Vec<_>>().await.unwrap().concat() == bytes);
    assert_eq!(stores.blobs.unwrap().list().try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

/// And the process is left as it was.
#[tokio::test]
async fn a_bucket_is_believed_where_its_authority_vouches_for_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = S3Server::start_with_tls(&authority, "localhost");
    let folder = TempDir::new().unwrap();
    let config = config(&server, &folder);
    let blobs = mcp_store::open(&config).await.unwrap().blobs.unwrap();
    let name = new_name().unwrap();
    blobs.put(&name, bytes_of([Bytes::from_static(b"hello")])).await.unwrap();
    let got = blobs.get(&name, None).await.unwrap().unwrap();
    assert_eq!(got.try_collect::<Vec<_>>().await.unwrap().concat(), b"hello");

    let mut strange = config.clone();
    set(&mut strange, "AWS_CA_BUNDLE", &other.file().display().to_string());
    let text = refusal(&strange).await;
    assert!(text.contains("certificate"), "{text}");
    set(&mut strange, "AWS_CA_BUNDLE", "no/such/file");
    let text = refusal(&strange).await;
    assert!(text.contains("AWS_CA_BUNDLE"), "{text}");
    assert!(CryptoProvider::get_default().is_none(), "a library installs nothing global");
}
