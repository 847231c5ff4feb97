//! How a call is tried again.

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
}
