//! The stage that counts. It wraps all others, the record as well: what it counts is what the client was told, and how long it
//! waited for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::record::outcome_of;
use super::{Failure, Finished};
use crate::context::Context;
use crate::measure::{CacheMeasures, CircuitState, Histogram, KeyMeasures, ToolMeasures};
use crate::server::operations::Answering;
use crate::store::ledger::Outcome;
use crate::tool::arguments::Arguments;
use crate::tool::error::{KeyError, ToolError};
use crate::tool::limited::LimitedBy;
use crate::tool::registry::OfferedTool;

/// What is counted of one tool.
#[derive(Default)]
pub(crate) struct Meter {
    in_flight: AtomicU64,
    /// In the order of [`Outcome::ALL`].
    calls: [AtomicU64; Outcome::ALL.len()],
    durations: Histogram,
    /// In the order of [`CacheUse`].
    cache: [AtomicU64; 3],
    /// Attempts beyond the first of a call.
    retries: AtomicU64,
    /// In the order of [`LimitedBy::ALL`].
    limited: [AtomicU64; LimitedBy::ALL.len()],
    /// Calls that were answered by an earlier one, and those that waited for one in vain.
    keys: [AtomicU64; 2],
}

impl Meter {
    pub(crate) fn read(&self, tool: &str, cached: bool) -> ToolMeasures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [replayed, still_running] = std::array::from_fn(|n| read(&self.keys[n]));
        let [hits, misses, shared] = std::array::from_fn(|n| read(&self.cache[n]));
        ToolMeasures {
            tool: tool.to_owned(),
            in_flight: read(&self.in_flight),
            calls: Outcome::ALL.map(|outcome| (outcome, read(&self.calls[outcome as usize]))),
            durations: self.durations.read(),
            keys: KeyMeasures { replayed, still_running },
            limited: LimitedBy::ALL.map(|by| (by, read(&self.limited[by as usize]))),
            cache: cached.then_some(CacheMeasures { hits, misses, shared }),
            retries: read(&self.retries),
            waiting: 0,
            circuit: CircuitState::Closed,
        }
    }
}

/// Runs one call, and counts it.
pub(super) async fn call(tool: Arc<OfferedTool>, arguments: Arguments, cx: Context) -> Finished {
    let mut measuring = Measuring::begin(&tool.meter, &cx);
    let mut answering = Answering::begin(&cx, Some(&tool));
    let mut run = pin!(super::recorded(tool.clone(), arguments, cx.clone()));
    let mut held = Duration::ZERO;
    let finished = poll_fn(|task| {
        let began = cx.clock().monotonic();
        let polled = run.as_mut().poll(task);
        held += cx.clock().monotonic().saturating_sub(began);
        polled
    })
    .await;
    tool.cost.learn(held);
    if let Err(Failure { error: ToolError::Limited(limited), .. }) = &finished {
        tool.meter.limited[limited.by as usize].fetch_add(1, Ordering::Relaxed);
    }
    measuring.end = match &finished {
        Ok(output) if output.is_replayed() => End::Key(0),
        Err(failure) if failure.replayed => End::Key(0),
        Err(Failure { error: ToolError::Key(KeyError::StillRunning), .. }) => End::Key(1),
        ended => End::Call(outcome_of(ended.as_ref().map_err(|failure| &failure.error))),
    };
    answering.fault = super::fault(&finished);
    drop((measuring, answering));
    finished
}

/// A call that is being measured. It is counted when this is dropped: before its end, it has been cancelled.
struct Measuring<'a> {
    meter: &'a Meter,
    cx: &'a Context,
    started: Duration,
    end: End,
}

/// How it ends.
enum End {
    Call(Outcome),
    /// No call was made: its place in [`Meter::keys`].
    Key(usize),
}

impl<'a> Measuring<'a> {
    fn begin(meter: &'a Meter, cx: &'a Context) -> Self {
        meter.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { meter, cx, started: cx.clock().monotonic(), end: End::Call(Outcome::Cancelled) }
    }
}

impl Drop for Measuring<'_> {
    fn drop(&mut self) {
        let took = self.cx.clock().monotonic().saturating_sub(self.started);
        match self.end {
            End::Call(outcome) => {
                self.meter.durations.observe(took);
                self.meter.calls[outcome as usize].fetch_add(1, Ordering::Relaxed);
            }
            End::Key(place) => {
                self.meter.keys[place].fetch_add(1, Ordering::Relaxed);
            }
        }
        self.meter.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one attempt beyond the first, if the server measures.
pub(super) fn count_retry(tool: &OfferedTool, cx: &Context) {
    if cx.inner().server.is_measured() {
        tool.meter.retries.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the result of a cached tool came from.
#[derive(Clone, Copy)]
pub(super) enum CacheUse {
    Hit,
    Miss,
    Shared,
}

/// Counts one result of a cached tool, if the server measures.
pub(super) fn count(from: CacheUse, tool: &OfferedTool, cx: &Context) {
    if cx.inner().server.is_measured() {
        tool.meter.cache[from as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_at_their_places() {
        for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, n);
        }
    }
}
