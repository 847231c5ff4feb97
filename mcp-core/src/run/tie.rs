//! What ties a run to the process that holds it.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::runs::{Hold, RunRecord};

/// Until when a run may go on here, and what it is told. The workers tell, and the run's task looks whenever it is polled.
pub(super) struct Tie {
    pub(super) hold: Hold,
    /// The number of the run's next step when it was claimed.
    pub(super) position: u32,
    /// When the lease is over, in microseconds of the monotonic clock. It is counted from before the claim or the renewal was sent, so
    /// that it is over here before it is over there.
    until: AtomicU64,
    /// How many inputs there are, for all that is known.
    inputs: AtomicU32,
    /// How often somebody has said that there may be more.
    hints: AtomicU32,
    /// How many of these hints came before the inputs were last read.
    followed: AtomicU32,
    pace: AtomicU8,
    /// Something of all this has changed.
    changed: Notify,
}

/// How a run is to go on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Pace {
    /// As it likes.
    GoOn,
    /// Until its next record.
    StopSoon,
    /// Not at all.
    StopNow,
}

impl Tie {
    pub(super) fn new(run: &RunRecord, until: Duration) -> Self {
        Self {
            hold: run.hold(),
            position: run.position,
            until: AtomicU64::new(micros(until)),
            inputs: AtomicU32::new(run.inputs),
            hints: AtomicU32::new(0),
            followed: AtomicU32::new(0),
            pace: AtomicU8::new(0),
            changed: Notify::new(),
        }
    }

    /// The lease was renewed.
    pub(super) fn renewed(&self, until: Duration, inputs: u32) {
        // A renewal that was lost before it came back does not bring the run back.
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| (old > 0).then(|| micros(until)));
        if self.inputs.fetch_max(inputs, Ordering::AcqRel) < inputs {
            self.changed.notify_waiters();
        }
    }

    /// The run is another's, or nobody's.
    pub(super) fn lose(&self) {
        self.until.store(0, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether the run may be touched no more.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        micros(now) >= self.until.load(Ordering::Acquire)
    }

    /// How long the lease goes on.
    pub(super) fn left(&self, now: Duration) -> Duration {
        Duration::from_micros(self.until.load(Ordering::Acquire).saturating_sub(micros(now)))
    }

    pub(super) fn inputs(&self) -> u32 {
        self.inputs.load(Ordering::Acquire)
    }

    /// There may be more inputs.
    pub(super) fn hint(&self) {
        self.hints.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// How often it was hinted that there may be more; whoever reads then says so with [`Tie::follow`].
    pub(super) fn hints(&self) -> u32 {
        self.hints.load(Ordering::Acquire)
    }

    /// The inputs have been read since there were so many hints.
    pub(super) fn follow(&self, hints: u32) {
        self.followed.store(hints, Ordering::Release);
    }

    /// Whether all inputs were read of which somebody has said that there may be more.
    pub(super) fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Acquire) == self.hints()
    }

    pub(super) fn slow_down(&self, pace: Pace) {
        self.pace.fetch_max(pace as u8, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub(super) fn pace(&self) -> Pace {
        match self.pace.load(Ordering::Acquire) {
            0 => Pace::GoOn,
            1 => Pace::StopSoon,
            _ => Pace::StopNow,
        }
    }

    /// Completes at the next change after it was asked for.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
