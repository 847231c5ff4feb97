//! What a task is to do.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::caller::Caller;
use crate::capability::ClientCapabilities;
use crate::context::key::Key;
use crate::run::{RunError, order};
use crate::store::api_keys::KeyId;
use crate::store::runs::RunRecord;
use crate::tool::arguments::Arguments;

/// The call that is to be made, as the run keeps it: its arguments. Its format has a version, since a replica of the version before
/// may claim it.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    version: u8,
    pub(super) tool: String,
    pub(super) arguments: Box<RawValue>,
    /// What the caller was and might do when the task was begun.
    roles: Vec<String>,
    scopes: Vec<String>,
    /// By which key they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_key: Option<KeyId>,
    /// What the client can do for a tool that asks it.
    pub(super) client: ClientCapabilities,
    /// The key under which the call was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// What is known from the rounds that its client waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<Box<RawValue>>,
}

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

impl Order {
    pub(super) fn new(
        caller: &Caller,
        client: ClientCapabilities,
        tool: &str,
        arguments: &Arguments,
        key: Option<&str>,
        state: Option<&str>,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            version: VERSION,
            tool: tool.to_owned(),
            arguments: serde_json::from_slice(arguments.as_bytes())?,
            roles: caller.roles().map(str::to_owned).collect(),
            scopes: caller.scopes().map(str::to_owned).collect(),
            by_key: caller.key(),
            client,
            key: key.map(str::to_owned),
            state: state.map(|state| RawValue::from_string(state.to_owned())).transpose()?,
        })
    }

    /// Reads what a run is to do.
    pub(super) fn of(run: &RunRecord) -> Result<Self, RunError> {
        order::read(run, VERSION)
    }

    /// Whoever has begun the task.
    pub(super) fn caller(&self, run: &RunRecord) -> Caller {
        let caller = Caller::new(run.tenant.clone(), run.principal.clone()).by_key(self.by_key);
        caller.with_rights(&self.roles, &self.scopes)
    }

    /// What names the effect of the call, the same whoever goes on with it.
    pub(super) fn key(&self, caller: &Caller, run: &RunRecord) -> Key {
        // No client gives a key with a space in it.
        let text = self.key.clone().unwrap_or_else(|| format!("task {}", run.id));
        Key::in_run(caller, &self.tool, text)
    }
}
