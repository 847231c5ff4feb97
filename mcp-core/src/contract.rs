//! What the storage traits promise, as tests: one public function a promise, under the promise's name.
//!
//! Whoever implements a trait writes a function that makes [`Fresh`] stores, and gives it to the trait's macro, which becomes
//! one named `#[tokio::test]` per promise (`tokio` must be among the crate's dev-dependencies, with `macros` and `rt`):
//!
//! ```
//! use std::sync::Arc;
//! use mcp_core::Stores;
//! use mcp_core::clock::simulated::SimulatedClock;
//! use mcp_core::contract::Fresh;
//!
//! # #[allow(dead_code)]
//! async fn fresh() -> Fresh {
//!     let clock = SimulatedClock::new();
//!     Fresh::new(Stores::in_memory(Arc::new(clock.clone())), clock)
//! }
//!
//! mcp_core::ledger_contract!(fresh);
//! mcp_core::history_contract!(fresh);
//! mcp_core::stats_contract!(fresh);
//! mcp_core::audit_contract!(fresh);
//! mcp_core::idempotency_contract!(fresh);
//! mcp_core::notes_contract!(fresh);
//! mcp_core::threads_contract!(fresh);
//! mcp_core::principals_contract!(fresh);
//! mcp_core::api_keys_contract!(fresh);
//! mcp_core::records_contract!(fresh);
//! mcp_core::cache_contract!(fresh);
//! mcp_core::events_contract!(fresh);
//! mcp_core::leases_contract!(fresh);
//! mcp_core::replicas_contract!(fresh);
//! mcp_core::settings_contract!(fresh);
//! mcp_core::limits_contract!(fresh);
//! mcp_core::sessions_contract!(fresh);
//! mcp_core::runs_contract!(fresh);
//! mcp_core::blobs_contract!(fresh);
//! ```
//!
//! The suites of files and sessions have caps of their own, with which the stores are to be made: [`files::CAPS`] and
//! [`sessions::ROOM`].

pub mod api_keys;
pub mod audit;
pub mod blobs;
pub mod cache;
pub mod events;
pub mod files;
pub mod history;
pub mod idempotency;
pub mod leases;
pub mod ledger;
pub mod limits;
pub mod notes;
pub mod principals;
pub mod records;
pub mod replicas;
pub mod runs;
pub mod sessions;
pub mod settings;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod threads;

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;

use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::store::Stores;
use crate::store::history::{CallQuery, FoundCalls};
use crate::store::ledger::{CallId, CallRecord, Entry, Outcome};

/// Stores for one case: nothing is in them, and nobody else uses them.
pub struct Fresh {
    stores: Stores,
    clock: SimulatedClock,
    age: Box<dyn Fn(Duration) + Send + Sync>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Fresh {
    /// Stores whose time is that of `clock`.
    pub fn new(stores: Stores, clock: SimulatedClock) -> Self {
        Self { stores, clock, age: Box::new(|_| ()), _keep: Box::new(()) }
    }

    /// Calls `age` whenever time passes, before the clock moves: for what is kept elsewhere, by a clock that is not `clock`, and
    /// must be made to look so much older.
    #[must_use]
    pub fn aging(self, age: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { age: Box::new(age), ..self }
    }

    /// Keeps something until the case is over, such as the folder in which the stores are.
    #[must_use]
    pub fn keeping(self, what: impl Any + Send + Sync) -> Self {
        Self { _keep: Box::new(what), ..self }
    }

    /// Lets time pass for the stores.
    fn pass(&self, time: Duration) {
        (self.age)(time);
        self.clock.advance(time);
    }

    async fn commit(&self, calls: impl IntoIterator<Item = CallRecord>) {
        let entries = calls.into_iter().map(Entry::Call).collect();
        self.stores.ledger.commit(entries).await.expect("sound entries are committed");
    }

    /// The ids of the calls that satisfy `query`.
    async fn ids(&self, tenant: &Tenant, query: &CallQuery) -> Vec<CallId> {
        self.calls(tenant, query).await.into_iter().map(|call| call.id).collect()
    }

    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Vec<CallRecord> {
        self.stores.history.calls(tenant, query).await.expect("the history can be read")
    }

    /// What a search among the calls of [`tenant`] finds.
    async fn search(&self, text: &str, query: &CallQuery) -> FoundCalls {
        self.stores.history.search(&tenant(), text, query).await.expect("the history can be searched")
    }

    async fn call(&self, tenant: &Tenant, id: CallId) -> Option<CallRecord> {
        self.stores.history.call(tenant, id).await.expect("the history can be read")
    }
}

/// As many as can be asked for.
fn all() -> CallQuery {
    CallQuery { limit: u16::MAX, ..CallQuery::default() }
}

fn tenant() -> Tenant {
    Tenant::from("a tenant")
}

/// A plain call of [`tenant`].
fn call(id: u128) -> CallRecord {
    CallRecord {
        id: CallId::from_u128(id),
        parent: None,
        tenant: tenant(),
        principal: Principal::from("somebody"),
        address: Some("2001:db8::1".parse().expect("it is an address")),
        tool: "add".to_owned(),
        arguments: Bytes::from_static(br#"{"a":1,"b":2}"#),
        outcome: Outcome::Ok,
        result: Bytes::from_static(br#"{"content":[{"type":"text","text":"3"}]}"#),
        at: Timestamp::from_micros(1_767_225_600_000_000),
        duration: Duration::from_micros(1_234),
        waited: Duration::ZERO,
    }
}

/// Writes one named test per case; the macros of the suites expand to it.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($suite:ident, $fresh:expr, $($case:ident),+ $(,)?) => {
        mod $suite {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let fresh = ($fresh)().await;
                    $crate::contract::$suite::$case(&fresh).await;
                }
            )+
        }
    };
}
