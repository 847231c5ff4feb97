//! Performs what agents decide, and records each step before the next.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select};
use tracing::Instrument;

use super::budget::{Budget, Limit, Spent};
use super::context::AgentContext;
use super::decision::Decision;
use super::inbox::{Inbox, Letter};
use super::offered::OfferedAgent;
use super::order::Order;
use super::outcome::{Output, exhausted};
use super::step::Step;
use super::thread::{Heard, InThread, Threading};
use super::transcript::{Performed, Transcript, Turn, text};
use super::{AgentError, AgentRefusal, KIND, spans};
use crate::caller::{Caller, Fallen};
use crate::changes::Change;
use crate::run::{RunContext, RunError, Work, of_store};
use crate::server::Server;
use crate::store::StoreError;
use crate::store::id::derived;
use crate::store::runs::{Input, InputId, InputKind, RunId, RunRecord, RunState, StepKind, each_step};
use crate::store::stats::ModelUse;

/// Does the runs of agents.
pub(crate) struct AgentWork {
    server: Server,
}

/// A run of an agent, in the process that holds it.
pub(super) struct Runner<'r> {
    pub(super) server: &'r Server,
    pub(super) run: &'r RunContext,
    pub(super) caller: Caller,
    pub(super) inbox: Inbox<'r>,
    /// When it was last looked who the caller is now.
    looked: Option<Duration>,
    /// What the run may use.
    budget: Budget,
    pub(super) thread: Option<InThread>,
    transcript: Transcript,
}

#[async_trait]
impl Work for AgentWork {
    async fn run(&self, run: RunContext) -> Result<Bytes, RunError> {
        let order = Order::of(run.run())?;
        let caller = order.caller(run.run());
        let agent = find(&self.server, &caller, &order.agent)?;
        let budget = order.budget.and(agent.spec().budget);
        let transcript = Transcript::begin(order.input);
        let inbox = Inbox::of(&run);
        let thread = order.thread;
        let runner =
            Runner { server: &self.server, caller, inbox, run: &run, looked: None, budget, thread, transcript };
        let span = spans::invoke_agent(&order.agent, run.id());
        let watching = pin!(self.watch_caller(&run, runner.caller.clone()));
        match select(pin!(runner.run(agent).instrument(span)), watching).await {
            Either::Left((ended, _)) => ended,
            Either::Right((never, _)) => match never {},
        }
    }

    fn is_wanted(&self) -> bool {
        self.server.agents().has_any()
    }

    /// Tells the run that has begun this one that it has ended, and those that it has begun that they may.
    async fn let_go(&self, run: &RunRecord) {
        if run.parent.is_none() {
            // Whoever follows it sees it at the next look.
            let _ = self.server.changes().tell(Some(&run.tenant), &Change::Task(run.id)).await;
        }
        // Who is not told looks after a while.
        for told in [self.tell(run).await, self.leave_thread(run).await] {
            if let Err(error) = told {
                tracing::warn!(run = %run.id, %error, "who waits for a run is not told that it has ended");
            }
        }
    }
}

impl AgentWork {
    pub(crate) fn new(server: Server) -> Self {
        Self { server }
    }

    /// Ends the run in the middle of what it does, where its caller is shut out.
    async fn watch_caller(&self, run: &RunContext, caller: Caller) -> Infallible {
        let clock = self.server.clock();
        loop {
            clock.sleep(LOOK_AT_CALLER).await;
            let standing = self.server.caller_books().standing(&caller, clock.now()).await;
            if let Err(fallen @ (Fallen::User | Fallen::Key)) = standing {
                run.fail(fallen.to_string());
                pending::<()>().await;
            }
        }
    }

