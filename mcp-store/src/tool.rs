//! Tools that work on stores.

mod files;
mod history;
mod notes;

use std::sync::Arc;

use mcp_core::store::StoreError;
use mcp_core::{Stores, Tool, ToolError};

/// `notes.write`, `notes.read`, `notes.search` and `history.search`, on these stores; and, where they keep files, `files.write`,
/// `files.read`, `files.list` and `files.search`.
pub fn tools(stores: &Stores) -> Vec<Arc<dyn Tool>> {
    let notes = &stores.notes;
    let mut tools: Vec<Arc<dyn Tool>> = vec![
        Arc::new(notes::write(notes.clone())),
        Arc::new(notes::read(notes.clone())),
        Arc::new(notes::search(notes.clone())),
        Arc::new(history::search(stores.history.clone())),
    ];
    if let Some(files) = &stores.files {
        tools.push(Arc::new(files::write(files.clone())));
        tools.push(Arc::new(files::read(files.clone())));
        tools.push(Arc::new(files::list(files.clone())));
        tools.push(Arc::new(files::search(files.clone())));
    }
    tools
}

/// What is said of a search that looks at names alone.
const ENCRYPTED: &str = "texts are encrypted here, and were not searched: only names were";

/// The first `most` characters of a text, and whether that is not all of it.
fn shortened(mut text: String, most: usize) -> (String, bool) {
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    text.truncate(end.unwrap_or(text.len()));
    (text, end.is_some())
}

/// What the client is told when a store fails: that it may try again, or nothing of the cause.
fn unavailable(error: StoreError) -> ToolError {
    match error {
        StoreError::Unavailable { .. } => ToolError::Unavailable(Box::new(error)),
        error => error.into(),
    }
}
