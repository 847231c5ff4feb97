//! Blobs in a bucket of S3, or of another store that speaks as S3 does.

#[cfg(test)]
mod tests;
mod wire;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{BlobInfo, Blobs, ByteStream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{STORE, is_name};
use crate::error::{Cause, OpenError};
use wire::Wire;

/// [`Blobs`] in a bucket, each in an object of its name, behind the first two of its digits.
///
/// Of a blob that is cut off because the process ends, what was sent costs room, and no list shows it: a bucket has a rule of its own
/// for such uploads (`AbortIncompleteMultipartUpload`).
pub(crate) struct BucketBlobs {
    objects: AmazonS3,
    prefix: Path,
}

/// How many bytes are sent at once: S3 takes no smaller part than 5 MiB but the last, and 10,000 of them.
const PART: usize = 8 * 1024 * 1024;
/// How often, and until when, what failed for no fault of ours is tried again.
const RETRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a bucket may take to say whether it lets us in.
const START: Duration = Duration::from_secs(30);

impl BucketBlobs {
    /// The blobs of a bucket that are behind `prefix`, once it has let us in. `variables` tell who we are and where it is, under the
    /// names that they have in the environment of a client of S3.
    pub(crate) async fn open(bucket: &str, prefix: &str, variables: &[(String, String)]) -> Result<Self, OpenError> {
        let unusable = |source: Cause| OpenError::Bucket { bucket: bucket.to_owned(), source };
        let known = variables.iter().filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        let (mut builder, mut authority) = (AmazonS3Builder::new(), None);
        for (name, value) in known {
            if name == "AWS_CA_BUNDLE" {
                authority = Some(std::path::Path::new(value));
            } else if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let builder = builder
            .with_bucket_name(bucket)
            .with_retry(retry)
            // One is deleted at a time, as every store that speaks so can.
            .with_disable_bulk_delete(true)
            .with_http_connector(Wire::new(authority).map_err(unusable)?);
        let objects = builder.build().map_err(|error| unusable(reason(&error).into()))?;
        let blobs = Self { objects, prefix: Path::from(prefix) };
        let mut first = blobs.objects.list(Some(&blobs.prefix));
        match timeout(START, first.next()).await {
            Ok(None | Some(Ok(_))) => Ok(blobs),
            Ok(Some(Err(error))) => Err(unusable(reason(&error).into())),
            Err(_) => Err(unusable(format!("it has said nothing for {} s", START.as_secs()).into())),
        }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name.get(..2).unwrap_or(name)).join(name)
    }
}

#[async_trait]
impl Blobs for BucketBlobs {
    async fn put(&self, name: &str, mut bytes: ByteStream) -> Result<u64, StoreError> {
        let path = self.path(name);
        let (mut held, mut size, mut upload) = (BytesMut::new(), 0, None);
        while let Some(piece) = bytes.try_next().await? {
            size += piece.len() as u64;
            held.extend_from_slice(&piece);
            // The last part is the only one that may be smaller, and is sent with the end.
            while held.len() > PART {
                if upload.is_none() {
                    upload = Some(Upload::begin(&self.objects, &path).await?);
                }
                if let Some(upload) = &mut upload {
                    upload.send(held.split_to(PART).freeze()).await?;
                }
            }
        }
        match upload {
            None => self.objects.put(&path, held.freeze().into()).await.map(drop).map_err(unavailable)?,
            Some(mut upload) => {
                upload.send(held.freeze()).await?;
                upload.complete().await?;
            }
        }
        Ok(size)
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError> {
        let path = self.path(name);
        let is_nothing = range.as_ref().is_some_and(Range::is_empty);
        let got = if is_nothing {
            self.objects.head(&path).await.map(|_| stream::empty().boxed())
        } else {
            let range = range.map(|range| match i64::try_from(range.end) {
                Ok(_) => GetRange::Bounded(range),
                // Not every store reads such numbers.
                Err(_) => GetRange::Offset(range.start),
            });
            let options = GetOptions { range, ..GetOptions::default() };
            self.objects.get_opts(&path, options).await.map(|got| got.into_stream().map_err(unavailable).boxed())
        };
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_missing(&error) => Ok(None),
            // It is there, and ends before the range begins.
            Err(error) if says(&error, "status code: 416") => Ok(Some(stream::empty().boxed())),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.objects.delete(&self.path(name)).await {
            Err(error) if !is_missing(&error) => Err(unavailable(error)),
            _ => Ok(()),
        }
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>> {
        let info = |found: ObjectMeta| {
            let name = found.location.filename().filter(|name| is_name(name))?.to_owned();
            let put = Timestamp::from_micros(found.last_modified.timestamp_micros());
            Some(BlobInfo { name, size: found.size, put })
        };
        let all = self.objects.list(Some(&self.prefix)).map_err(unavailable);
        all.try_filter_map(move |found| future::ready(Ok(info(found)))).boxed()
    }
}

/// A blob on its way in parts, of which nothing is left if it does not arrive.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    /// Begins one. It becomes known here also where nobody waits for that any more, and is taken back then.
    async fn begin(objects: &AmazonS3, path: &Path) -> Result<Self, StoreError> {
        let (objects, path) = (objects.clone(), path.clone());
        let begun = tokio::spawn(async move { objects.put_multipart(&path).await.map(|upload| Self(Some(upload))) });
        match begun.await {
            Ok(upload) => upload.map_err(unavailable),
            Err(ended) => Err(StoreError::Unavailable { store: STORE, source: Some(Arc::new(ended)) }),
        }
    }

    async fn send(&mut self, part: Bytes) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(upload) => upload.put_part(part.into()).await.map_err(unavailable),
            None => Ok(()),
        }
    }

    async fn complete(mut self) -> Result<(), StoreError> {
        if let Some(upload) = &mut self.0 {
            upload.complete().await.map_err(unavailable)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // What cannot be taken back now is removed by the bucket's own rule.
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

fn unavailable(error: Error) -> StoreError {
    StoreError::Unavailable { store: STORE, source: Some(Arc::new(error)) }
}

/// Whether a blob is not there, and not its bucket.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !says(error, "<Code>NoSuchBucket</Code>")
}

/// Whether an error's text has this in it: there is no other way to its status and to what the bucket said.
fn says(error: &Error, what: &str) -> bool {
    error.to_string().contains(what)
}

/// Why something failed, in one line: in the words of the bucket, where it has said something.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let said = |tag: &str| {
        let (_, from) = text.split_once(&format!("<{tag}>"))?;
        from.split_once(&format!("</{tag}>")).map(|(said, _)| said)
    };
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let why = match (said("Message"), said("Code")) {
        (Some(message), Some(code)) => format!("{message} ({code})"),
        _ => causes.last().map_or_else(String::new, ToString::to_string),
    };
    why.split_whitespace().collect::<Vec<_>>().join(" ")
}
