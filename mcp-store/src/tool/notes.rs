//! `notes.write`, `notes.read` and `notes.search`: small texts that each caller keeps under names.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::Timestamp;
use mcp_core::store::notes::{Note, Notes};
use mcp_core::{Context, Tool, ToolError, tool_with};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ENCRYPTED, shortened, unavailable};

/// Under this tag what was read is cached.
const TAG: &str = "notes";
const LIFETIME: Duration = Duration::from_secs(300);

/// The tool `notes.write`.
pub(super) fn write(notes: Arc<dyn Notes>) -> impl Tool {
    let description = "Keeps a text under a name, in place of what was kept there. Only you can read it.";
    tool_with("notes.write", description, notes, write_note)
        .title("Write a note")
        .repeatable()
        .destructive(true)
        .open_world(false)
        .invalidates(TAG)
}

/// The tool `notes.read`.
pub(super) fn read(notes: Arc<dyn Notes>) -> impl Tool {
    tool_with("notes.read", "The note that you keep under a name.", notes, read_note)
        .title("Read a note")
        .read_only()
        .open_world(false)
        .cached(LIFETIME, TAG)
}

/// The tool `notes.search`.
pub(super) fn search(notes: Arc<dyn Notes>) -> impl Tool {
    let description = "Finds your notes whose name or text holds all words of a query, newest first. Words are whole words, \
                       in any case; long texts are cut, and notes.read gives them whole.";
    tool_with("notes.search", description, notes, search_notes)
        .title("Search notes")
        .read_only()
        .open_world(false)
        .cached(LIFETIME, TAG)
}

/// How many bytes a text may have.
const MAX_TEXT: usize = 64 * 1024;

/// What to write.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Write {
    /// The name of the note; a note of that name is replaced.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// What to keep: at most 64 KiB of UTF-8.
    #[schemars(length(max = 65_536))]
    text: String,
}

/// What was written.
#[derive(Serialize, JsonSchema)]
struct Written {
    /// The name of the note.
    name: String,
    /// When it was written.
    #[schemars(with = "String")]
    written: Timestamp,
}

async fn write_note(notes: Arc<dyn Notes>, Write { name, text }: Write, cx: Context) -> Result<Written, ToolError> {
    if text.len() > MAX_TEXT {
        let size = text.len();
        return Err(ToolError::failed(format!(
            "the text has {size} bytes, and a note takes {MAX_TEXT}: shorten it, or write it in parts under several names"
        )));
    }
    let caller = cx.caller();
    let note = notes.write(caller.tenant(), caller.principal(), &name, &text).await.map_err(unavailable)?;
    Ok(Written { name: note.name, written: note.written })
}

/// Which note to read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Read {
    /// The name of the note, as it was written.
    #[schemars(length(min = 1, max = 200))]
    name: String,
}

/// A note.
#[derive(Serialize, JsonSchema)]
struct Whole {
    /// The name of the note.
    name: String,
    /// What it says.
    text: String,
    /// When it was last written.
    #[schemars(with = "String")]
    written: Timestamp,
}

async fn read_note(notes: Arc<dyn Notes>, Read { name }: Read, cx: Context) -> Result<Whole, ToolError> {
    let caller = cx.caller();
    match notes.read(caller.tenant(), caller.principal(), &name).await.map_err(unavailable)? {
        Some(Note { name, text, written }) => Ok(Whole { name, text, written }),
        None => Err(ToolError::failed(format!(
            "you keep no note under the name {name:?}; notes.search finds notes by the words in them"
        ))),
    }
}

/// Which notes to find.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// The words to look for; a note must hold all of them.
    #[schemars(length(min = 1, max = 1_000))]
    query: String,
    /// How many notes at the most.
    #[serde(default = "Search::usual_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: u16,
}

impl Search {
    fn usual_limit() -> u16 {
        20
    }
}

/// What was found.
#[derive(Serialize, JsonSchema)]
struct Found {
    /// What was not searched, if anything was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_searched: Option<&'static str>,
    /// The notes, newest first.
    notes: Vec<Excerpt>,
}

/// A note, its text cut where it is long.
#[derive(Serialize, JsonSchema)]
struct Excerpt {
    /// The name of the note.
    name: String,
    /// The beginning of its text.
    text: String,
    /// Whether there is more of the text, which notes.read gives.
    truncated: bool,
    /// When it was last written.
    #[schemars(with = "String")]
    written: Timestamp,
}

/// How many characters of a text an excerpt has: all excerpts together stay far below what an output may have.
const EXCERPT: usize = 500;

async fn search_notes(notes: Arc<dyn Notes>, Search { query, limit }: Search, cx: Context) -> Result<Found, ToolError> {
    let caller = cx.caller();
    let found = notes.search(caller.tenant(), caller.principal(), &query, limit).await.map_err(unavailable)?;
    let excerpt = |Note { name, text, written }: Note| {
        let (text, truncated) = shortened(text, EXCERPT);
        Excerpt { name, text, truncated, written }
    };
    let not_searched = (!notes.are_texts_searched()).then_some(ENCRYPTED);
    Ok(Found { not_searched, notes: found.into_iter().map(excerpt).collect() })
}
