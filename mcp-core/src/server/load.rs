//! How much is under way, and how much may be. What comes past it is refused at once, so that what was taken is done in time.

mod lane;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::counts::Running;
use crate::clock::Clock;
use crate::endpoint::answer::Refusal;
use crate::measure::{Collector, Sample};
use crate::tool::cost::Cost;
use lane::Lane;
pub(crate) use lane::Waiting;

/// What a server has to do at this moment, and what it has refused. It is also what [`Endpoint::admit`](crate::Endpoint::admit) asks.
pub struct Load {
    caps: LoadCaps,
    clock: Arc<dyn Clock>,
    running: Arc<Running>,
    bytes: AtomicUsize,
    lane: Arc<Lane>,
    /// In the order of [`Reason`].
    refused: [AtomicU64; REASONS.len()],
    /// The second in which the log was told last.
    told: AtomicU64,
}

/// How much a server takes at once.
#[derive(Clone, Debug)]
pub(crate) struct LoadCaps {
    pub(crate) in_flight: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

/// Why something is refused.
#[derive(Clone, Copy)]
enum Reason {
    InFlight,
    Bytes,
    Wait,
}

/// In the order of [`Reason`], as metrics name them.
const REASONS: [&str; 3] = ["in_flight", "bytes", "wait"];

impl Load {
    pub(super) fn new(caps: LoadCaps, clock: Arc<dyn Clock>, running: Arc<Running>, threads: usize) -> Self {
        let lane = Arc::new(Lane::new(threads, caps.wait));
        Self {
            caps,
            clock,
            running,
            bytes: AtomicUsize::new(0),
            lane,
            refused: Default::default(),
            told: AtomicU64::new(0),
        }
    }

    /// Refuses one more request where as many calls are under way, or as many bytes are held, as may be.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.running.count() >= self.caps.in_flight {
            return Err(self.refuse(Reason::InFlight));
        }
        if self.bytes.load(Ordering::Relaxed) >= self.caps.bytes {
            return Err(self.refuse(Reason::Bytes));
        }
        Ok(())
    }

    /// Counts bytes that are held in memory for somebody: those of a large body, or of answers that a client does not take. Those of a
    /// request are refused where there are too many.
    ///
    /// # Errors
    /// 503.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held, Refusal> {
        let mut held = Held { load: self.clone(), bytes: 0 };
        held.grow(bytes)?;
        Ok(held)
    }

    /// Refuses a call that would hold a thread, where too much waits for one.
    #[inline]
    pub(crate) fn check_cost(&self, cost: &Cost) -> Result<(), Refusal> {
        if cost.if_heavy() > 0 && self.lane.is_full() { Err(self.refuse(Reason::Wait)) } else { Ok(()) }
    }

    /// A place among the calls that wait for a thread.
    pub(crate) fn queue(&self, cost: u64) -> Waiting {
        Waiting::new(self.lane.clone(), cost)
    }

    #[cold]
    fn refuse(&self, reason: Reason) -> Refusal {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
        // A line for each would be a part of the load.
        let second = self.clock.monotonic().as_secs() + 1;
        if self.told.load(Ordering::Relaxed) != second && self.told.swap(second, Ordering::Relaxed) != second {
            let (in_flight, bytes) = (self.running.count(), self.bytes.load(Ordering::Relaxed));
            let (why, waiting) = (REASONS[reason as usize], self.lane.waiting());
            tracing::warn!(why, in_flight, bytes, waiting, "overloaded: requests are refused");
        }
        let message = match reason {
            Reason::InFlight => "as many calls are under way as this server takes; send it again later",
            Reason::Bytes => "this server holds as many bytes for its clients as it takes; send it again later",
            Reason::Wait => "calls of this kind wait for a processor already; send it again later",
        };
        Refusal::busy(message)
    }
}

impl Collector for Load {
    fn collect(&self) -> Vec<Sample> {
        const REFUSED: &str = "mcp_refused_total";
        let figure = |count: usize| count as f64;
        let mut samples = vec![
            Sample::gauge("mcp_calls_under_way", "Calls that take longer than one poll.", figure(self.running.count())),
            Sample::gauge(
                "mcp_held_bytes",
                "Bytes of large bodies, and of answers that clients do not take.",
                figure(self.bytes.load(Ordering::Relaxed)),
            ),
            Sample::gauge("mcp_calls_waiting", "Calls that wait for a thread.", figure(self.lane.waiting())),
            Sample::gauge(
                "mcp_calls_waiting_seconds",
                "How long those are expected to hold threads, together.",
                self.lane.backlog().as_secs_f64(),
            ),
        ];
        samples.extend(REASONS.iter().zip(&self.refused).map(|(reason, count)| {
            let count = count.load(Ordering::Relaxed) as f64;
            Sample::counter(REFUSED, "Requests that were refused, since the server had enough to do.", count)
                .with("reason", reason)
        }));
        samples
    }
}

/// Bytes that are held, as long as this lives.
pub struct Held {
    load: Arc<Load>,
    bytes: usize,
}

impl Held {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds more, if there is room.
    ///
    /// # Errors
    /// 503; then they are as many as before.
    pub fn grow(&mut self, more: usize) -> Result<(), Refusal> {
        let before = self.load.bytes.fetch_add(more, Ordering::Relaxed);
        if more > 0 && before.saturating_add(more) > self.load.caps.bytes {
            self.load.bytes.fetch_sub(more, Ordering::Relaxed);
            return Err(self.load.refuse(Reason::Bytes));
        }
        self.bytes += more;
        Ok(())
    }

    /// Holds so many, room or not: what is there must be counted.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.load.bytes.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.load.bytes.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