    async fn tell(&self, run: &RunRecord) -> Result<(), StoreError> {
        if !run.state.is_end() {
            return Ok(());
        }
        if let Some(parent) = run.parent {
            self.tell_of_end(run, parent).await?;
        }
        if run.state != RunState::Completed {
            for child in self.begun_by(run).await? {
                post(&self.server, run, child, InputKind::Cancel, Bytes::new()).await?;
            }
        }
        Ok(())
    }

    /// Lets the next run of its thread begin.
    async fn leave_thread(&self, run: &RunRecord) -> Result<(), StoreError> {
        let thread = Order::of(run).ok().and_then(|order| order.thread).filter(|_| run.state.is_end());
        let Some(InThread { thread, before: None }) = thread else { return Ok(()) };
        let threading = Threading::new(&self.server, &run.tenant, &run.principal, thread);
        let Some(next) = threading.leave(run.id).await? else { return Ok(()) };
        self.tell_of_end(run, next).await
    }

    async fn tell_of_end(&self, run: &RunRecord, to: RunId) -> Result<(), StoreError> {
        let letter = Letter { ended: Some(run.id), ..Letter::default() };
        let body = serde_json::to_vec(&letter).unwrap_or_default().into();
        post(&self.server, run, to, InputKind::Message, body).await
    }

    /// The runs that `run` has begun.
    async fn begun_by(&self, run: &RunRecord) -> Result<Vec<RunId>, StoreError> {
        let mut begun = Vec::new();
        each_step(self.server.run_store(), &run.tenant, run.id, 0, |step| {
            if step.kind != StepKind::Noted || !step.key.starts_with(TURN) {
                return;
            }
            let parts = match serde_json::from_slice::<Decision>(&step.body).map(|decision| decision.step) {
                Ok(Step::Delegate(delegations, _)) => delegations.len(),
                Ok(Step::Call(calls)) if calls.iter().any(|call| call.delegated().is_some()) => calls.len(),
                _ => 0,
            };
            begun.extend((0..parts).map(|i| begun_for(run.id, &format!("{}/{i}", step.key))));
        })
        .await?;
        Ok(begun)
    }
}

/// Posts something of `run` to another one; once is enough.
pub(super) async fn post(
    server: &Server,
    run: &RunRecord,
    to: RunId,
    kind: InputKind,
    body: Bytes,
) -> Result<(), StoreError> {
    let id = InputId::from_u128(derived(run.id.as_u128(), kind.as_str().as_bytes()));
    let input = Input { id, principal: run.principal.clone(), kind, body, at: server.clock().now() };
    server.run_store().post(&run.tenant, to, &input).await?;
    server.hints().tell(to, KIND).await;
    Ok(())
}

/// The agent of that name, as the caller may use it.
pub(super) fn find(server: &Server, caller: &Caller, name: &str) -> Result<Arc<OfferedAgent>, RunError> {
    let seen = server.agents().seen_by(caller);
    seen.find(name).map_err(|unseen| match unseen {
        crate::catalog::Unseen::Lacking(lacking) => RunError::failed(lacking.to_string()),
        // It was offered where the run was begun.
        crate::catalog::Unseen::Unknown => RunError::again(unknown(name, server, caller)),
    })
}

/// That there is no such agent, as far as the caller may know, and which there are.
pub(super) fn unknown(name: &str, server: &Server, caller: &Caller) -> String {
    const SHOWN: usize = 20;
    let name: String = name.chars().take(64).collect();
    let agents = server.agents().seen_by(caller).list();
    let names: Vec<_> = agents.iter().take(SHOWN).map(|agent| agent.spec().name()).collect();
    match names[..] {
        [] => format!("there is no agent {name:?}; this server has none"),
        _ => format!("there is no agent {name:?}; there are {}", names.join(", ")),
    }
}

