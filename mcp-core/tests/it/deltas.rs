//! What a language model says, told to who follows a run while it is said.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::unfold;
use futures_util::{FutureExt, StreamExt};
use mcp_core::agent::{Inquiry, ModelAgent, Told};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::memory::MemoryEvents;
use mcp_core::model::Deltas;
use mcp_core::model::delta::{Delta, End, FinishReason};
use mcp_core::model::message::ToolCall;
use mcp_core::run::WorkersConfig;
use mcp_core::store::StoreError;
use mcp_core::store::events::{Events, Listener, Topic};
use mcp_core::store::runs::{RunId, RunState};
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, LanguageModel, Message, ModelError, ModelRequest, Step, Transcript,
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::agents::{Yes, answer, start};
use crate::following::{Follower, follow, in_short};
use crate::run_house::{House, LEASE, Replica, SECOND, caller, json_of};
use crate::support::settle;

type Said = Result<Delta, ModelError>;

/// A model that says what it is told, when it is told so; whoever asks last is spoken to.
#[derive(Clone, Default)]
struct Prompted(Arc<Mutex<Vec<UnboundedSender<Said>>>>);

#[async_trait]
impl LanguageModel for Prompted {
    fn name(&self) -> &'static str {
        "prompted::model"
    }

    async fn stream(&self, _: &ModelRequest) -> Result<Deltas, ModelError> {
        let (says, said) = unbounded_channel();
        self.0.lock().unwrap().push(says);
        Ok(unfold(said, |mut said| async { said.recv().await.map(|delta| (delta, said)) }).boxed())
    }
}

impl Prompted {
    /// Nothing comes behind an end, or an error.
    async fn gives(&self, said: Said) {
        settle().await;
        let says = self.0.lock().unwrap().pop().unwrap();
        let is_last = matches!(said, Err(_) | Ok(Delta::End(_)));
        says.send(said).unwrap();
        if !is_last {
            self.0.lock().unwrap().push(says);
        }
        settle().await;
    }

    async fn says(&self, text: &str) {
        self.gives(Ok(Delta::text(text))).await;
    }

    async fn calls(&self, tool: &str) {
        let call = ToolCall { id: "a".to_owned(), name: tool.to_owned(), arguments: "{}".to_owned() };
        self.gives(Ok(Delta::call(0, call))).await;
    }

    async fn ends(&self) {
        self.gives(Ok(Delta::End(End::new(FinishReason::Stop)))).await;
    }

    fn agent(&self) -> ModelAgent {
        ModelAgent::new("writer", "Writes.", self.clone()).tools(["*"])
    }
}

/// A run of an agent that asks such a model.
async fn begun(change: impl FnOnce(ModelAgent) -> ModelAgent) -> (House, Replica, Prompted, RunId) {
    let (house, model) = (House::new(), Prompted::default());
    let replica = house.replica(|builder| builder.agent(change(model.agent())));
    let id = start(&replica, "writer", json!("Write.")).await;
    (house, replica, model, id)
}

#[tokio::test]
async fn what_a_model_says_is_told_while_it_says_it_and_before_what_comes_of_it() {
    let (_house, replica, model, id) = begun(|agent| agent).await;
    let follower = Follower::of(&replica, id).await;
    assert_eq!(follower.told().await, ["run.started writer"]);
    // No time passes.
    model.says("Größe").await;
    assert_eq!(follower.told().await, ["turn.0 1.0 0: Größe"]);
    model.says(" counts").await;
    assert_eq!(follower.told().await, ["turn.0 1.0 5:  counts"]);
    model.calls("agent.nobody").await;
    model.calls("agent.nobody").await;
    assert_eq!(follower.told().await, ["turn.0 1.0 12: agent.nobody"], "that it is written, and once");
    model.says(".").await;
    model.ends().await;
    assert_eq!(follower.told().await[..2], ["turn.0 1.0 12: .", "step writer"]);

    // Of who comes later it is told from then on.
    model.says("Do").await;
    let late = Follower::of(&replica, id).await;
    assert_eq!(late.told().await[..2], ["run.started writer", "step writer"]);
    model.says("ne").await;
    assert_eq!(late.told().await, ["turn.1 1.1 2: ne"]);
    assert_eq!(follower.told().await, ["turn.1 1.1 0: Do", "turn.1 1.1 2: ne"]);
    model.ends().await;
    for told in [follower.told().await, late.told().await] {
        assert_eq!(told, ["step writer", "run.ended completed"]);
    }
    let events = replica.server.agent_runs().events(&caller(), id, None, 100).await.unwrap().unwrap();
    assert!(events.iter().all(|event| event.what.name() != "model.delta"), "nothing of it is recorded");
}

