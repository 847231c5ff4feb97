//! Those who claim runs and hold them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{join4, select};
use tokio::sync::Notify;

use super::Work;
use super::forwarding::Wanted;
use super::held::carry;
use super::hints::Hints;
use super::tie::{Pace, Tie};
use crate::clock::Clock;
use crate::measure::{Collector, Sample};
use crate::memory::lock;
use crate::spawn::Spawner;
use crate::store::ledger::Ledger;
use crate::store::runs::{Claimed, Ending, Hold, RunId, RunRecord, Runs, Turn};

/// Claims runs of the kinds that a server knows, and does their work. Made by [`Server::start_workers`](crate::Server::start_workers).
///
/// Idle, they look every [`WorkersConfig::poll`], when the next run is due of which they know, and at once when they are told of one.
/// Dropped, they go on: [`Workers::stop`] ends them.
#[derive(Clone)]
pub struct Workers(Arc<Floor>);

/// How the workers of a process work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkersConfig {
    /// For how long a run is held without a renewal (15 s): so long it takes until another process goes on with the runs of one that is gone.
    pub lease: Duration,
    /// How many runs are held at a time (64); with 0 nothing is claimed.
    pub concurrency: u16,
    /// How often they look for runs of which nobody has told them (5 s).
    pub poll: Duration,
    /// How often a run is begun without getting on before it fails (10).
    pub attempts: u32,
    /// How long a run that was cancelled may go on (1 s).
    pub grace: Duration,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            concurrency: 64,
            poll: Duration::from_secs(5),
            attempts: 10,
            grace: Duration::from_secs(1),
        }
    }
}

/// Where the runs are that this process holds.
pub(super) struct Floor {
    pub(super) config: WorkersConfig,
    pub(super) kinds: BTreeMap<String, Arc<dyn Work>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) runs: Arc<dyn Runs>,
    pub(super) hints: Hints,
    pub(super) spawner: Arc<dyn Spawner>,
    held: Mutex<HashMap<Hold, Arc<Tie>>>,
    /// What is told while runs are being claimed.
    meanwhile: Mutex<Option<Meanwhile>>,
    pub(super) wanted: Wanted,
    stopping: AtomicBool,
    /// Whether there was no room for more.
    full: AtomicBool,
    /// There may be something to claim.
    wake: Notify,
    /// A run was let go, or the workers stop.
    left: Notify,
    counts: Counts,
}

/// Runs of which something was told while runs were being claimed: they may be among those, and not be held yet.
#[derive(Default)]
struct Meanwhile {
    runs: HashSet<RunId>,
    /// Or any.
    any: bool,
}

impl Meanwhile {
    /// Of more than so many it is not known which they were.
    const MOST: usize = 4_096;

    fn hear(&mut self, run: Option<RunId>) {
        self.any |= run.is_none() || self.runs.len() >= Self::MOST;
        self.runs.extend(run.filter(|_| !self.any));
    }

    fn may_be_about(&self, run: RunId) -> bool {
        self.any || self.runs.contains(&run)
    }
}

#[derive(Default)]
struct Counts {
    claimed: AtomicU64,
    lost: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

/// Where something is due and nobody could claim it: somebody else is about it.
const OVERDUE: Duration = Duration::from_secs(1);

/// The shortest wait, so that a clock that is a little behind does not make them ask again and again.
const SHORTEST: Duration = Duration::from_millis(20);

impl Workers {
    pub(crate) fn start(
        config: WorkersConfig,
        kinds: BTreeMap<String, Arc<dyn Work>>,
        (ledger, runs): (Arc<dyn Ledger>, Arc<dyn Runs>),
        hints: Hints,
        (clock, spawner): (Arc<dyn Clock>, Arc<dyn Spawner>),
    ) -> Self {
        let floor = Arc::new(Floor {
            config,
            kinds,
            clock,
            ledger,
            runs,
            hints,
            spawner: spawner.clone(),
            held: Mutex::default(),
            meanwhile: Mutex::default(),
            wanted: Wanted::default(),
            stopping: AtomicBool::new(false),
            full: AtomicBool::new(false),
            wake: Notify::new(),
            left: Notify::new(),
            counts: Counts::default(),
        });
        if !floor.kinds.is_empty() && floor.config.concurrency > 0 {
            let floor = floor.clone();
            spawner.spawn(
                async move {
                    let (claim, renew) = (floor.claim_for_ever(), floor.renew_for_ever());
                    join4(claim, renew, floor.listen_for_ever(), floor.hear_for_ever()).await;
                }
                .boxed(),
            );
        }
        Self(floor)
    }

