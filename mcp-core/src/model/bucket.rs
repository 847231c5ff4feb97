//! So much in so long, where what is taken is known only afterwards.

use std::sync::Mutex;
use std::time::Duration;

use crate::memory::lock;

/// Holds `most`, all of which comes back evenly within `per`.
pub(super) struct Bucket {
    most: u64,
    per: Duration,
    /// When all of it is back.
    replete: Mutex<Duration>,
}

impl Bucket {
    pub(super) fn new(most: u64, per: Duration) -> Self {
        Self { most: most.max(1), per, replete: Mutex::default() }
    }

    /// Takes `amount`; or says how long to wait before it is there. More than there ever is may be taken once all is there.
    pub(super) fn take(&self, amount: u64, now: Duration) -> Result<(), Duration> {
        let mut replete = lock(&self.replete);
        let debt = replete.saturating_sub(now);
        let after = debt.saturating_add(self.time(amount));
        if after > self.per && !debt.is_zero() {
            return Err(debt.min(after - self.per));
        }
        *replete = now.saturating_add(after);
        Ok(())
    }

    /// It was `used` that was taken, and not `taken`.
    pub(super) fn settle(&self, taken: u64, used: u64, now: Duration) {
        let mut replete = lock(&self.replete);
        *replete = if used > taken {
            (*replete).max(now).saturating_add(self.time(used - taken))
        } else {
            replete.saturating_sub(self.time(taken - used))
        };
    }

    /// How long it takes until so much has come back.
    fn time(&self, amount: u64) -> Duration {
        let nanos = (u128::from(amount).saturating_mul(self.per.as_nanos())).div_ceil(u128::from(self.most));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_taken_comes_back_evenly() {
        let bucket = Bucket::new(60, MINUTE);
        assert_eq!(bucket.take(50, at(100)), Ok(()));
        assert_eq!(bucket.take(15, at(100)), Err(at(5)));
        assert_eq!(bucket.take(15, at(104)), Err(at(1)));
        assert_eq!(bucket.take(15, at(105)), Ok(()));
        assert_eq!(bucket.take(0, at(105)), Ok(()));
        assert_eq!(bucket.take(60, at(1_000)), Ok(()));
    }

    #[test]
    fn what_was_used_counts_in_place_of_what_was_taken() {
        let bucket = Bucket::new(60, MINUTE);
        assert_eq!(bucket.take(60, at(0)), Ok(()));
        bucket.settle(60, 20, at(0));
        assert_eq!(bucket.take(40, at(0)), Ok(()));
        bucket.settle(40, 100, at(0));
        assert_eq!(bucket.take(1, at(0)), Err(at(61)));
        // What was taken has long come back.
        bucket.settle(10, 0, at(1_000));
        bucket.settle(0, 60, at(1_000));
        assert_eq!(bucket.take(1, at(1_000)), Err(at(1)));
    }

    #[test]
    fn more_than_there_ever_is_may_be_taken_once_all_is_there() {
        let bucket = Bucket::new(60, MINUTE);
        assert_eq!(bucket.take(1, at(0)), Ok(()));
        assert_eq!(bucket.take(600, at(0)), Err(at(1)));
        assert_eq!(bucket.take(600, at(1)), Ok(()));
        assert_eq!(bucket.take(1, at(1)), Err(at(541)));
        assert_eq!(bucket.take(u64::MAX, at(2_000)), Ok(()));
    }
}
