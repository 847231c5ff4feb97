//! What is counted while a server works: plain atomics, one set for each tool on offer, read without stopping anyone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::store::ledger::Outcome;
use crate::tool::limited::LimitedBy;

/// What was counted of one tool since it was offered, as
/// [`Server::measures`](crate::server::Server::measures) gives it. A call is in it before its answer is sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolMeasures {
    /// The tool's name.
    pub tool: String,
    /// How many calls are under way.
    pub in_flight: u64,
    /// How many calls ended in each way, in the order of [`Outcome::ALL`].
    pub calls: [(Outcome, u64); Outcome::ALL.len()],
    /// How long calls took, from their begin until their result was there and recorded.
    pub durations: Distribution,
    /// What became of calls that were sent under a key that had been sent before; they are in none of the others.
    pub keys: KeyMeasures,
    /// How many calls were refused by each limit, in the order of [`LimitedBy::ALL`].
    pub limited: [(LimitedBy, u64); LimitedBy::ALL.len()],
    /// How many attempts there were beyond the first of a call.
    pub retries: u64,
    /// Whether it is called, or left alone since it has failed too often.
    pub circuit: CircuitState,
    /// How many of those under way wait for a place, where only so many run at a time.
    pub waiting: u64,
    /// Where its results came from, if it is a tool whose results are cached.
    pub cache: Option<CacheMeasures>,
}

/// How long requests of the protocol took of one kind, as [`Server::operations`](crate::server::Server::operations) gives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OperationMeasures {
    /// The method; `_OTHER`, where there is no such.
    pub method: &'static str,
    /// The tool, where it is a call of one that there is.
    pub tool: Option<String>,
    /// By what it has failed, if it has, in the word that the `error.type` of its span has; `cancelled`, where its client left before.
    pub fault: Option<&'static str>,
    /// From when the method was read until the answer was there.
    pub durations: Distribution,
}

/// Whether a tool with a circuit breaker is called; every other is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// It is called.
    Closed,
    /// It is not called.
    Open,
    /// It is called once, to find out.
    HalfOpen,
}

impl CircuitState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word by which it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What became of calls that were sent under a key that had been sent before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyMeasures {
    /// They were given the answer of the earlier call.
    pub replayed: u64,
    /// The earlier call took longer than they could wait.
    pub still_running: u64,
}

/// Where the results of a cached tool came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheMeasures {
    /// From the cache.
    pub hits: u64,
    /// From the tool.
    pub misses: u64,
    /// From a call of the same kind that was under way.
    pub shared: u64,
}

/// Counts times in fixed buckets. It takes a few nanoseconds, and may be shared between threads.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

const BUCKETS: usize = Histogram::BOUNDS.len() + 1;

impl Histogram {
    /// The longest time that each bucket counts; a last one counts what took longer.
    pub const BOUNDS: [Duration; 18] = {
        let mut bounds = [Duration::ZERO; 18];
        let micros = [
            100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
            2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
        ];
        let mut n = 0;
        while n < bounds.len() {
            bounds[n] = Duration::from_micros(micros[n]);
            n += 1;
        }
        bounds
    };

    /// In which of the buckets a time is, counted from zero: the first whose bound it does not pass, or the last, which has none.
    pub fn bucket(took: Duration) -> usize {
        Self::BOUNDS.partition_point(|bound| *bound < took)
    }

    /// Counts one time.
    pub fn observe(&self, took: Duration) {
        self.buckets[Self::bucket(took)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Distribution {
        let buckets = std::array::from_fn(|n| self.buckets[n].load(Ordering::Relaxed));
        Distribution { buckets, sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)) }
    }
}

/// Times as a [`Histogram`] counted them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    buckets: [u64; BUCKETS],
    sum: Duration,
}

impl Distribution {
    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// For each of [`Histogram::BOUNDS`], how many times were no longer than it.
    pub fn at_most(&self) -> impl Iterator<Item = (Duration, u64)> {
        let up_to = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Histogram::BOUNDS.into_iter().zip(up_to)
    }

