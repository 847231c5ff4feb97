//! Files that a caller keeps under names.

mod span;

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;

use super::StoreError;
use super::blobs::ByteStream;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

pub use span::Span;

/// Keeps each caller's files.
///
/// # Promises
/// - **a written file is read back**: to the last byte, with its type, from the moment at which it was written.
/// - **writing again replaces**: a name has one file, and only that is read, listed and found; whoever had begun to read the one
///   before it reads that to its end.
/// - **what is cut off changes nothing**: whether its stream ends by an error or nobody waits for it any more.
/// - **a span is part of the file**: exactly the bytes that were asked for, of which there must be one; or it is refused.
/// - **callers are apart**: neither another principal's nor another tenant's files are read, listed, found, replaced or removed, and
///   they take none of the caller's room.
/// - **equal bytes have an equal hash**: those of one tenant; other bytes, and those of another tenant, have another one.
/// - **a removed file is gone**: its owner's others stay, also those with the same bytes.
/// - **a file is no larger than may be**: than [`Caps::file`].
/// - **an owner has a limited room**: [`Caps::owner`], of which each file takes its size and [`OVERHEAD`]; what is replaced or removed
///   makes room.
/// - **a name is short**: one of no bytes or of more than [`LONGEST_NAME`] is refused, and so is a type of more than [`LONGEST_TYPE`].
/// - **a list is in the order of names**: by their bytes; all that begin with the prefix and come after the given one, at most
///   `limit`.
/// - **search finds whole words in any case**: a file is found if its name, or the first [`SEARCHED`] bytes of a text, hold every word of
///   the query (words as [`words`](super::words::words) cuts them); a query without words finds nothing.
/// - **search shows the newest first**: by the time of writing, and in the order of writing where that is the same; at most
///   `limit`.
#[async_trait]
pub trait Files: Send + Sync + 'static {
    /// Whether searches look at the texts in files as well. Where it is false, they find by names alone: what is kept is encrypted.
    fn are_texts_searched(&self) -> bool {
        true
    }

    /// How much is kept.
    fn caps(&self) -> Caps;

    /// Keeps what comes under `name`, in the place of what was there.
    ///
    /// Not cancel safe: a dropped future has written all or nothing.
    ///
    /// # Errors
    /// [`FileError::TooLarge`], [`FileError::Full`], and [`FileError::TooSlow`] after [`LONGEST_WRITE`]. [`FileError::Store`]: the error of
    /// the stream; [`StoreError::Refused`] where the name or the type is too long; [`StoreError::Unavailable`]: it may have been
    /// written.
    async fn write(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        content_type: &str,
        bytes: ByteStream,
    ) -> Result<File, FileError>;

    /// The file of that name and its bytes, or those of a part of it.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`FileError::OutOfRange`]; [`FileError::Store`], here and in the stream.
    async fn read(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        name: &str,
        span: Option<Span>,
    ) -> Result<Option<OpenFile>, FileError>;

    /// The file of that name, without its bytes.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn find(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<File>, StoreError>;

    /// Removes a file, and tells whether there was one.
    ///
    /// Not cancel safe: a dropped future may or may not have removed it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been removed.
    async fn remove(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<bool, StoreError>;

    /// The files whose names begin with `prefix` and come after `after`, at most `limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<File>, StoreError>;

    /// The files that hold every word of `query`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<File>, StoreError>;
}

/// How many bytes a name has at the most.
pub const LONGEST_NAME: usize = 1024;

/// How many bytes a type has at the most.
pub const LONGEST_TYPE: usize = 255;

/// How much room a file takes beside its bytes.
pub const OVERHEAD: u64 = 1024;

/// How many bytes of a text are searched.
pub const SEARCHED: usize = 64 * 1024;

/// How long it may take to write a file.
pub const LONGEST_WRITE: std::time::Duration = std::time::Duration::from_secs(30 * 60);

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// How many bytes a file has at the most.
    pub file: u64,
    /// How much room an owner's files take at the most.
    pub owner: u64,
}

