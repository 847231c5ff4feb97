//! `files.write`, `files.read`, `files.list` and `files.search`: what each caller keeps, also over REST.
//!
//! What they answer is not cached: files are written by other ways as well.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::files::{File, FileError, Files, LONGEST_NAME, OpenFile, Span, check_names};
use mcp_core::{Context, Tool, ToolError, tool_with};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ENCRYPTED, unavailable};

/// The tool `files.write`.
pub(super) fn write(files: Arc<dyn Files>) -> impl Tool {
    let description = "Keeps a file under a name, in place of what was kept there: a text, or any bytes in base64. Only you can \
                       read it. Names may have slashes.";
    tool_with("files.write", description, files, write_file)
        .title("Write a file")
        .repeatable()
        .destructive(true)
        .open_world(false)
}

/// The tool `files.read`.
pub(super) fn read(files: Arc<dyn Files>) -> impl Tool {
    let description = "A file that you keep, or a part of it: as text where it is UTF-8, otherwise in base64. Where there is more, \
                       `next` is the offset of it.";
    tool_with("files.read", description, files, read_file).title("Read a file").read_only().open_world(false)
}

/// The tool `files.list`.
pub(super) fn list(files: Arc<dyn Files>) -> impl Tool {
    let description = "The files that you keep, in the order of their names. Where there are more, `next` is the name after which \
                       to go on.";
    tool_with("files.list", description, files, list_files).title("List files").read_only().open_world(false)
}

/// The tool `files.search`.
pub(super) fn search(files: Arc<dyn Files>) -> impl Tool {
    let description = "Finds your files whose name, or text at its beginning (64 KiB), holds all words of a query, newest first. Words \
                       are whole words, in any case.";
    tool_with("files.search", description, files, search_files).title("Search files").read_only().open_world(false)
}

/// How many bytes may be written or read at once: more go over REST.
const MOST: usize = 64 * 1024;

/// What to write.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Write {
    /// The name of the file; a file of that name is replaced.
    #[schemars(length(min = 1, max = 1024))]
    name: String,
    /// What to keep, as text: at most 64 KiB of UTF-8. This or `base64`.
    #[schemars(length(max = 65_536))]
    text: Option<String>,
    /// What to keep, in base64: at most 64 KiB. This or `text`.
    #[schemars(length(max = 87_384))]
    base64: Option<String>,
    /// What it is, such as `text/markdown` or `image/png`; otherwise it is plain text, or unknown.
    #[schemars(length(max = 255))]
    content_type: Option<String>,
}

async fn write_file(files: Arc<dyn Files>, input: Write, cx: Context) -> Result<Shown, ToolError> {
    let Write { name, text, base64, content_type } = input;
    let (bytes, usual) = match (text, base64) {
        (Some(text), None) => (text.into_bytes(), "text/plain; charset=utf-8"),
        (None, Some(base64)) => {
            let bytes = STANDARD.decode(base64.trim());
            let bytes = bytes.map_err(|error| ToolError::failed(format!("`base64` cannot be read: {error}")))?;
            (bytes, "application/octet-stream")
        }
        _ => return Err(ToolError::failed("a file is either `text` or `base64`: give one of them")),
    };
    if bytes.len() > MOST {
        let size = bytes.len();
        return Err(ToolError::failed(format!(
            "these are {size} bytes, and files.write takes {MOST}: write it in parts under several names"
        )));
    }
    let content_type = content_type.unwrap_or_else(|| usual.to_owned());
    check_names("", &name, &content_type)
        .map_err(|_| ToolError::failed(format!("a name has 1 to {LONGEST_NAME} bytes, and this one {}", name.len())))?;
    let bytes = stream::once(future::ready(Ok::<_, StoreError>(Bytes::from(bytes)))).boxed();
    let caller = cx.caller();
    let written = files.write(caller.tenant(), caller.principal(), &name, &content_type, bytes).await;
    written.map(Shown::from).map_err(told)
}

/// Which file to read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Read {
    /// The name of the file, as it was written.
    #[schemars(length(min = 1, max = 1024))]
    name: String,
    /// Where to begin, in bytes: the `next` of the part before.
    #[serde(default)]
    offset: u64,
    /// How many bytes at the most.
    #[serde(default = "Read::usual_length")]
    #[schemars(range(min = 4, max = 65_536))]
    length: u32,
}

impl Read {
    fn usual_length() -> u32 {
        32 * 1024
    }
}

