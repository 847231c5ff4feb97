//! The file of a client: one entry is put into it, and all else stays as it was written, comments included.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use serde_json::Value;

use crate::command::failure::{Failure, Kind};

/// The largest file that is read.
const LARGEST: u64 = 64 * 1024 * 1024;

/// How many lines around a change are shown.
const AROUND: usize = 2;

/// A change of one entry of one file.
pub(super) struct Change {
    /// Where it is, links followed.
    path: PathBuf,
    /// What it was; nothing, where there is no file.
    before: Option<String>,
    member: &'static str,
    name: String,
}

impl Change {
    /// Reads the file in which `name` is to be in the object `member`.
    pub(super) fn read(path: &Path, member: &'static str, name: &str) -> Result<Self, Failure> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = read(&path)?;
        Ok(Self { path, before, member, name: name.to_owned() })
    }

    /// The file with this entry in it.
    fn after(&self, entry: &Value) -> Result<String, Failure> {
        let bad = |why: String| {
            Failure::new(Kind::Failed, format!("{} cannot be changed: {why}", self.path.display()))
                .hint("mend it, or use --print and put it in by hand")
        };
        let text = self.before.as_deref().map_or("", |text| text.trim_start_matches('\u{feff}'));
        let options = ParseOptions {
            // What editors take, and no more.
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
            ..ParseOptions::default()
        };
        let root = CstRootNode::parse(text, &options).map_err(|error| bad(error.to_string()))?;
        let object = root.object_value_or_create().ok_or_else(|| bad("it is no JSON object".to_owned()))?;
        let no_object = || bad(format!("{:?} is no object", self.member));
        let servers = object.object_value_or_create(self.member).ok_or_else(no_object)?;
        match servers.get(&self.name) {
            Some(there) => there.set_value(input(entry)),
            None => drop(servers.append(&self.name, input(entry))),
        }
        let mut text = root.to_string();
        if !text.ends_with('\n') && self.before.as_deref().is_none_or(|before| before.ends_with('\n')) {
            text.push('\n');
        }
        Ok(text)
    }

    /// What would change, line by line; secrets are not shown.
    pub(super) fn shown(&self, entry: &Value) -> Result<String, Failure> {
        let after = self.after(entry)?;
        let (old, new): (Vec<_>, Vec<_>) =
            (self.before.as_deref().unwrap_or_default().lines().collect(), after.lines().collect());
        // One entry is one place.
        let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let most = old.len().min(new.len()) - same;
        let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(old, new)| old == new).count();
        let mut shown = format!("{}:{}\n", self.path.display(), same + 1);
        let mut say = |sign: char, lines: &[&str]| {
            lines.iter().for_each(|line| shown.push_str(&format!("{sign} {}\n", without_key(line))));
        };
        say(' ', &new[same.saturating_sub(AROUND)..same]);
        say('-', &old[same..old.len() - tail]);
        say('+', &new[same..new.len() - tail]);
        say(' ', &new[new.len() - tail..new.len() - tail.saturating_sub(AROUND)]);
        Ok(shown)
    }

    /// Writes it, for this user's eyes alone, unless somebody else wrote meanwhile; and tells where what it was is kept.
    pub(super) fn write(&self, entry: &Value) -> Result<Option<PathBuf>, Failure> {
        let after = self.after(entry)?;
        if read(&self.path)? != self.before {
            let changed = format!("{} was changed meanwhile, and is left as it is", self.path.display());
            return Err(Failure::new(Kind::Refused, changed));
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let now = TokioClock::new().now().as_micros();
        let beside = |end: &str| {
            let mut name = self.path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{now}.{end}"));
            self.path.with_file_name(name)
        };
        let backup = match &self.before {
            Some(before) => {
                put(&beside("bak"), before)?;
                Some(beside("bak"))
            }
            None => None,
        };
        let new = beside("new");
        let written = put(&new, &after).and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            // What is left of it is of no use.
            let _ = fs::remove_file(&new);
        }
        written
            .map(|()| backup)
            .map_err(|error| Failure::new(Kind::Failed, format!("{} cannot be written: {error}", self.path.display())))
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::new(Kind::Failed, format!("{} cannot be read: {error}", path.display()));
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > LARGEST {
        return Err(unreadable(std::io::Error::other("it is too large")));
    }
    Ok(Some(text))
}

/// Writes a file that is not there yet, to the disk, and for nobody else to read: there is a key in it.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A line without what comes behind `Bearer`, but for the words that stand for a key that is not made yet.
fn without_key(line: &str) -> String {
    match line.split_once("Bearer ") {
        Some((before, rest)) if !rest.starts_with('(') => {
            let rest = rest.split_once('"').map_or("", |(_, rest)| rest);
            format!("{before}Bearer …\"{rest}")
        }
        _ => line.to_owned(),
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(members) => {
            CstInputValue::Object(members.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(before: Option<&str>) -> Change {
        let before = before.map(str::to_owned);
        Change { path: PathBuf::from("/f.json"), before, member: "mcpServers", name: "own".to_owned() }
    }

    #[test]
    fn all_else_stays_as_it_was_written() {
        let before = "{\n  // mine\n  \"z\": 1.0, \"a\": \"\\u0041\",\n  \"mcpServers\": {\n    \"z\": {\"url\": \"x\"}\n  },\n  \"b\": [1,2]\n}\n";
        let after = change(Some(before)).after(&json!({"url": "http://h", "list": ["a"]})).unwrap();
        let entry = "{\"url\": \"x\"},\n    \"own\": {\n      \"list\": [\"a\"],\n      \"url\": \"http://h\"\n    }\n";
        assert_eq!(after, before.replace("{\"url\": \"x\"}\n", entry));
        let fresh = change(None).after(&json!({"url": "x"})).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&fresh).unwrap(),
            json!({"mcpServers": {"own": {"url": "x"}}}),
            "{fresh}"
        );
    }

    #[test]
    fn what_is_replaced_is_shown_without_its_key() {
        let before =
            "{\n  \"mcpServers\": {\n    \"own\": {\n      \"x\": \"Bearer mcp_old\"\n    },\n    \"z\": 1\n  }\n}\n";
        let shown = change(Some(before)).shown(&json!({"x": "Bearer (a new key)"})).unwrap();
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines.contains(&"-       \"x\": \"Bearer …\"") && lines.contains(&"+       \"x\": \"Bearer (a new key)\""),
            "{shown}"
        );
        assert!(!shown.contains("mcp_old"), "{shown}");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_nothing_is_guessed() {
        for (before, expected) in [
            ("{\"a\": 1 \"b\": 2}", "line 1"),
            ("{\n'a': 1}", "line 2"),
            ("[1]", "no JSON object"),
            ("{\"mcpServers\": []}", "\"mcpServers\" is no object"),
        ] {
            let failure = change(Some(before)).after(&json!({})).unwrap_err();
            assert!(failure.message().contains(expected), "{before}: {failure}");
        }
    }
}
