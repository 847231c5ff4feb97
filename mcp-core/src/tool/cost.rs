//! For how long the calls of a tool hold the thread that polls them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What has been seen of it, in nanoseconds: an average in which the last calls count most. Races between calls lose a sample, no more.
#[derive(Default)]
pub(crate) struct Cost(AtomicU64);

impl Cost {
    /// From here on a call is heavy: handing it to another thread costs less than a tenth of what it does, and a thread that reads
    /// requests must not be held for longer.
    const HEAVY: u64 = 100_000;

    /// Learns from a call that held its threads for so long.
    pub(crate) fn learn(&self, held: Duration) {
        let known = self.0.load(Ordering::Relaxed);
        // A thread that was put off the processor in the middle seems to have been held: one such call must not count for much.
        let seen = u64::try_from(held.as_nanos())
            .unwrap_or(u64::MAX)
            .min(known.saturating_mul(4).saturating_add(Self::HEAVY / 2));
        let next = if seen > known { known + (seen - known) / 8 } else { known - (known - seen) / 8 };
        self.0.store(next, Ordering::Relaxed);
    }

    /// What a call is expected to cost, in nanoseconds, if it is heavy; else nothing.
    pub(crate) fn if_heavy(&self) -> u64 {
        let known = self.0.load(Ordering::Relaxed);
        if known < Self::HEAVY { 0 } else { known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: impl IntoIterator<Item = u64>) -> u64 {
        let cost = Cost::default();
        calls.into_iter().for_each(|micros| cost.learn(Duration::from_micros(micros)));
        cost.if_heavy() / 1_000
    }

    #[test]
    fn a_tool_is_heavy_once_its_calls_have_shown_it_and_no_longer_than_they_do() {
        assert_eq!(after([]), 0);
        assert_eq!(after([20; 1_000]), 0);
        assert!((1_500..=2_000).contains(&after([2_000; 40])), "{}", after([2_000; 40]));
        assert_eq!(after([2_000; 40].into_iter().chain([20; 60])), 0);
    }

    #[test]
    fn a_call_that_was_put_off_makes_no_tool_heavy() {
        assert_eq!(after([20; 20].into_iter().chain([30_000_000, 20, 20, 20, 4_000])), 0);
    }
}