impl Runner<'_> {
    async fn run(mut self, mut agent: Arc<OfferedAgent>) -> Result<Bytes, RunError> {
        let thread = self.thread;
        if let Some(thread) = thread {
            let heard = self.enter(thread).await?;
            // What others do for it hears the same.
            self.thread = Some(InThread { before: Some(heard.before), ..thread });
            self.transcript.hear(heard.said);
        }
        let mut busy = Duration::ZERO;
        for n in 0_u32.. {
            let key = format!("{TURN}{n}");
            self.look_at_caller().await?;
            let (decision, is_known) = match self.run.recorded::<Decision>(&key)? {
                Some(decision) => (decision, true),
                None => {
                    let (decision, used) = self.decide(&key, &agent, std::mem::take(&mut busy)).await?;
                    self.run.record_decision(&key, &decision, used).await?;
                    (decision, false)
                }
            };
            self.transcript.spend(decision.spent);
            let performed = match decision.step {
                Step::Done(output) => {
                    if let Some(thread @ InThread { before: None, .. }) = thread {
                        let answered = self.threading(thread).answer(self.run.id(), text(&output)).await;
                        answered.map_err(of_store)?;
                    }
                    return Output::of(output, self.transcript.spent());
                }
                Step::Call(calls) => {
                    let begun = self.server.clock().monotonic();
                    let later = &decision.later;
                    let (outputs, spent) = self.call_all(&key, &calls, agent.spec(), later, is_known).await?;
                    busy = self.server.clock().monotonic().saturating_sub(begun);
                    self.transcript.spend(spent);
                    Performed::Called(calls.into_iter().zip(outputs).collect())
                }
                Step::Delegate(delegations, until) => {
                    let results = self.delegate_all(&key, &delegations, until).await?;
                    let spent = results.iter().fold(Spent::default(), |spent, result| spent.and(result.spent));
                    self.transcript.spend(spent);
                    Performed::Delegated(delegations.into_iter().zip(results).collect())
                }
                Step::HandOff(name) => {
                    agent = find(self.server, &self.caller, &name)?;
                    Performed::HandedOff(agent.spec().shared_name())
                }
                Step::Ask(inquiry) => {
                    let answer = self.inquire(&key, &inquiry).await?;
                    Performed::Asked(inquiry, answer)
                }
            };
            self.transcript.push(Turn { agent: decision.agent.into(), kept: decision.kept, performed });
        }
        Err(RunError::failed("the agent decides for ever"))
    }

    /// Comes to its turn in its thread, says there what it is to do, and hears what was said before.
    async fn enter(&self, thread: InThread) -> Result<Heard, RunError> {
        if let Some(heard) = self.run.recorded(HEARD)? {
            return Ok(heard);
        }
        let threading = self.threading(thread);
        let heard = match thread.before {
            Some(before) => threading.hear(before).await.map_err(of_store)?,
            None => {
                self.await_turn(&threading).await?;
                let begun = threading.begin(self.run.id(), self.transcript.input_text()).await.map_err(of_store)?;
                begun.ok_or_else(|| RunError::failed("the thread in which the run was to be is gone"))?
            }
        };
        self.run.record(HEARD, &heard).await?;
        Ok(heard)
    }

    /// Waits until those before it in its thread have ended.
    async fn await_turn(&self, threading: &Threading<'_>) -> Result<(), RunError> {
        for look in 0_u32.. {
            let before = threading.before(self.run.id()).await.map_err(|refusal| match refusal {
                AgentRefusal::Store(error) => of_store(error),
                other => RunError::again(other.to_string()),
            })?;
            let Some(before) = before else { break };
            self.inbox.ended(before, HEARD, look).await?;
        }
        Ok(())
    }

    fn threading(&self, thread: InThread) -> Threading<'_> {
        let run = self.run.run();
        Threading::new(self.server, &run.tenant, &run.principal, thread.thread)
    }

    /// Takes from the caller what they have no more since they started the run; and ends it, where the user was shut out, or their key.
    async fn look_at_caller(&mut self) -> Result<(), RunError> {
        let now = self.server.clock().monotonic();
        if self.looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK_AT_CALLER) {
            return Ok(());
        }
        let standing = self.server.caller_books().standing(&self.caller, self.server.clock().now()).await;
        self.caller = standing.map_err(|fallen| match fallen {
            Fallen::Store(error) => of_store(error),
            fallen => RunError::failed(fallen.to_string()),
        })?;
        self.looked = Some(now);
        Ok(())
    }

    /// Completes when the run must go on no further, and says why: it was cancelled, or has no time left.
    async fn stopped(&self, left: Option<Duration>) -> RunError {
        let over = pin!(async {
            match left {
                Some(time) => self.server.clock().sleep(time).await,
                None => pending().await,
            }
        });
        match select(over, pin!(self.run.cancelled())).await {
            Either::Left(_) => exhausted(Limit::Time, self.budget, &self.transcript),
            Either::Right(_) => RunError::Cancelled,
        }
    }

    /// What is left of the budget.
    pub(super) fn left(&self) -> Budget {
        self.budget.less(self.transcript.spent())
    }

    /// Asks the agent what is to be done next, which is recorded under `key`, and tells what models took for that. `busy` is what
    /// performing its step before has taken.
    async fn decide(
        &self,
        key: &str,
        agent: &OfferedAgent,
        busy: Duration,
    ) -> Result<(Decision, Vec<ModelUse>), RunError> {
        let mut spent = Spent { millis: millis(busy), ..Spent::default() };
        let left = self.left().less(spent);
        if let Some(limit) = left.used_up() {
            return Err(exhausted(limit, self.budget, &self.transcript));
        }
        let (server, caller, run) = (self.server.clone(), self.caller.clone(), self.run.clone());
        let cx = AgentContext::new(server, caller, run, (key, agent.spec().shared_name()), left);
        let clock = self.server.clock();
        let begun = clock.monotonic();
        let stepping = agent.agent().step(&self.transcript, cx.clone());
        let step = match select(stepping, pin!(self.stopped(left.time))).await {
            Either::Left((step, _)) => step.map_err(|error: AgentError| RunError::from(error))?,
            Either::Right((why, _)) => return Err(why),
        };
        let noted = cx.take_noted();
        let (calls, later) = match &step {
            Step::Call(calls) => (u32::try_from(calls.len()).unwrap_or(u32::MAX), self.later(calls, agent.spec())),
            _ => (0, Vec::new()),
        };
        let millis = millis(clock.monotonic().saturating_sub(begun));
        spent = spent.and(noted.spent).and(Spent { steps: 1, calls, millis, ..Spent::default() });
        if left.calls.is_some_and(|most| most < calls) {
            return Err(exhausted(Limit::Calls, self.budget, &self.transcript));
        }
        let (name, at) = (agent.spec().name().to_owned(), self.server.clock().now());
        let used = noted.models.into_iter().map(|(model, (tokens, cost))| {
            let agent = name.clone();
            ModelUse { agent, model, tokens, cost, at }
        });
        let used = used.collect();
        Ok((Decision { agent: name, kept: noted.kept, spent, step, later }, used))
    }
}

/// How long it may take until what was taken from a caller is taken from their runs.
const LOOK_AT_CALLER: Duration = Duration::from_secs(5);

/// With what the keys begin under which decisions are recorded.
const TURN: &str = "turn.";

/// Under which key it is recorded what a run has heard in its thread.
const HEARD: &str = "thread";

/// The run that `run` has begun for what it decided under `key`.
pub(super) fn begun_for(run: RunId, key: &str) -> RunId {
    RunId::from_u128(derived(run.as_u128(), key.as_bytes()))
}

/// Whether a decision is recorded under this key.
pub(super) fn is_turn(key: &str) -> bool {
    number_of_turn(key).is_some()
}

/// The number of the decision that is recorded under this key.
pub(super) fn number_of_turn(key: &str) -> Option<u32> {
    key.strip_prefix(TURN)?.parse().ok()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
