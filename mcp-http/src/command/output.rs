//! Where results go, and in which form.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::failure::{Failure, Kind};

/// Results, on stdout or in a file; all else goes to stderr.
pub(super) struct Output {
    json: bool,
    out: Box<dyn Write>,
}

impl Output {
    pub(super) fn open(json: bool, file: Option<&Path>) -> Result<Self, Failure> {
        let out: Box<dyn Write> = match file {
            None => Box::new(io::stdout()),
            Some(path) => Box::new(File::create(path).map_err(|error| {
                Failure::new(Kind::Failed, format!("{} cannot be written: {error}", path.display()))
            })?),
        };
        Ok(Self { json, out })
    }

    /// Whether results are JSON, for a program and not for people.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes a result: as JSON on one line, or as people read it.
    pub(super) fn write(&mut self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut text = if self.json { value.to_string() } else { text() };
        if !text.ends_with('\n') && !text.is_empty() {
            text.push('\n');
        }
        self.lines(text.as_bytes()).map(drop)
    }

    /// The same, but as people read it no line ends with it unless it says so.
    pub(super) fn piece(&mut self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.json {
            true => self.write(value, String::new),
            false => self.lines(text().as_bytes()).map(drop),
        }
    }

    /// Writes whole lines as they are, and tells whether anybody still reads.
    pub(super) fn lines(&mut self, lines: &[u8]) -> Result<bool, Failure> {
        match self.out.write_all(lines).and_then(|()| self.out.flush()) {
            // Whoever reads has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => Ok(written.map(|()| true)?),
        }
    }
}

/// A text without its line breaks and other control characters, by which it could do something to a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The beginning of one.
pub(super) fn on_one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => plain(&text[..end]) + "…",
        None => plain(text),
    }
}

/// Rows in columns as wide as they need to be; the last is not padded.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            let last = row[n + 1..].iter().all(String::is_empty);
            let pad = if last { 0 } else { widths[n] };
            text.push_str(&format!("{cell:pad$}"));
            if last {
                break;
            }
            text.push_str("  ");
        }
        text.push('\n');
    }
    text
}
