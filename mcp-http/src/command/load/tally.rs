//! What became of requests, in all and second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::times::Times;
use super::watched::Seen;

/// How many kinds of errors are told apart; those beyond are counted as others.
const MOST_KINDS: usize = 24;

/// How many of each second took longer than this is told, so that what is told of seconds can be put together: where it is less than
/// one in a hundred, p99 is below.
const SLOW: Duration = Duration::from_millis(100);

/// The counts of a load, or of a second of it.
#[derive(Default)]
pub(super) struct Counts {
    /// Were due: also those that could not be sent.
    pub(super) due: u64,
    pub(super) ok: u64,
    pub(super) errors: BTreeMap<String, u64>,
    /// Of those that went well, from the moment at which they were due.
    pub(super) times: Times,
}

impl Counts {
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The part that failed of those that have ended; nothing, where none has.
    pub(super) fn error_rate(&self) -> Option<f64> {
        let ended = self.ok + self.failed();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        (ended > 0).then(|| self.failed() as f64 / ended as f64)
    }

    fn end(&mut self, ended: &Result<(), String>, took: Duration) {
        match ended {
            Ok(()) => {
                self.ok += 1;
                self.times.add(took);
            }
            Err(kind) => {
                let known = self.errors.len() < MOST_KINDS || self.errors.contains_key(kind);
                *self.errors.entry(if known { kind.clone() } else { "others".to_owned() }).or_default() += 1;
            }
        }
    }
}

/// What happened to those that were due in one second.
pub(super) struct Second {
    pub(super) counts: Counts,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    pub(super) longest: Option<Duration>,
    pub(super) slow: u64,
    /// What the server said of itself at its end.
    pub(super) server: Option<Seen>,
}

impl Second {
    fn new() -> Self {
        Self { counts: Counts::default(), p50: None, p99: None, longest: None, slow: 0, server: None }
    }

    /// Nothing is to come any more: what it takes to count it is given up.
    fn close(&mut self) {
        let times = std::mem::take(&mut self.counts.times);
        (self.p50, self.p99, self.longest) = (times.within(0.5), times.within(0.99), times.longest());
        self.slow = times.beyond(SLOW);
    }

    pub(super) fn json(&self, number: usize) -> Value {
        let server = self.server.as_ref();
        json!({
            "second": number, "due": self.counts.due, "ok": self.counts.ok, "errors": self.counts.errors,
            "p50_ms": millis(self.p50), "p99_ms": millis(self.p99), "max_ms": millis(self.longest),
            "over_100_ms": self.slow,
            "server_cpu_seconds": server.map(|seen| seen.cpu_seconds),
            "server_resident_bytes": server.map(|seen| seen.resident_bytes),
            "server_open_files": server.map(|seen| seen.open_files),
        })
    }
}

/// All that is counted of one load.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) all: Counts,
    /// How long after they were due requests were handed out: what the generator itself is late.
    pub(super) lag: Times,
    pub(super) seconds: Vec<Second>,
    closed: usize,
}

impl Tally {
    /// One is due in this second.
    pub(super) fn due(&mut self, second: usize, late: Duration) {
        self.all.due += 1;
        self.lag.add(late);
        self.second(second).counts.due += 1;
    }

    /// One that was due in this second has ended.
    pub(super) fn end(&mut self, second: usize, ended: &Result<(), String>, took: Duration) {
        self.all.end(ended, took);
        self.second(second).counts.end(ended, took);
    }

    /// The server said this of itself at the end of a second.
    pub(super) fn saw(&mut self, second: usize, seen: Seen) {
        self.second(second).server = Some(seen);
    }

    /// All that was due before this second has ended.
    pub(super) fn close_before(&mut self, second: usize) {
        let end = second.min(self.seconds.len());
        for second in &mut self.seconds[self.closed.min(end)..end] {
            second.close();
        }
        self.closed = self.closed.max(end);
    }

    fn second(&mut self, second: usize) -> &mut Second {
        if self.seconds.len() <= second {
            self.seconds.resize_with(second + 1, Second::new);
        }
        &mut self.seconds[second]
    }
}

/// Percentiles by their names; nothing, where nothing was counted.
pub(super) fn percentiles(times: &Times) -> Value {
    if times.count() == 0 {
        return Value::Null;
    }
    let parts = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    Value::Object(
        parts.iter().map(|(name, part)| ((*name).to_owned(), millis(times.within(*part)))).collect::<Map<_, _>>(),
    )
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| json!((time.as_secs_f64() * 1e6).round() / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_are_bounded_and_no_error_is_lost() {
        let mut tally = Tally::default();
        for n in 0..100 {
            tally.due(0, Duration::ZERO);
            tally.end(0, &Err(format!("http {n}")), Duration::ZERO);
        }
        assert_eq!((tally.all.failed(), tally.all.errors.len()), (100, MOST_KINDS + 1));
        assert_eq!(tally.all.error_rate(), Some(1.0));
        assert_eq!(Counts::default().error_rate(), None, "of nothing there is no rate");
    }

    #[test]
    fn what_was_due_in_a_second_is_told_there_however_late_it_ends() {
        let mut tally = Tally::default();
        tally.due(0, Duration::ZERO);
        tally.due(1, Duration::ZERO);
        tally.end(1, &Ok(()), Duration::from_millis(5));
        tally.end(0, &Ok(()), Duration::from_millis(2_500));
        tally.close_before(9);
        tally.close_before(9);
        assert_eq!(tally.seconds[0].json(0)["max_ms"], 2_500.0);
        assert_eq!(tally.seconds[1].json(1)["p99_ms"], 5.0);
        assert_eq!([0, 1].map(|n| tally.seconds[n].json(n)["over_100_ms"].as_u64()), [Some(1), Some(0)]);
        assert_eq!(percentiles(&tally.all.times)["max"], 2_500.0);
        assert_eq!(percentiles(&Times::default()), Value::Null);
    }
}
