//! Whether the place of blobs is there.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::store::blobs::Blobs;
use mcp_core::store::check::{Check, CheckError};

/// [`Check`] of blobs, without which files and large records alone fail: it asks for one that is never there.
pub(crate) struct BlobCheck(pub(crate) Arc<dyn Blobs>);

/// A name that no blob has.
const NONE: &str = "00000000000000000000000000000000";

#[async_trait]
impl Check for BlobCheck {
    fn name(&self) -> &'static str {
        "blobs"
    }

    fn is_needed(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), CheckError> {
        self.0.get(NONE, None).await?;
        Ok(())
    }
}