/// A file, or a part of it.
#[derive(Serialize, JsonSchema)]
struct Part {
    #[serde(flatten)]
    file: Shown,
    /// What it says, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its bytes in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The offset of what comes next; absent at the end of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

async fn read_file(files: Arc<dyn Files>, Read { name, offset, length }: Read, cx: Context) -> Result<Part, ToolError> {
    let caller = cx.caller();
    let last = offset.saturating_add(u64::from(length.max(1))) - 1;
    let span = Some(Span::Between(offset, last));
    let opened = match files.read(caller.tenant(), caller.principal(), &name, span).await {
        // An empty file has no part.
        Err(FileError::OutOfRange { size: 0 }) if offset == 0 => {
            files.read(caller.tenant(), caller.principal(), &name, None).await
        }
        opened => opened,
    };
    let Some(OpenFile { file, range, bytes }) = opened.map_err(told)? else {
        return Err(ToolError::failed(format!(
            "you keep no file under the name {name:?}; files.list shows those that you keep"
        )));
    };
    let bytes = bytes.try_collect::<Vec<_>>().await.map_err(unavailable)?.concat();
    let size = file.size;
    let (text, base64, taken) = shown(bytes, range.end == size);
    let end = range.start + taken;
    Ok(Part { file: file.into(), text, base64, next: (end < size).then_some(end) })
}

/// Bytes as text or in base64, and how many they are: a text that goes on ends with a whole character.
fn shown(mut bytes: Vec<u8>, is_end: bool) -> (Option<String>, Option<String>, u64) {
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
        && error.valid_up_to() > 0
        && !is_end
    {
        bytes.truncate(error.valid_up_to());
    }
    let taken = bytes.len() as u64;
    match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None, taken),
        Err(error) => (None, Some(STANDARD.encode(error.as_bytes())), taken),
    }
}

/// Which files to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Only those whose names begin so.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    prefix: String,
    /// Only those whose names come after this one: the `next` of the page before.
    #[schemars(length(max = 1024))]
    after: Option<String>,
    /// How many at the most.
    #[serde(default = "usual_limit")]
    #[schemars(range(min = 1, max = 200))]
    limit: u16,
}

fn usual_limit() -> u16 {
    50
}

/// Files, without their bytes.
#[derive(Serialize, JsonSchema)]
struct Page {
    /// The files.
    files: Vec<Shown>,
    /// The name after which there are more; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list_files(
    files: Arc<dyn Files>,
    List { prefix, after, limit }: List,
    cx: Context,
) -> Result<Page, ToolError> {
    let caller = cx.caller();
    // One more than is shown tells whether there are more.
    let found = files.list(caller.tenant(), caller.principal(), &prefix, after.as_deref(), limit.saturating_add(1));
    let mut found = found.await.map_err(unavailable)?;
    let more = found.len() > usize::from(limit);
    found.truncate(limit.into());
    let next = found.last().filter(|_| more).map(|file| file.name.clone());
    Ok(Page { files: found.into_iter().map(Shown::from).collect(), next })
}

/// Which files to find.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// The words to look for; a file must hold all of them.
    #[schemars(length(min = 1, max = 1_000))]
    query: String,
    /// How many files at the most.
    #[serde(default = "usual_limit")]
    #[schemars(range(min = 1, max = 200))]
    limit: u16,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
struct Found {
    /// What was not searched, if anything was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_searched: Option<&'static str>,
    /// The files, newest first.
    files: Vec<Shown>,
}

async fn search_files(files: Arc<dyn Files>, Search { query, limit }: Search, cx: Context) -> Result<Found, ToolError> {
    let caller = cx.caller();
    let found = files.search(caller.tenant(), caller.principal(), &query, limit).await.map_err(unavailable)?;
    let not_searched = (!files.are_texts_searched()).then_some(ENCRYPTED);
    Ok(Found { not_searched, files: found.into_iter().map(Shown::from).collect() })
}

/// A file, without its bytes.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// The name of the file.
    name: String,
    /// What its writer said that it is.
    content_type: String,
    /// How many bytes it has.
    size: u64,
    /// When it was written.
    #[schemars(with = "String")]
    written: Timestamp,
}

impl From<File> for Shown {
    fn from(File { name, content_type, size, written, .. }: File) -> Self {
        Self { name, content_type, size, written }
    }
}

/// What the caller can mend is told; what they cannot is not.
fn told(error: FileError) -> ToolError {
    match error {
        FileError::Store(error) => unavailable(error),
        error => ToolError::failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_what_is_none_is_shown_in_base64() {
        let text = |text: &str, taken| (Some(text.to_owned()), None, taken);
        let base64 = |base64: &str, taken| (None, Some(base64.to_owned()), taken);
        assert_eq!(shown("aä".into(), true), text("aä", 3));
        assert_eq!(shown("aä".as_bytes()[..2].to_vec(), false), text("a", 1));
        assert_eq!(shown("aä".as_bytes()[..2].to_vec(), true), base64("YcM=", 2));
        assert_eq!(shown(vec![0xff, b'a'], false), base64("/2E=", 2));
        assert_eq!(shown(vec![], true), text("", 0));
    }
}