#[tokio::test]
async fn who_comes_again_is_told_all_that_is_recorded_once_and_deltas_from_then_on() {
    let (_house, replica, model, id) = begun(|agent| agent).await;
    let mut following = follow(&replica, id, None).await;
    let Some(Told::Event(begun)) = following.next().await else { panic!("it has begun") };
    model.says("One").await;
    assert!(matches!(following.next().await, Some(Told::Delta(_))));
    drop(following);
    model.says(" two").await;
    let again = Follower::behind(&replica, id, Some(begun.id)).await;
    model.says(" three").await;
    model.ends().await;
    assert_eq!(again.told().await, ["turn.0 1.0 7:  three", "step writer", "run.ended completed"]);
}

#[tokio::test]
async fn a_step_that_is_decided_anew_is_another_attempt() {
    let (house, replica, model, id) = begun(|agent| agent).await;
    let follower = Follower::of(&replica, id).await;
    model.says("One").await;
    // Its stream is cut: the run is tried again.
    model.gives(Err(ModelError::broken("it was cut"))).await;
    house.clock.advance(Duration::from_secs(1));
    model.says("   ").await;
    // What cannot be used is asked for again at once.
    model.ends().await;
    model.says("Two").await;
    model.ends().await;
    let told = follower.told().await;
    assert_eq!(
        told[1..],
        ["turn.0 1.0 0: One", "turn.0 2.0 0:    ", "turn.0 2.1 0: Two", "step writer", "run.ended completed"]
    );
}

#[tokio::test]
async fn what_an_earlier_holder_goes_on_to_say_is_not_told() {
    let (house, old, new) = (House::new(), Prompted::default(), Prompted::default());
    // Its time stands still, so that it does not know that its lease is over.
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), |builder| builder.agent(old.agent()));
    let id = start(&first, "writer", json!("Write.")).await;
    old.says("One").await;
    let second = house.replica(|builder| builder.agent(new.agent()));
    house.clock.advance(LEASE);
    let follower = Follower::of(&second, id).await;
    new.says("Two").await;
    assert_eq!(follower.told().await, ["run.started writer", "turn.0 2.0 0: Two"]);
    old.says(" more").await;
    first.clock.advance(GATHERED);
    settle().await;
    new.says(" and").await;
    new.ends().await;
    assert_eq!(follower.told().await, ["turn.0 2.0 3:  and", "step writer", "run.ended completed"]);
}

#[tokio::test]
async fn of_an_agent_with_guards_of_its_output_nothing_is_told_before_it_has_decided() {
    let guard = |text: &str| if text.contains("secret") { Err("Tell no secrets.".to_owned()) } else { Ok(()) };
    let (_house, replica, model, id) = begun(|agent| agent.guard_output(guard)).await;
    let follower = Follower::of(&replica, id).await;
    model.says("The secret").await;
    model.ends().await;
    model.says("Nothing").await;
    model.ends().await;
    assert_eq!(follower.told().await, ["run.started writer", "step writer", "run.ended completed"]);
}

