//! What a run of an agent is to do.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::budget::Budget;
use super::thread::InThread;
use crate::caller::Caller;
use crate::run::{RunError, order};
use crate::store::api_keys::KeyId;
use crate::store::runs::RunRecord;

/// What a run is to do, as it keeps it: its arguments. Its format has a version, since a replica of the version before may claim it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    version: u8,
    pub(super) agent: String,
    pub(super) input: Box<RawValue>,
    /// What the caller was and might do when the run was begun.
    roles: Vec<String>,
    scopes: Vec<String>,
    /// By which key they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_key: Option<KeyId>,
    pub(super) budget: Budget,
    /// The thread in which it is, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thread: Option<InThread>,
}

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

impl Order {
    pub(crate) fn new(caller: &Caller, agent: &str, input: Box<RawValue>, budget: Budget) -> Self {
        Self {
            version: VERSION,
            agent: agent.to_owned(),
            input,
            roles: caller.roles().map(str::to_owned).collect(),
            scopes: caller.scopes().map(str::to_owned).collect(),
            by_key: caller.key(),
            budget,
            thread: None,
        }
    }

    pub(super) fn in_thread(self, thread: Option<InThread>) -> Self {
        Self { thread, ..self }
    }

    /// Reads what a run is to do.
    pub(super) fn of(run: &RunRecord) -> Result<Self, RunError> {
        order::read(run, VERSION)
    }

    /// Whoever has begun the run, as they were then.
    pub(super) fn caller(&self, run: &RunRecord) -> Caller {
        let caller = Caller::new(run.tenant.clone(), run.principal.clone()).by_key(self.by_key);
        caller.with_rights(&self.roles, &self.scopes)
    }
}
