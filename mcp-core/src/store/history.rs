//! What happened, to be read.

use async_trait::async_trait;

use super::StoreError;
use super::ledger::{CallId, CallRecord, Outcome};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

/// Reads what the [`Ledger`](super::ledger::Ledger) wrote.
///
/// # Promises
/// - **newest first**: calls come in falling order of their ids.
/// - **pages neither repeat nor skip**: asking on with `before` set to the last id shows each call that was there from the
///   beginning once, whatever is written meanwhile.
/// - **pages are full**: fewer calls than `limit` are shown only where there are no more.
/// - **every filter holds**: a call that is shown satisfies all that are set; one that does is not left out.
/// - **a call is found by its id**: by the tenant to whom it belongs.
/// - **tenants are apart**: no query shows a call of another tenant.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// The calls that satisfy `query`, at most `query.limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when it holds what this version
    /// cannot read.
    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError>;

    /// One call by its id.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`History::calls`].
    async fn call(&self, tenant: &Tenant, id: CallId) -> Result<Option<CallRecord>, StoreError>;
}

/// Which calls to show; what is `None` is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallQuery {
    /// Only this caller's.
    pub principal: Option<Principal>,
    /// Only this tool's.
    pub tool: Option<String>,
    /// Only those that ended so.
    pub outcome: Option<Outcome>,
    /// Only those that began then or later.
    pub from: Option<Timestamp>,
    /// Only those that began before then.
    pub to: Option<Timestamp>,
    /// Only those with a smaller id: where the page before ended.
    pub before: Option<CallId>,
    /// How many at the most.
    pub limit: u16,
}

impl Default for CallQuery {
    fn default() -> Self {
        Self { principal: None, tool: None, outcome: None, from: None, to: None, before: None, limit: 100 }
    }
}

impl CallQuery {
    /// Whether `call` of the right tenant is one of those asked for.
    pub fn matches(&self, call: &CallRecord) -> bool {
        self.principal.as_ref().is_none_or(|principal| *principal == call.principal)
            && self.tool.as_ref().is_none_or(|tool| *tool == call.tool)
            && self.outcome.is_none_or(|outcome| outcome == call.outcome)
            && self.from.is_none_or(|from| from <= call.at)
            && self.to.is_none_or(|to| call.at < to)
            && self.before.is_none_or(|before| call.id < before)
    }
}