#[tokio::test]
async fn what_was_said_for_a_step_is_not_told_behind_it() {
    let (_house, replica, model, id) = begun(|agent| agent).await;
    let mut late = follow(&replica, id, None).await;
    let Some(Told::Event(_)) = late.next().await else { panic!("it has begun") };
    model.says("One").await;
    model.calls("agent.nobody").await;
    model.ends().await;
    model.says("Two").await;
    let mut told = Vec::new();
    while let Some(Some(more)) = late.next().now_or_never() {
        told.push(in_short(&more));
    }
    assert_eq!((&*told[0], told.last().map(String::as_str)), ("step writer", Some("turn.1 1.1 0: Two")), "{told:?}");
    assert!(!told.iter().any(|told| told.contains("One")), "{told:?}");
}

/// What a slow reader misses is a gap in one place, and the rest is in its order; the model waits for nobody.
#[tokio::test]
async fn a_slow_reader_misses_deltas_and_nothing_else() {
    let (house, replica, model, id) = begun(|agent| agent).await;
    let mut slow = follow(&replica, id, None).await;
    let Some(Told::Event(_)) = slow.next().await else { panic!("it has begun") };
    assert!(slow.next().now_or_never().is_none());
    let text: String = ('a'..='z').cycle().take(300_000).collect();
    model.says(&text).await;
    model.ends().await;
    let run = house.until(id, RunState::Completed).await;
    assert_eq!(json_of(&run)["output"], text);
    let (mut end, mut bytes, mut names) = (0, 0, Vec::new());
    while let Some(told) = slow.next().await {
        match told {
            Told::Delta(delta) => {
                let from = usize::try_from(delta.from).unwrap();
                assert!(from >= end && text[from..].starts_with(&delta.text), "{from} {end}");
                (end, bytes) = (from + delta.text.len(), bytes + delta.text.len());
            }
            Told::Event(event) => names.push(event.what.name()),
            _ => panic!("there is nothing else"),
        }
    }
    assert!((1_000..=64 * 1024).contains(&bytes), "{bytes}");
    assert_eq!(names, ["step", "run.ended"]);
}

/// Events that are listened to, or that are away.
#[derive(Default)]
struct Overheard {
    events: MemoryEvents,
    topics: Mutex<Vec<Topic>>,
    are_away: bool,
}

impl Overheard {
    fn error() -> StoreError {
        StoreError::Unavailable { store: "events", source: None }
    }

    /// How often something was told of a run.
    fn told(&self) -> usize {
        let topics = self.topics.lock().unwrap();
        let told: Vec<_> = topics.iter().filter(|topic| topic.name().starts_with("run ")).collect();
        assert!(told.iter().all(|topic| topic.tenant() == Some(caller().tenant())), "to nobody else's callers");
        told.len()
    }
}

#[async_trait]
impl Events for Overheard {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), StoreError> {
        self.topics.lock().unwrap().push(topic.clone());
        if self.are_away { Err(Self::error()) } else { self.events.publish(topic, payload).await }
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Listener, StoreError> {
        if self.are_away { Err(Self::error()) } else { self.events.subscribe(topic).await }
    }
}

/// A replica that does runs, one that does none, and what they tell each other.
fn two(events: Overheard, model: &Prompted) -> (House, Replica, Replica, Arc<Overheard>) {
    let (mut house, events) = (House::new(), Arc::new(events));
    house.stores.events = events.clone();
    let mut idle = WorkersConfig::default();
    idle.concurrency = 0;
    let worker = house.replica(|builder| builder.agent(model.agent()).agent(Asker::new(model)));
    let desk =
        house.replica_at(house.clock.clone(), idle, |builder| builder.agent(model.agent()).agent(Asker::new(model)));
    (house, worker, desk, events)
}

/// How long it is gathered what is told to other replicas.
const GATHERED: Duration = Duration::from_millis(40);

