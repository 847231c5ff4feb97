//! A bucket that goes away for good.

use mcp_core::store::blobs::new_name;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const EMPTY: &str = "<ListBucketResult></ListBucketResult>";
const DELETED: &str = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";

/// Answers that there is nothing in the bucket, and to all else that there is no bucket.
async fn answer(mut stream: TcpStream) {
    let (reads, mut writes) = stream.split();
    let mut lines = BufReader::new(reads).lines();
    while let Ok(Some(first)) = lines.next_line().await {
        while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
        let (status, body) = if first.contains("list-type") { ("200 OK", EMPTY) } else { ("404 Not Found", DELETED) };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        writes.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_blob_is_not_said_to_be_gone_with_its_bucket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let variables =
        [("AWS_ENDPOINT_URL", &*endpoint), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let blobs = BucketBlobs::open("files", "", &variables).await.unwrap();
    let got = blobs.get(&new_name().unwrap(), None).await;
    assert!(matches!(got, Err(StoreError::Unavailable { .. })), "{:?}", got.err());
    let deleted = blobs.delete(&new_name().unwrap()).await;
    assert!(matches!(deleted, Err(StoreError::Unavailable { .. })), "{deleted:?}");
}