    /// How many runs are held at the moment.
    pub fn held(&self) -> usize {
        lock(&self.0.held).len()
    }

    /// Claims nothing more, lets the runs that are held come to their next record for `grace`, and releases those that have not, so that
    /// another process goes on with all of them at once. Returns how many could not be released: they are gone on with when their leases
    /// are over.
    ///
    /// Cancel safe: it may be called again.
    pub async fn stop(&self, grace: Duration) -> usize {
        let floor = &self.0;
        floor.stopping.store(true, Ordering::Release);
        floor.wake.notify_waiters();
        for pace in [Pace::StopSoon, Pace::StopNow] {
            lock(&floor.held).values().for_each(|tie| tie.slow_down(pace));
            let patience = if pace == Pace::StopSoon { grace } else { RELEASING };
            select(pin!(floor.empty()), floor.clock.sleep(patience)).await;
        }
        floor.left.notify_waiters();
        self.held()
    }
}

/// How long it may take to write that the runs are released.
const RELEASING: Duration = Duration::from_secs(6);

impl Floor {
    async fn claim_for_ever(self: &Arc<Self>) {
        let mut kinds: Vec<_> = self.kinds.iter().map(|(kind, work)| (kind.clone(), work.clone())).collect();
        loop {
            let wake = self.wake.notified();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            self.full.store(false, Ordering::Release);
            let mut pause = self.config.poll;
            let mut last = None;
            for (n, (kind, work)) in kinds.iter().enumerate().filter(|(_, (_, work))| work.is_wanted()) {
                let room = usize::from(self.config.concurrency).saturating_sub(lock(&self.held).len());
                let room = u16::try_from(room).unwrap_or(u16::MAX);
                // As many as were asked for: there may be more.
                if room == 0 {
                    self.full.store(true, Ordering::Release);
                    break;
                }
                if self.claim(kind, work, room, &mut pause).await == room {
                    self.full.store(true, Ordering::Release);
                    last = Some(n);
                    break;
                }
            }
            // Who has filled all there was room for is the last the next time.
            kinds.rotate_left(last.map_or(0, |n| n + 1));
            let has_room = lock(&self.held).len() < self.config.concurrency.into();
            match (self.full.load(Ordering::Acquire), has_room) {
                // Some have ended meanwhile.
                (true, true) => {}
                (true, false) => wake.await,
                (false, _) => {
                    select(pin!(wake), self.clock.sleep(pause)).await;
                }
            }
        }
    }

    /// How many it claimed; `pause` becomes shorter where the next one is due sooner.
    async fn claim(self: &Arc<Self>, kind: &str, work: &Arc<dyn Work>, room: u16, pause: &mut Duration) -> u16 {
        // Counted from here, the lease is over here before it is over in the store.
        let before = self.clock.monotonic();
        *lock(&self.meanwhile) = Some(Meanwhile::default());
        let claimed = self.runs.claim(kind, room, self.config.lease).await.unwrap_or_else(|error| {
            tracing::warn!(kind, %error, "runs cannot be claimed; trying again");
            Claimed::default()
        });
        if let Some(next) = claimed.next {
            *pause = (*pause).min(if next.is_zero() { OVERDUE } else { next.max(SHORTEST) });
        }
        let number = u16::try_from(claimed.runs.len()).unwrap_or(u16::MAX);
        for run in claimed.runs {
            self.begin(run, before + self.config.lease, work.clone());
        }
        *lock(&self.meanwhile) = None;
        number
    }

    fn begin(self: &Arc<Self>, run: RunRecord, until: Duration, work: Arc<dyn Work>) {
        self.counts.claimed.fetch_add(1, Ordering::Relaxed);
        let tie = Arc::new(Tie::new(&run, until));
        lock(&self.held).insert(tie.hold.clone(), tie.clone());
        if lock(&self.meanwhile).as_ref().is_some_and(|meanwhile| meanwhile.may_be_about(tie.hold.run)) {
            tie.hint();
        }
        if self.stopping.load(Ordering::Acquire) {
            tie.slow_down(Pace::StopNow);
        }
        self.forward(&tie.hold);
        self.spawner.spawn(carry(self.clone(), run, tie, work).boxed());
    }

    /// Renews all that is held, three times in the time of a lease, until the workers have stopped.
    async fn renew_for_ever(&self) {
        loop {
            let left = self.left.notified();
            let ties: Vec<_> = lock(&self.held).values().cloned().collect();
            if ties.is_empty() && self.stopping.load(Ordering::Acquire) {
                return;
            }
            if !ties.is_empty() {
                self.renew(&ties).await;
            }
            let mut pause = self.clock.sleep(self.config.lease / 3);
            // What is let go does not make it renew the others earlier, but the last one ends it.
            let mut left = pin!(left);
            while let futures_util::future::Either::Right(_) = select(&mut pause, left.as_mut()).await {
                if self.stopping.load(Ordering::Acquire) && lock(&self.held).is_empty() {
                    return;
                }
                left.set(self.left.notified());
            }
        }
    }

