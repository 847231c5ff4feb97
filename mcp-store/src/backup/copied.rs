//! Blobs as they are in a backup.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, future, stream};
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{BlobInfo, Blobs, ByteStream};

use super::blobs::FOLDER;

/// [`Blobs`] in the folder of a backup, each in a file of its name. They are only got, whole.
pub(super) struct Copied(PathBuf);

impl Copied {
    /// Those beside the copy of the database that refers to them.
    pub(super) fn beside(copy: &Path) -> Self {
        Self(copy.with_file_name(FOLDER))
    }
}

#[async_trait]
impl Blobs for Copied {
    async fn put(&self, _: &str, _: ByteStream) -> Result<u64, StoreError> {
        Err(read_only())
    }

    async fn get(&self, name: &str, _: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError> {
        match tokio::fs::read(self.0.join(name)).await {
            Ok(bytes) => Ok(Some(stream::once(future::ready(Ok(bytes.into()))).boxed())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Unavailable { store: STORE, source: Some(Arc::new(error)) }),
        }
    }

    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Err(read_only())
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>> {
        stream::once(future::ready(Err(read_only()))).boxed()
    }
}

const STORE: &str = "backup";

fn read_only() -> StoreError {
    StoreError::Refused { store: STORE, source: None }
}
