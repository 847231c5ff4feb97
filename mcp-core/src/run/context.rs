//! What the work of a run may know and do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::delta::Attempt;
use super::error::{RunError, of_store};
use super::flow::{Flow, Wait};
use super::journal::Journal;
use super::tie::{Pace, Tie};
use super::watching::{News, Watched};
use crate::clock::{Clock, Timestamp};
use crate::context::Cancellation;
use crate::context::withheld::Withheld;
use crate::memory::lock;
use crate::store::StoreError;
use crate::store::ledger::{Entry, Ledger};
use crate::store::runs::{Input, InputKind, RunId, RunRecord, Runs, Step, StepKind, each_step};
use crate::store::stats::ModelUse;

/// What the work of a run may know and do. Cheap to clone. Once the run is let go, or lost, nothing that it does goes forward.
#[derive(Clone)]
pub struct RunContext(Arc<Inner>);

pub(super) struct Inner {
    pub(super) run: RunRecord,
    pub(super) tie: Arc<Tie>,
    pub(super) flow: Flow,
    pub(super) journal: Mutex<Journal>,
    cancellation: Cancellation,
    /// Why it fails, if it is to end and nobody has cancelled it.
    failing: OnceLock<String>,
    mailbox: Mutex<Mailbox>,
    /// Something has come into the mailbox.
    mail: Notify,
    clock: Arc<dyn Clock>,
    ledger: Arc<dyn Ledger>,
    runs: Arc<dyn Runs>,
    watched: Watched,
    /// How often a model was asked for it here.
    attempts: AtomicU32,
}

/// The inputs that are here.
#[derive(Default)]
struct Mailbox {
    /// Those that the work has not taken.
    waiting: VecDeque<Input>,
    /// How many were fetched in all.
    fetched: u32,
}

/// How many rows are read at a time.
const PAGE: u16 = 200;

impl RunContext {
    /// Reads what the run has recorded.
    pub(super) async fn load(
        run: RunRecord,
        tie: Arc<Tie>,
        clock: Arc<dyn Clock>,
        ledger: Arc<dyn Ledger>,
        runs: Arc<dyn Runs>,
        watched: Watched,
    ) -> Result<Self, StoreError> {
        let mut journal = Journal::default();
        each_step(&*runs, &run.tenant, run.id, 0, |step| journal.add(step)).await?;
        Ok(Self(Arc::new(Inner {
            run,
            tie,
            flow: Flow::default(),
            journal: Mutex::new(journal),
            cancellation: Cancellation::default(),
            failing: OnceLock::new(),
            mailbox: Mutex::default(),
            mail: Notify::new(),
            clock,
            ledger,
            runs,
            watched,
            attempts: AtomicU32::new(0),
        })))
    }

    /// The run, as it was when it was claimed.
    pub fn run(&self) -> &RunRecord {
        &self.0.run
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.0.run.id
    }