#[tokio::test]
async fn who_follows_at_another_replica_is_told_as_well_and_nothing_goes_there_for_anybody_else() {
    let model = Prompted::default();
    let (house, worker, desk, events) = two(Overheard::default(), &model);
    let id = start(&worker, "writer", json!("Write.")).await;
    let near = Follower::of(&worker, id).await;
    model.says("One").await;
    house.clock.advance(GATHERED);
    assert_eq!(near.told().await, ["run.started writer", "turn.0 1.0 0: One"]);
    assert_eq!(events.told(), 0, "nobody follows it elsewhere");

    let far = Follower::of(&desk, id).await;
    assert_eq!(far.told().await, ["run.started writer"]);
    model.says(" two").await;
    model.says(" three").await;
    house.clock.advance(GATHERED);
    assert_eq!((far.told().await, events.told()), (vec!["turn.0 1.0 3:  two three".to_owned()], 1));
    assert_eq!(near.told().await, ["turn.0 1.0 3:  two", "turn.0 1.0 7:  three"], "and nothing twice");
    // They stay for a quarter of an hour.
    for _ in 0..15 * 60 {
        settle().await;
        house.clock.advance(SECOND);
    }
    model.says(" four").await;
    model.ends().await;
    house.clock.advance(GATHERED);
    assert_eq!(far.told().await, ["turn.0 1.0 13:  four", "step writer", "run.ended completed"]);
}

#[tokio::test]
async fn nothing_is_told_to_other_replicas_once_nobody_follows_there() {
    let model = Prompted::default();
    let (house, worker, desk, events) = two(Overheard::default(), &model);
    let id = start(&worker, "writer", json!("Write.")).await;
    let far = follow(&desk, id, None).await;
    drop(far);
    let mut far = follow(&desk, id, None).await;
    assert!(far.next().await.is_some() && far.next().now_or_never().is_none());
    model.says("One").await;
    house.clock.advance(GATHERED);
    assert!(matches!(far.next().await, Some(Told::Delta(_))));
    drop(far);
    house.clock.advance(LEASE);
    let before = events.told();
    model.says(" two").await;
    house.clock.advance(GATHERED);
    settle().await;
    assert_eq!((before, events.told()), (1, 1));
}

/// Asks whoever started the run, and then a model.
struct Asker(AgentSpec, Prompted);

impl Asker {
    fn new(model: &Prompted) -> Self {
        Self(AgentSpec::new("asker", "Asks."), model.clone())
    }
}

#[async_trait]
impl Agent for Asker {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        if so_far.turns().is_empty() {
            return Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?));
        }
        let reply = cx.complete(&self.1, &ModelRequest::new([Message::user("Go on.")])).await;
        Step::done(reply.map_err(|error| AgentError::failed(error.to_string()))?.message.text())
    }
}

#[tokio::test]
async fn who_follows_a_run_before_it_is_held_is_told_all_that_is_said_for_an_agent_by_hand_too() {
    let model = Prompted::default();
    let (house, _worker, desk, _) = two(Overheard::default(), &model);
    let id = start(&desk, "asker", json!("Write.")).await;
    house.until(id, RunState::Waiting).await;
    let far = Follower::of(&desk, id).await;
    assert_eq!(far.told().await, ["run.started asker", "step asker", "question turn.0"]);
    answer(&desk, id, "turn.0", json!({"yes": true})).await;
    model.says("One").await;
    house.clock.advance(GATHERED);
    assert_eq!(far.told().await, ["turn.1 2.0 0: One"]);
}

#[tokio::test]
async fn where_events_are_away_deltas_are_missing_elsewhere_and_nothing_else() {
    let model = Prompted::default();
    let away = Overheard { are_away: true, ..Overheard::default() };
    let (house, worker, desk, _) = two(away, &model);
    let id = start(&worker, "writer", json!("Write.")).await;
    let (near, far) = (Follower::of(&worker, id).await, Follower::of(&desk, id).await);
    model.says("One").await;
    model.ends().await;
    assert_eq!(near.told().await, ["run.started writer", "turn.0 1.0 0: One", "step writer", "run.ended completed"]);
    house.clock.advance(SECOND);
    assert_eq!(far.told().await, ["run.started writer", "step writer", "run.ended completed"]);
}
