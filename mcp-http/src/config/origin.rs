//! Where a value came from, and which of several is in force.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ConfigError;
use super::setting::{AGENTS, ALERTS, MODELS, POLICY, SETTINGS, find};
use mcp_core::nearest::nearest;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// This file.
    File(PathBuf),
    /// The environment.
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Environment => f.write_str("from the environment"),
        }
    }
}

/// The texts in force. They may hold secrets, so they are not shown.
#[derive(Clone)]
pub(super) struct Layers {
    texts: HashMap<&'static str, (String, Origin)>,
    /// Which file was read.
    pub(super) file: Option<PathBuf>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.texts.keys()).finish()
    }
}

impl Layers {
    /// Puts the layers on one another: the last that speaks is right.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut texts = HashMap::new();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                texts.insert(setting.key, (default.to_owned(), Origin::Default));
            }
        }
        if let Some(file) = file {
            for (key, text) in read_file(file)? {
                texts.insert(key, (text, Origin::File(file.to_owned())));
            }
        }
        for (name, text) in environment {
            // An empty variable is how compose files leave one out.
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == name && !text.is_empty()) {
                texts.insert(setting.key, (text, Origin::Environment));
            }
        }
        Ok(Self { texts, file: file.map(Path::to_owned) })
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(|(text, _)| text.as_str())
    }

    pub(super) fn origin(&self, key: &str) -> Origin {
        self.texts.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Puts the text of another in the place of the own.
    pub(super) fn take(&mut self, newer: &Self, key: &'static str) {
        match newer.texts.get(key) {
            Some(text) => drop(self.texts.insert(key, text.clone())),
            None => drop(self.texts.remove(key)),
        }
    }

    /// The value of a setting; `parse` says what is wrong with the text, and the mend.
    pub(super) fn get<T>(
        &self,
        key: &str,
        parse: impl FnOnce(Option<&str>) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let error = |problem| ConfigError { key: key.to_owned(), origin: self.origin(key), problem };
        parse(self.text(key).map(str::trim)).map_err(error)
    }
}

fn read_file(path: &Path) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let bad = |key: &str, problem: String| ConfigError {
        key: key.to_owned(),
        origin: Origin::File(path.to_owned()),
        problem,
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad("--config", format!("it cannot be read: {error}")))?;
    let members: serde_json::Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| bad("--config", format!("it must be one JSON object, such as {{\"PORT\": 8000}}: {error}")))?;
    members
        .into_iter()
        .map(|(name, value)| {
            let setting = find(&name).ok_or_else(|| {
                let names = SETTINGS.iter().map(|setting| setting.key);
                let mend = match nearest(&name.to_ascii_uppercase(), names) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "`mcp-http config` lists all there are".to_owned(),
                };
                bad(&name, format!("there is no such setting; {mend}"))
            })?;
            let text = match value {
                Value::Object(_) if [POLICY, MODELS, AGENTS, ALERTS].contains(&setting.key) => Some(value.to_string()),
                value => scalar(&value),
            };
            let text = text.ok_or_else(|| {
                bad(setting.key, "expected a text, a number, true or false, or a list of texts".to_owned())
            })?;
            Ok((setting.key, text))
        })
        .collect()
}

/// The text that the environment would have.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(list) => list.iter().map(scalar).collect::<Option<Vec<_>>>().map(|texts| texts.join(",")),
        Value::Object(_) => None,
    }
}
