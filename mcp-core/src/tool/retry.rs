//! How a call is tried again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How a call is tried again for which something was not there: three attempts in all, after a tenth of a second and then twice as long
/// each time, at most two seconds, as long as no more than one call in five is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub(crate) attempts: u32,
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) percent: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_millis(100), longest: Duration::from_secs(2), percent: 20 }
    }
}

impl Retry {
    /// How many attempts there are in all, with the first.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long to wait before the second attempt, and at the most before any. Each wait is twice the one before, and is shortened by
    /// up to a half, so that calls which failed together do not come again together.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// How many attempts beyond the first there may be for each hundred calls of the tool in this process. Ten may be saved up, and
    /// are there at the start.
    #[must_use]
    pub fn budget(mut self, percent: u32) -> Self {
        self.percent = percent;
        self
    }

    /// How long to wait after this attempt: from a half to all of what is due, by the seed, so that it needs no source of chance.
    pub(crate) fn pause(&self, attempt: u32, seed: u128) -> Duration {
        let due = self.first.saturating_mul(1 << (attempt - 1).min(20)).min(self.longest);
        let half = u64::try_from(due.as_nanos() / 2).unwrap_or(u64::MAX / 2);
        due.saturating_sub(Duration::from_nanos(scattered(seed, attempt) % (half + 1)))
    }
}

/// A number that looks like chance (splitmix64).
fn scattered(seed: u128, attempt: u32) -> u64 {
    let seed = (seed >> 64) as u64 ^ seed as u64;
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(attempt)));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The retries of one tool, or of one model, in this process.
pub(crate) struct Retries {
    of: Retry,
    /// In hundredths of an attempt.
    budget: AtomicU32,
}

/// What one attempt costs, and how much can be saved up.
const COST: u32 = 100;
const SAVED: u32 = 10 * COST;

impl Retries {
    pub(crate) fn new(of: Retry) -> Self {
        Self { of, budget: AtomicU32::new(SAVED) }
    }

    pub(crate) fn of(&self) -> &Retry {
        &self.of
    }

    /// A call is made.
    pub(crate) fn earn(&self) {
        let more = |budget: u32| Some(budget.saturating_add(self.of.percent).min(SAVED));
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Pays for one more attempt, where there is enough for it.
    pub(crate) fn spend(&self) -> bool {
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| budget.checked_sub(COST)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_at_least_half_of_what_is_due_and_calls_differ() {
        let retry = Retry::default();
        for (attempt, due) in [(1, 100), (2, 200), (3, 400), (5, 1_600), (6, 2_000), (100, 2_000)] {
            let due = Duration::from_millis(due);
            let pauses: Vec<_> = (0..200).map(|call| retry.pause(attempt, call)).collect();
            assert!(pauses.iter().all(|pause| *pause >= due / 2 && *pause <= due), "{attempt}: {pauses:?}");
            let (early, late) = (due * 6 / 10, due * 9 / 10);
            assert!(pauses.iter().any(|pause| *pause < early) && pauses.iter().any(|pause| *pause > late));
        }
        let none = retry.backoff(Duration::ZERO, Duration::ZERO);
        assert_eq!(none.pause(1, 7), Duration::ZERO);
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
