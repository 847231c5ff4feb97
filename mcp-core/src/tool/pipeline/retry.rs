//! The stage that tries a call again for which something was not there.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Stages;
use crate::context::Context;
use crate::store::ledger::CallId;
use crate::tool::arguments::Arguments;
use crate::tool::error::ToolError;
use crate::tool::output::ToolOutput;
use crate::tool::registry::OfferedTool;
use crate::tool::retry::Retry;

/// The retries of one tool in this process.
pub(crate) struct Retries {
    of: Retry,
    /// In hundredths of an attempt.
    budget: AtomicU32,
}

/// What one attempt costs, and how much can be saved up.
const COST: u32 = 100;
const SAVED: u32 = 10 * COST;

/// Calls the tool, and calls it again where something that it needs was not there: [`ToolError::Unavailable`], by which a tool says
/// that it may help. All else is an answer, or would come out the same.
///
/// A call that has asked its client is not tried again, since it would ask again.
pub(super) async fn call(
    retries: &Retries,
    stages: &Stages,
    tool: &OfferedTool,
    arguments: &Arguments,
    cx: &Context,
) -> Result<ToolOutput, ToolError> {
    retries.earn();
    let (mut before, mut attempt) = (None, 1);
    loop {
        let unavailable = match (super::attempt(stages, tool, arguments, cx).await, before) {
            // It was not called: what it said before is how the call has ended.
            (Err(ToolError::Limited(_)), Some(before)) => return Err(before),
            (Err(error @ ToolError::Unavailable(_)), _) => error,
            (ended, _) => return ended,
        };
        if attempt >= retries.of.attempts || cx.has_asked() || !retries.spend() {
            return Err(unavailable);
        }
        if let ToolError::Unavailable(cause) = &unavailable {
            tracing::warn!(call = %cx.call_id(), tool = tool.spec().name(), attempt, %cause, "a call is tried again");
        }
        let pause = cx.clock().sleep(retries.of.pause(attempt, cx.call_id()));
        if let Either::Left(_) = select(pin!(cx.cancelled()), pause).await {
            return Err(ToolError::Cancelled);
        }
        cx.begin_again();
        super::measure::count_retry(tool, cx);
        attempt += 1;
        before = Some(unavailable);
    }
}

impl Retries {
    pub(super) fn new(of: Retry) -> Self {
        Self { of, budget: AtomicU32::new(SAVED) }
    }

    /// A call is made.
    fn earn(&self) {
        let more = |budget: u32| Some(budget.saturating_add(self.of.percent).min(SAVED));
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Pays for one more attempt, where there is enough for it.
    fn spend(&self) -> bool {
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| budget.checked_sub(COST)).is_ok()
    }
}

impl Retry {
    /// How long to wait after this attempt: from a half to all of what is due, by the call, so that it needs no source of chance.
    fn pause(&self, attempt: u32, call: CallId) -> Duration {
        let due = self.first.saturating_mul(1 << (attempt - 1).min(20)).min(self.longest);
        let half = u64::try_from(due.as_nanos() / 2).unwrap_or(u64::MAX / 2);
        due.saturating_sub(Duration::from_nanos(scattered(call, attempt) % (half + 1)))
    }
}

/// A number that looks like chance (splitmix64).
fn scattered(call: CallId, attempt: u32) -> u64 {
    let id = call.as_u128();
    let seed = (id >> 64) as u64 ^ id as u64;
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(attempt)));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_at_least_half_of_what_is_due_and_calls_differ() {
        let retry = Retry::default();
        for (attempt, due) in [(1, 100), (2, 200), (3, 400), (5, 1_600), (6, 2_000), (100, 2_000)] {
            let due = Duration::from_millis(due);
            let pauses: Vec<_> = (0..200).map(|call| retry.pause(attempt, CallId::from_u128(call))).collect();
            assert!(pauses.iter().all(|pause| *pause >= due / 2 && *pause <= due), "{attempt}: {pauses:?}");
            let (early, late) = (due * 6 / 10, due * 9 / 10);
            assert!(pauses.iter().any(|pause| *pause < early) && pauses.iter().any(|pause| *pause > late));
        }
        let none = retry.backoff(Duration::ZERO, Duration::ZERO);
        assert_eq!(none.pause(1, CallId::from_u128(7)), Duration::ZERO);
    }

    #[test]
    fn what_is_saved_up_has_an_end() {
        let retries = Retries::new(Retry::default());
        (0..1_000).for_each(|_| retries.earn());
        assert_eq!((0..100).filter(|_| retries.spend()).count(), 10);
        (0..10).for_each(|_| retries.earn());
        assert_eq!((0..100).filter(|_| retries.spend()).count(), 2, "one in five");
    }
}
