//! What is counted of requests. Nothing that a client sends becomes a name: what it may vary is counted in a fixed number of ways.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http;
use mcp_core::measure::{Distribution, Histogram};

/// The requests of one app, by the patterns of its routes.
#[derive(Default)]
pub(crate) struct HttpMeasures {
    in_flight: AtomicU64,
    /// As many as the app has patterns.
    routes: RwLock<BTreeMap<String, Arc<Route>>>,
}

/// The requests that one pattern matched.
pub(crate) struct Route {
    pattern: String,
    requests: [[AtomicU64; STATUSES.len()]; METHODS.len()],
    durations: Histogram,
}

/// A method, by its place in [`METHODS`].
#[derive(Clone, Copy)]
pub(crate) struct Method(usize);

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER];
const OTHER: &str = "other";
const STATUSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const UNMATCHED: &str = "unmatched";

impl Method {
    pub(crate) fn of(method: &http::Method) -> Self {
        Self(METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1))
    }

    pub(crate) fn name(self) -> &'static str {
        METHODS[self.0]
    }
}

impl HttpMeasures {
    /// Counts a request as begun, under the pattern that matched its path.
    pub(crate) fn begin(&self, pattern: Option<String>) -> Arc<Route> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let pattern = pattern.unwrap_or_else(|| UNMATCHED.to_owned());
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(&pattern).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            routes.entry(pattern).or_insert_with_key(|pattern| Arc::new(Route::new(pattern.clone()))).clone()
        })
    }

    /// Counts it as ended.
    pub(crate) fn end(&self, route: &Route, took: Duration) {
        route.durations.observe(took);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn routes(&self) -> Vec<Arc<Route>> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Route {
    fn new(pattern: String) -> Self {
        Self { pattern, requests: Default::default(), durations: Histogram::default() }
    }

    /// Counts an answer, which is known by its status before its body is sent; none where the client left before.
    pub(crate) fn answered(&self, method: Method, status: Option<u16>) {
        let class = usize::from(status.unwrap_or(0) / 100).min(STATUSES.len() - 1);
        self.requests[method.0][class].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Each method and class of status that has been met, with its count.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        METHODS
            .into_iter()
            .zip(&self.requests)
            .flat_map(|(method, statuses)| {
                let counts = STATUSES.into_iter().zip(statuses);
                counts.map(move |(status, count)| (method, status, count.load(Ordering::Relaxed)))
            })
            .filter(|(.., count)| *count > 0)
    }

    pub(super) fn durations(&self) -> Distribution {
        self.durations.read()
    }
}
