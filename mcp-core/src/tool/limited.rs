//! Why a call was not made although nothing is wrong with it.

use std::time::Duration;

use crate::store::limits::Rate;

/// A call that was not made, since a limit stands in its way for now. Nothing was done: it may be sent again, also under its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again in {} s", self.why(), self.seconds())]
#[non_exhaustive]
pub struct Limited {
    /// What stands in its way.
    pub by: LimitedBy,
    /// How often it may be done, where that is counted.
    pub rate: Option<Rate>,
    /// When to send it again.
    pub retry_after: Duration,
}

/// What a call can be limited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitedBy {
    /// How often one caller may call this tool. REST answers 429.
    Tool,
    /// How often one caller may call any tool. REST answers 429.
    Caller,
    /// How often all callers together may call any tool. REST answers 429.
    Server,
    /// How many calls of this tool may run and wait at a time. REST answers 503.
    Concurrency,
    /// That the tool has failed too often in a row. REST answers 503.
    CircuitBreaker,
}

impl Limited {
    pub(crate) fn by_rate(by: LimitedBy, rate: Rate, retry_after: Duration) -> Self {
        Self { by, rate: Some(rate), retry_after }
    }

    pub(crate) fn by_state(by: LimitedBy, retry_after: Duration) -> Self {
        Self { by, rate: None, retry_after }
    }

    /// When to send it again, in whole seconds, as `Retry-After` says it.
    pub fn seconds(&self) -> u64 {
        seconds(self.retry_after).max(1)
    }

    fn why(&self) -> String {
        let often = self.rate.map(|rate| format!(" ({} in {:?})", rate.burst, rate.per)).unwrap_or_default();
        match self.by {
            LimitedBy::Tool => format!("the caller has called this tool as often as it may for now{often}"),
            LimitedBy::Caller => format!("the caller has made as many calls as it may for now{often}"),
            LimitedBy::Server => format!("the server has taken as many calls as it may for now{often}"),
            LimitedBy::Concurrency => "as many calls of this tool run and wait as may".to_owned(),
            LimitedBy::CircuitBreaker => "this tool has failed too often, and is not called for now".to_owned(),
        }
    }
}

impl LimitedBy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tool, Self::Caller, Self::Server, Self::Concurrency, Self::CircuitBreaker];

    /// The word by which headers and figures name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Caller => "caller",
            Self::Server => "server",
            Self::Concurrency => "concurrency",
            Self::CircuitBreaker => "circuit_breaker",
        }
    }

    /// The status of HTTP that goes with it: 429 where the caller can mend it by asking less often, else 503.
    pub const fn status(self) -> u16 {
        match self {
            Self::Tool | Self::Caller | Self::Server => 429,
            Self::Concurrency | Self::CircuitBreaker => 503,
        }
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_counted_at_their_places() {
        for (n, by) in LimitedBy::ALL.into_iter().enumerate() {
            assert_eq!(by as usize, n);
        }
    }

    #[test]
    fn who_is_refused_is_told_to_wait_for_whole_seconds() {
        let limited = |millis| Limited::by_state(LimitedBy::Concurrency, Duration::from_millis(millis));
        assert_eq!([0, 1, 1_000, 1_001].map(|millis| limited(millis).seconds()), [1, 1, 1, 2]);
    }
}