    /// The server's clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// What is to be done, as this type.
    ///
    /// # Errors
    /// [`RunError::Failed`], which ends the run, where the arguments are something else.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        serde_json::from_slice(&self.0.run.arguments)
            .map_err(|error| RunError::failed(format!("the arguments cannot be read: {error}")))
    }

    /// All that the run has recorded, here and in other processes, in order.
    pub fn journal(&self) -> Vec<Step> {
        lock(&self.0.journal).steps().to_vec()
    }

    /// Records something under `key`, durably once the future is `Ok`. What is there already under this key stays.
    ///
    /// Not cancel safe: a dropped future may or may not have recorded.
    ///
    /// # Errors
    /// [`RunError::Unavailable`]; [`RunError::Failed`] where it, or the journal, would be too large.
    pub async fn record(&self, key: &str, value: &impl Serialize) -> Result<(), RunError> {
        self.record_decision(key, value, Vec::new()).await
    }

    /// The same of a decision for which models were asked.
    pub(crate) async fn record_decision(
        &self,
        key: &str,
        value: &impl Serialize,
        used: Vec<ModelUse>,
    ) -> Result<(), RunError> {
        if lock(&self.0.journal).find(key, StepKind::Noted).is_some() {
            return Ok(());
        }
        self.pass().await;
        let _busy = self.0.flow.busy();
        self.write_with(StepKind::Noted, key, serde_json::to_vec(value)?.into(), None, used).await
    }

    /// What was recorded under `key`.
    ///
    /// # Errors
    /// [`RunError::Internal`] where that is something else than a `T`.
    pub fn recorded<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, RunError> {
        let journal = lock(&self.0.journal);
        let found = journal.find(key, StepKind::Noted).map(|step| serde_json::from_slice(&step.body));
        Ok(found.transpose()?)
    }

    /// The next input, in the order in which they were posted: of a run that is done again from its beginning, the first one again.
    ///
    /// Where there is none and nothing else is under way, the run is let go, at no cost, until one comes: then its work begins again
    /// from the beginning, with all that it had recorded. What is under way beside it and is no effect is dropped with it.
    ///
    /// Cancel safe.
    pub async fn input(&self) -> Input {
        let taken = self.next_input(None).await;
        // Without a moment it ends by an input alone.
        match taken {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }

    /// As [`RunContext::input`], but for no longer than `time` since it was first asked for under this `key`. That there was none in time
    /// is recorded, and said again when the run is done again.
    ///
    /// # Errors
    /// As [`RunContext::record`].
    pub async fn input_within(&self, key: &str, time: Duration) -> Result<Option<Input>, RunError> {
        let over = format!("{key}, and none came");
        if self.recorded::<()>(&over)?.is_some() {
            return Ok(None);
        }
        let until = self.moment(key, time).await?;
        let input = self.next_input(Some(until)).await;
        if input.is_none() {
            self.record(&over, &()).await?;
        }
        Ok(input)
    }

    /// Waits for `time` since it was first asked for under this `key`, however often the run is done again. The run is let go
    /// meanwhile, as by [`RunContext::input`].
    ///
    /// # Errors
    /// As [`RunContext::record`].
    pub async fn pause(&self, key: &str, time: Duration) -> Result<(), RunError> {
        let until = self.moment(key, time).await?;
        let left = self.0.clock.now().until(until);
        if !left.is_zero() {
            let _waiting = self.0.flow.waiting(Wait::Until(Some(until)));
            self.0.clock.sleep(left).await;
        }
        Ok(())
    }

    /// Whether the run should end: somebody has cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancellation.is_set()
    }

    /// Completes when the run should end. It goes on for a grace, and is dropped then. A run that only waits ends at once.
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        self.0.cancellation.cancelled().await;
    }

    /// Has it end as if it were cancelled, but failed, and says why.
    pub(crate) fn fail(&self, why: String) {
        let _ = self.0.failing.set(why);
        self.0.cancellation.cancel();
    }

    /// How it ends once it has stopped since it should end.
    pub(super) fn stopped(&self) -> RunError {
        match self.0.failing.get() {
            Some(why) => RunError::failed(why.as_str()),
            None => RunError::Cancelled,
        }
    }

    /// When `time` is over since this was first asked for.
    async fn moment(&self, key: &str, time: Duration) -> Result<Timestamp, RunError> {
        if let Some(until) = self.recorded(key)? {
            return Ok(until);
        }
        let until = self.0.clock.now().after(time);
        self.record(key, &until).await?;
        Ok(until)
    }

    async fn next_input(&self, moment: Option<Timestamp>) -> Option<Input> {
        loop {
            let mail = self.0.mail.notified();
            let all_are_here = {
                let mut mailbox = lock(&self.0.mailbox);
                if let Some(input) = mailbox.waiting.pop_front() {
                    return Some(input);
                }
                self.all_are_here(mailbox.fetched)
            };
            let Some(moment) = moment else {
                let _waiting = all_are_here.then(|| self.0.flow.waiting(Wait::Until(None)));
                mail.await;
                continue;
            };
            let left = self.0.clock.now().until(moment);
            if left.is_zero() && all_are_here {
                return None;
            }
            let _waiting = all_are_here.then(|| self.0.flow.waiting(Wait::Until(Some(moment))));
            if all_are_here {
                futures_util::future::select(std::pin::pin!(mail), self.0.clock.sleep(left)).await;
            } else {
                mail.await;
            }
        }
    }

    /// Waits for ever where the server stops: another one is to go on.
    pub(super) async fn pass(&self) {
        if self.0.tie.pace() != Pace::GoOn {
            let _waiting = self.0.flow.waiting(Wait::Relief);
            std::future::pending::<()>().await;
        }
    }

    /// Writes a step, and the record of the call of which it tells. Whoever calls it is busy.
    pub(super) async fn write(
        &self,
        kind: StepKind,
        key: &str,
        body: bytes::Bytes,
        of: Option<&Withheld>,
    ) -> Result<(), RunError> {
        self.write_with(kind, key, body, of, Vec::new()).await
    }

    /// The same of a step for which models were asked.
    async fn write_with(
        &self,
        kind: StepKind,
        key: &str,
        body: bytes::Bytes,
        of: Option<&Withheld>,
        used: Vec<ModelUse>,
    ) -> Result<(), RunError> {
        let (step, hold) = {
            let mut journal = lock(&self.0.journal);
            let step = Step { number: journal.take_number()?, kind, key: key.to_owned(), body, at: self.0.clock.now() };
            (step, self.0.tie.hold.clone())
        };
        let record = of.and_then(Withheld::take);
        let number = step.number;
        let used = used.into_iter().map(|used| Entry::Used { hold: hold.clone(), number, used });
        let mut entries: Vec<_> = used.collect();
        entries.push(Entry::Step { hold, step: step.clone() });
        entries.extend(record.clone().map(Entry::Call));
        let committed = self.0.ledger.commit(entries).await;
        if let (Err(StoreError::Conflict { .. } | StoreError::Refused { .. }), Some(record)) = (&committed, record) {
            // The call was made, whatever becomes of the run; it is in the queue when `commit` returns.
            drop(self.0.ledger.commit(vec![Entry::Call(record)]));
        }
        match committed {
            Ok(()) => {
                lock(&self.0.journal).add(step);
                self.0.watched.tell(self.id(), &News::Recorded);
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => {
                // Somebody else goes on with it: nothing here does.
                self.0.tie.lose();
                std::future::pending().await
            }
            Err(error) => Err(of_store(error)),
        }
    }

    /// Fetches inputs as they come, for ever.
    pub(super) async fn fetch_inputs(&self) {
        /// After so long it tries again to read what is there.
        const RETRY: Duration = Duration::from_secs(1);
        let Inner { run, tie, runs, clock, .. } = &*self.0;
        loop {
            let (changed, hints) = (tie.changed(), tie.hints());
            let fetched = lock(&self.0.mailbox).fetched;
            if self.all_are_here(fetched) {
                changed.await;
                continue;
            }
            match runs.inputs(&run.tenant, run.id, fetched, PAGE).await {
                Ok(page) => {
                    tie.follow(hints);
                    self.deliver(page);
                }
                Err(_) => clock.sleep(RETRY).await,
            }
        }
    }

    /// Completes when all inputs are here of which is known.
    pub(super) async fn all_fetched(&self) {
        loop {
            let mail = self.0.mail.notified();
            if self.fetched() >= self.0.tie.inputs() {
                return;
            }
            mail.await;
        }
    }

    /// Whether there are no more inputs than those that were fetched, for all that is known.
    fn all_are_here(&self, fetched: u32) -> bool {
        fetched >= self.0.tie.inputs() && self.0.tie.is_followed()
    }

    fn deliver(&self, page: Vec<Input>) {
        if page.len() == usize::from(PAGE) {
            self.0.tie.hint();
        }
        let mut mailbox = lock(&self.0.mailbox);
        for input in page {
            mailbox.fetched += 1;
            match input.kind {
                InputKind::Cancel => self.0.cancellation.cancel(),
                InputKind::Message => mailbox.waiting.push_back(input),
            }
        }
        drop(mailbox);
        self.0.mail.notify_waiters();
    }

    /// Those who watch it.
    pub(crate) fn watched(&self) -> &Watched {
        &self.0.watched
    }

    /// Which time a model is asked for it now.
    pub(crate) fn next_attempt(&self) -> Attempt {
        Attempt::of(self.0.tie.hold.epoch, self.0.attempts.fetch_add(1, Ordering::Relaxed))
    }

    /// For what the run waits, if all that it does is to wait.
    pub(super) fn rest(&self) -> Option<Wait> {
        self.0.flow.rest()
    }

    /// How many inputs are here.
    pub(super) fn fetched(&self) -> u32 {
        lock(&self.0.mailbox).fetched
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}
