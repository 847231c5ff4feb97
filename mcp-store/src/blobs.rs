//! Where bytes are kept that are too many for a row.

#[cfg(feature = "s3")]
mod bucket;
mod check;
mod folder;
mod location;

pub(crate) use check::BlobCheck;
pub(crate) use folder::FolderBlobs;
pub(crate) use location::{Location, Opened};

const STORE: &str = "store of blobs";

/// Whether it may be the name of a blob: what else somebody keeps beside them is nothing to us.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
