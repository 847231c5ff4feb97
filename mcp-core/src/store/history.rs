//! What happened, to be read.

mod search;

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::id::millis;
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
/// - **search finds whole words in any case**: a call is found if the names, texts and numbers in its arguments and its result
///   hold every word of the text (words as [`words`](super::words::words) cuts them); a text without words finds nothing.
/// - **a search tells how far it looked**: at [`MOST_CALLS`] of those that satisfy the query, or [`MOST_BYTES`] of them; asking on
///   finds each that has the words once.
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

    /// The calls that satisfy `query` and hold every word of `text`, newest first, at most `query.limit`.
    ///
    /// No store holds the words of calls: to write them would cost each call more than to write the call, and few are searched for.
    /// It looks at one call after the other instead, as far as is promised, and tells where to go on; a query for one caller, one
    /// tool or some time looks at those alone.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`History::calls`].
    async fn search(&self, tenant: &Tenant, text: &str, query: &CallQuery) -> Result<FoundCalls, StoreError> {
        search::look_through(self, tenant, text, query).await
    }
}

/// At how many calls one search looks.
pub const MOST_CALLS: usize = 1_000;

/// At how many bytes of arguments and results one search looks: it ends with the call that makes them as many.
pub const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundCalls {
    /// The calls, newest first.
    pub calls: Vec<CallRecord>,
    /// There may be more: search on with this as `before`. Where it is missing, there are none.
    pub next: Option<CallId>,
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
    /// The ids that calls of the wanted time have: the first that can be among them, and the first that is after all of them. A
    /// store that has calls in the order of their ids finds a time by that, and needs no other index.
    pub fn ids(&self) -> (Option<CallId>, Option<CallId>) {
        let first = |at: Timestamp, later: Duration| {
            let millis = millis(at).saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX));
            (millis < 1 << 48).then(|| CallId::from_u128(u128::from(millis) << 80))
        };
        let after_all = self.to.and_then(|to| first(to, CallId::AHEAD + Duration::from_millis(1)));
        let end = [self.before, after_all].into_iter().flatten().min();
        (self.from.map(|from| first(from, Duration::ZERO).unwrap_or(CallId::from_u128(u128::MAX))), end)
    }
}