    /// Counts so many times in [a bucket](Histogram::bucket), which together are `took`. One that there is not is the last.
    pub fn add(&mut self, bucket: usize, count: u64, took: Duration) {
        self.buckets[bucket.min(BUCKETS - 1)] += count;
        self.sum = self.sum.saturating_add(took);
    }

    /// Counts all that `other` has counted as well.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += count;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The time that this part of all, between 0 and 1, does not pass: as if those of one bucket were spread over it evenly. Nothing,
    /// where nothing was counted. What is longer than the last bound is told as that.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (part.clamp(0.0, 1.0) * count as f64).max(1.0);
        let (mut below, mut lower) = (0, Duration::ZERO);
        for (bound, up_to) in self.at_most() {
            if up_to as f64 >= rank {
                let inside = (rank - below as f64) / (up_to - below) as f64;
                return Some(lower + (bound - lower).mul_f64(inside));
            }
            (below, lower) = (up_to, bound);
        }
        Some(lower)
    }
}

/// Something else that counts: a store, a pool, a part of your own. What serves measures asks it whenever it is asked itself.
pub trait Collector: Send + Sync + 'static {
    /// What is counted at this moment, without waiting. One name has one meaning and one kind, whoever collects it, and no two samples
    /// of it have the same labels.
    fn collect(&self) -> Vec<Sample>;
}

/// One figure of a [`Collector`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name by the conventions of Prometheus, such as `mcp_ledger_commits_total`.
    pub name: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: SampleKind,
    /// What tells it from others of its name. Values must come from a small set, and never from a client.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: f64,
}

impl Sample {
    /// A figure that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: SampleKind::Counter, labels: Vec::new(), value }
    }

    /// A figure that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: SampleKind::Gauge, labels: Vec::new(), value }
    }

    /// The same, with one more label.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: &str) -> Self {
        self.labels.push((label, value.to_owned()));
        self
    }
}

/// How a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_takes_it() {
        let histogram = Histogram::default();
        let last = Histogram::BOUNDS[Histogram::BOUNDS.len() - 1];
        assert!(Histogram::BOUNDS.is_sorted_by(|a, b| a < b));
        for took in [Duration::ZERO, Histogram::BOUNDS[1], Histogram::BOUNDS[1] + Duration::from_nanos(1), last * 2] {
            histogram.observe(took);
        }
        let read = histogram.read();
        let counts: Vec<_> = read.at_most().map(|(_, count)| count).collect();
        assert_eq!(counts[..4], [1, 2, 3, 3]);
        assert_eq!((counts.last(), read.count()), (Some(&3), 4), "what took longer than all bounds is counted alone");
        assert_eq!(read.sum(), Histogram::BOUNDS[1] * 2 + Duration::from_nanos(1) + last * 2);
    }

    #[test]
    fn a_quantile_is_within_its_bucket_and_nothing_of_nothing() {
        let mut times = Distribution::default();
        assert_eq!(times.quantile(0.99), None);
        let fast = Histogram::bucket(Duration::from_micros(80));
        times.add(fast, 99, Duration::from_millis(8));
        times.add(Histogram::bucket(Duration::from_millis(200)), 1, Duration::from_millis(200));
        assert_eq!(times.quantile(0.99), Some(Histogram::BOUNDS[fast]));
        let last = times.quantile(0.995).unwrap();
        assert!(last > Duration::from_millis(100) && last <= Duration::from_millis(250), "{last:?}");
        assert!(times.quantile(0.5).unwrap() < Histogram::BOUNDS[fast]);
        times.add(usize::MAX, 1_000, Duration::from_secs(100_000));
        assert_eq!(times.quantile(1.0), Some(Histogram::BOUNDS[Histogram::BOUNDS.len() - 1]));
    }
}