impl Default for Caps {
    /// 64 MiB a file, 1 GiB an owner.
    fn default() -> Self {
        Self { file: 64 << 20, owner: 1 << 30 }
    }
}

/// A file, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, unique among its owner's files.
    pub name: String,
    /// What its writer said that it is, such as `text/plain`.
    pub content_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// A digest of its bytes under a key that belongs to the tenant.
    pub hash: Hash,
    /// When it was written.
    pub written: Timestamp,
}

/// A file that is read.
pub struct OpenFile {
    /// The file.
    pub file: File,
    /// Which of its bytes these are.
    pub range: Range<u64>,
    /// The bytes.
    pub bytes: ByteStream,
}

/// A digest of bytes under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// A digest of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    /// As 64 lower-case digits and letters up to `f`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whether the words of what is of this type are searched: texts, and what is written as text.
pub fn is_text(content_type: &str) -> bool {
    const WRITTEN_AS_TEXT: [&str; 6] = ["json", "xml", "yaml", "toml", "javascript", "sql"];
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        Some(("text", _)) => true,
        Some(("application", kind)) => {
            WRITTEN_AS_TEXT.contains(&kind.rsplit('+').next().unwrap_or(kind).trim_start_matches("x-"))
        }
        _ => false,
    }
}

/// The text of a file that is searched: of a text, [`SEARCHED`] bytes up to the end of a word, or up to what is no UTF-8. `beginning`
/// are its first bytes: all of them, or more than those.
pub fn searched<'b>(content_type: &str, beginning: &'b [u8]) -> &'b str {
    if !is_text(content_type) {
        return "";
    }
    let (bytes, is_cut) = match beginning.split_at_checked(SEARCHED) {
        Some((bytes, rest)) => (bytes, !rest.is_empty()),
        None => (beginning, false),
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    if is_cut { text.trim_end_matches(char::is_alphanumeric) } else { text }
}

/// Refuses a name or a type that is too long, in the name of a store.
///
/// # Errors
/// [`StoreError::Refused`].
pub fn check_names(store: &'static str, name: &str, content_type: &str) -> Result<(), StoreError> {
    let sound = (1..=LONGEST_NAME).contains(&name.len()) && content_type.len() <= LONGEST_TYPE;
    if sound { Ok(()) } else { Err(StoreError::Refused { store, source: None }) }
}

/// Why a file is not written or read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It has more bytes than a file may have.
    #[error("a file has at most {limit} bytes")]
    TooLarge {
        /// How many bytes a file has at the most.
        limit: u64,
    },
    /// Its owner has no room for it.
    #[error("your files take at most {limit} bytes together: remove some")]
    Full {
        /// How much room an owner's files take at the most.
        limit: u64,
    },
    /// Its bytes did not come in time.
    #[error("a file is written within {} minutes", LONGEST_WRITE.as_secs() / 60)]
    TooSlow,
    /// None of the bytes that were asked for are there.
    #[error("the file has {size} bytes")]
    OutOfRange {
        /// How many bytes the file has.
        size: u64,
    },
    /// The store did not do it, or the stream of bytes ended by an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_known_by_their_type() {
        for text in [
            "text/plain",
            "Text/Markdown; charset=utf-8",
            "application/json",
            "application/ld+json",
            "application/x-yaml",
        ] {
            assert!(is_text(text), "{text}");
        }
        for other in ["", "text", "image/svg", "application/octet-stream", "application/pdf", "application/jsonish"] {
            assert!(!is_text(other), "{other}");
        }
    }

    #[test]
    fn of_a_text_whole_words_at_its_beginning_are_searched() {
        assert_eq!(searched("text/plain", b"all of it"), "all of it");
        assert_eq!(searched("image/png", b"all of it"), "");
        assert_eq!(searched("text/plain", b"a word \xff more"), "a word ");
        let long = [&vec![b' '; SEARCHED - 5][..], b"a half"].concat();
        assert_eq!(searched("text/plain", &long).trim(), "a");
        assert_eq!(searched("text/plain", &long[..SEARCHED]).trim(), "a hal", "that is all of it");
    }
}
