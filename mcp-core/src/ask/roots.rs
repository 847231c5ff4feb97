//! Where a client works.

use serde::Deserialize;

/// A folder or another place that a client works in (schema, `Root`). It says what the client means, and grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Root {
    uri: String,
    #[serde(default)]
    name: Option<String>,
}

impl Root {
    /// Where it is: a `file:` URL.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// What it is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