    async fn renew(&self, ties: &[Arc<Tie>]) {
        let holds: Vec<_> = ties.iter().map(|tie| tie.hold.clone()).collect();
        let before = self.clock.monotonic();
        match self.runs.renew(&holds, self.config.lease).await {
            Ok(renewed) => {
                for (tie, renewed) in ties.iter().zip(renewed) {
                    match renewed {
                        Some(inputs) => tie.renewed(before + self.config.lease, inputs),
                        // Or it was let go meanwhile.
                        None => tie.lose(),
                    }
                }
            }
            Err(error) => tracing::warn!(runs = holds.len(), %error, "runs cannot be renewed; trying again"),
        }
    }

    async fn listen_for_ever(&self) {
        let told = |hint: Option<super::hints::Hint>| {
            // Before those that are held: what is claimed is held before it is looked here for it.
            if let Some(meanwhile) = &mut *lock(&self.meanwhile) {
                meanwhile.hear(hint.as_ref().map(|hint| hint.run));
            }
            let ties = lock(&self.held).values().cloned().collect::<Vec<_>>();
            match hint {
                Some(hint) => {
                    ties.iter().filter(|tie| tie.hold.run == hint.run).for_each(|tie| tie.hint());
                    if self.kinds.contains_key(&hint.kind) {
                        self.wake.notify_waiters();
                    }
                }
                // Some may have been missed.
                None => {
                    ties.iter().for_each(|tie| tie.hint());
                    self.wake.notify_waiters();
                }
            }
        };
        let listen = self.hints.listen(&*self.clock, self.config.poll, told);
        select(pin!(listen), pin!(self.stopped())).await;
    }

    pub(super) async fn stopped(&self) {
        loop {
            let left = self.left.notified();
            if self.stopping.load(Ordering::Acquire) && lock(&self.held).is_empty() {
                return;
            }
            left.await;
        }
    }

    async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if lock(&self.held).is_empty() {
                return;
            }
            left.await;
        }
    }

    /// How a run is held here.
    pub(super) fn hold_of(&self, run: RunId) -> Option<Hold> {
        lock(&self.held).keys().find(|hold| hold.run == run).cloned()
    }

    /// A run is held here no more.
    pub(super) fn leave(&self, hold: &Hold) {
        lock(&self.held).remove(hold);
        self.left.notify_waiters();
        if self.full.load(Ordering::Acquire) {
            self.wake.notify_waiters();
        }
    }

    /// A run that was let go here is due after `time`: a claim tells how long that is.
    pub(super) fn is_due_in(&self, time: Duration) {
        if time < self.config.poll {
            self.wake.notify_waiters();
        }
    }

    pub(super) fn end(&self, run: &RunRecord, ending: Ending, result: Bytes) -> Turn {
        run.end(ending, result, self.clock.now())
    }

    /// Counts how a run was let go, or that it was lost.
    pub(super) fn count(&self, turn: Option<&Turn>) {
        let count = match turn {
            None => &self.counts.lost,
            Some(Turn::End { ending: Ending::Completed, .. }) => &self.counts.completed,
            Some(Turn::End { ending: Ending::Failed, .. }) => &self.counts.failed,
            Some(Turn::End { ending: Ending::Cancelled, .. }) => &self.counts.cancelled,
            Some(_) => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the other processes that there is a run to claim.
    pub(super) async fn tell(&self, run: RunId, kind: &str) {
        self.hints.tell(run, kind).await;
    }
}

impl Collector for Workers {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn collect(&self) -> Vec<Sample> {
        let counts = &self.0.counts;
        let runs = |event: &str, count: &AtomicU64| {
            let help = "Runs by what this process did with them: `claimed`, `completed`, `failed`, `cancelled`, or `lost` to another one.";
            Sample::counter("mcp_runs_total", help, count.load(Ordering::Relaxed) as f64).with("event", event)
        };
        vec![
            runs("claimed", &counts.claimed),
            runs("completed", &counts.completed),
            runs("failed", &counts.failed),
            runs("cancelled", &counts.cancelled),
            runs("lost", &counts.lost),
            Sample::gauge("mcp_runs_held", "Runs that this process holds.", self.held() as f64),
        ]
    }
}
