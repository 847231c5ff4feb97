//! What is told of runs of agents: in order, behind any event, here and elsewhere, and up to the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use mcp_core::agent::{Cursor, Delegation, Following, Inquiry, RunEvent, Told, Until};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::run::{RunContext, RunError, WorkersConfig};
use mcp_core::spawn::Spawner;
use mcp_core::store::runs::{RunId, RunState};
use mcp_core::tokio_runtime::TokioSpawner;
use mcp_core::{Agent, AgentSpec, Caller, ServerBuilder, Step, ToolCall, Transcript};
use serde::Serialize;
use serde_json::{Value, json};

use crate::agents::{By, Yes, agent, answer, call, caller_of, furnished, questions, start};
use crate::run_house::{House, Replica, World, caller, comes};
use crate::support::settle;

/// What is told of a run so far, behind an event.
async fn told(replica: &Replica, run: RunId, after: Option<Cursor>) -> Vec<RunEvent> {
    replica.server.agent_runs().events(&caller(), run, after, 1_000).await.unwrap().unwrap()
}

pub(crate) async fn follow(replica: &Replica, run: RunId, after: Option<Cursor>) -> Following {
    replica.server.agent_runs().follow(&caller(), run, after).await.unwrap().unwrap()
}

fn json_of(events: &[RunEvent]) -> Vec<Value> {
    events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

/// What is told in short: the name of an event, and what it is about, or where a model says what.
pub(crate) fn in_short(told: &impl Serialize) -> String {
    let told = serde_json::to_value(told).unwrap();
    let text = |member: &str| told[member].as_str().unwrap_or_default();
    match text("event") {
        "model.delta" => {
            let [step, attempt, said, tool] = ["step", "attempt", "text", "tool"].map(text);
            assert_eq!(told.get("id"), None);
            format!("{step} {attempt} {}: {said}{tool}", told["from"])
        }
        event => format!("{event} {}", ["agent", "call", "name", "to", "state"].map(text).concat()),
    }
}

fn short(events: &[RunEvent]) -> Vec<String> {
    events.iter().map(in_short).collect()
}

/// Calls a tool, hands over to `asker`, which asks and is done.
fn house_of_two(world: &World) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    let front = agent("front", |so_far, _| match so_far.turns() {
        [] => Ok(Step::call(call("change", "x"))),
        _ => Ok(Step::HandOff("asker".to_owned())),
    });
    let asker = agent("asker", |so_far, _| match so_far.turns().len() {
        2 => Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)),
        _ => Step::done("good"),
    });
    let furnish = furnished(world, front);
    move |builder| furnish(builder).agent(asker)
}

const ALL: [&str; 10] = [
    "run.started front",
    "step front",
    "tool.started turn.0/0",
    "tool.ended turn.0/0",
    "step front",
    "handoff asker",
    "step asker",
    "question turn.2",
    "step asker",
    "run.ended completed",
];

#[tokio::test]
async fn what_happens_is_told_in_order_and_behind_any_event_without_loss_or_repetition() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(house_of_two(&world));
    let id = start(&replica, "front", json!("hello")).await;
    house.until(id, RunState::Waiting).await;
    settle().await;
    let so_far = told(&replica, id, None).await;
    assert_eq!(short(&so_far), ALL[..8], "it asks");
    answer(&replica, id, "turn.2", json!({"yes": true})).await;
    house.until(id, RunState::Completed).await;

    let all = told(&replica, id, None).await;
    assert_eq!(short(&all), ALL);
    assert_eq!(json_of(&all)[..8], json_of(&so_far), "what was told is told again as it was");
    let ids: Vec<_> = all.iter().map(|event| event.id.to_string()).collect();
    assert_eq!(ids, ["start", "0", "0.1", "1", "2", "2.1", "3", "4", "5", "end"]);
    let epochs: Vec<_> = all.iter().map(|event| event.epoch).collect();
    assert_eq!(epochs, [0, 1, 1, 1, 1, 1, 1, 1, 2, 2], "once it is answered it is taken up again");
    let events = json_of(&all);
    assert_eq!((&events[2]["tool"], &events[2]["arguments"]), (&json!("change"), &json!({"what": "x"})));
    assert_eq!(events[3]["result"]["content"][0]["text"], "changed x");
    assert_eq!(events[7]["request"]["params"]["message"], "Go on?");
    assert_eq!((&events[9]["result"]["output"], &events[8]["decided"]), (&json!("good"), &json!("done")));

    // Whoever was cut off goes on at another replica.
    let other = house.replica(house_of_two(&world));
    for (known, event) in all.iter().enumerate() {
        let rest = json_of(&all[known + 1..]);
        assert_eq!(json_of(&told(&other, id, Some(event.id)).await), rest);
        let mut following = follow(&other, id, Some(event.id)).await;
        let mut followed = Vec::new();
        while let Some(event) = following.next().await {
            followed.push(serde_json::to_value(event).unwrap());
        }
        assert_eq!(followed, rest, "and where the run has ended, so do its events");
    }
    let desk = other.server.agent_runs();
    let part = desk.events(&caller(), id, None, 3).await.unwrap().unwrap();
    assert_eq!(json_of(&part), events[..3], "no more than was asked for");
}

/// Somebody who follows a run, and what they were told and nobody has looked at.
#[derive(Clone, Default)]
pub(crate) struct Follower(Arc<Mutex<Vec<Told>>>);

impl Follower {
    pub(crate) async fn of(replica: &Replica, run: RunId) -> Self {
        Self::behind(replica, run, None).await
    }

    pub(crate) async fn behind(replica: &Replica, run: RunId, after: Option<Cursor>) -> Self {
        let (follower, mut following) = (Self::default(), follow(replica, run, after).await);
        let told = follower.clone();
        let telling = async move {
            while let Some(event) = following.next().await {
                told.0.lock().unwrap().push(event);
            }
        };
        TokioSpawner::current().spawn(telling.boxed());
        follower
    }

    /// What they were told, in short, once everything has gone on as far as it can.
    pub(crate) async fn told(&self) -> Vec<String> {
        settle().await;
        std::mem::take(&mut *self.0.lock().unwrap()).iter().map(in_short).collect()
    }
}

#[tokio::test]
async fn who_follows_is_told_at_once_where_the_run_is_done_and_within_a_second_elsewhere() {
    let (house, world) = (House::new(), World::closed());
    let worker = house.replica(house_of_two(&world));
    let mut idle = WorkersConfig::default();
    idle.concurrency = 0;
    let desk = house.replica_at(house.clock.clone(), idle, house_of_two(&world));
    let id = start(&worker, "front", json!(null)).await;
    let (near, far) = (Follower::of(&worker, id).await, Follower::of(&desk, id).await);
    assert_eq!(near.told().await, ALL[..3], "the tool has not ended");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(far.told().await, ALL[..3]);
    // No time passes.
    world.gate.add_permits(1);
    assert_eq!(near.told().await, ALL[3..8]);
    assert!(far.told().await.is_empty(), "nobody tells the other one");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(far.told().await, ALL[3..8]);

    // For days nothing happens, and they stay.
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(24 * 60 * 60));
        assert!(near.told().await.is_empty() && far.told().await.is_empty());
    }
    answer(&desk, id, "turn.2", json!({"yes": true})).await;
    assert_eq!(near.told().await, ALL[8..]);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(far.told().await, ALL[8..]);
}

#[tokio::test]
async fn each_call_begins_once_and_ends_once_whatever_becomes_of_it() {
    let (house, world) = (House::new(), World::closed());
    let many = agent("many", |so_far, _| match so_far.turns() {
        [] => {
            let mut calls: Vec<_> = (0..9).map(|n| call("change", &n.to_string())).collect();
            calls.push(call("ask", "sell"));
            calls.push(ToolCall::new("chnge", json!({}))?);
            calls.push(ToolCall::new("agent.changer", json!({"input": ["y"]}))?);
            calls.push(ToolCall { refused: Some("no".to_owned()), ..call("change", "z") });
            Ok(Step::Call(calls))
        }
        _ => Step::done(()),
    });
    let furnish = furnished(&world, caller_of("changer", "change"));
    let replica = house.replica(|builder| furnish(builder).agent(many));
    let id = start(&replica, "many", json!(null)).await;
    let first = Follower::of(&replica, id).await.told().await;
    let started =
        |places: std::ops::Range<usize>| places.map(|n| format!("tool.started turn.0/{n}")).collect::<Vec<_>>();
    assert_eq!(first[2..], started(0..8), "the others wait for these");
    world.gate.add_permits(100);
    house.until(id, RunState::Waiting).await;
    settle().await;
    let open = questions(&replica, id).await;
    assert_eq!(open.keys().collect::<Vec<_>>(), ["turn.0/9/sure"]);
    answer(&replica, id, "turn.0/9/sure", json!({"yes": true})).await;
    house.until(id, RunState::Completed).await;

    let all = told(&replica, id, None).await;
    let of = |event: &str| -> BTreeMap<String, Value> {
        let events = json_of(&all).into_iter().filter(|told| told["event"] == event);
        let mut of = BTreeMap::new();
        for told in events {
            let twice = of.insert(told["call"].as_str().unwrap().to_owned(), told);
            assert!(twice.is_none(), "{twice:?}");
        }
        of
    };
    let (started, ended) = (of("tool.started"), of("tool.ended"));
    assert_eq!((started.len(), started.keys().collect::<Vec<_>>()), (12, ended.keys().collect()));
    assert_eq!(ended["turn.0/8"]["result"]["content"][0]["text"], "changed 8");
    assert_eq!(ended["turn.0/9"]["result"]["content"][0]["text"], "sell: true");
    assert_eq!((&ended["turn.0/10"]["tool"], &ended["turn.0/10"]["result"]), (&json!("chnge"), &Value::Null));
    assert_eq!(ended["turn.0/11"]["result"]["content"][0]["text"], r#"["changed y"]"#);
    // Who wants to know more of what was left to an agent follows its run.
    let child: RunId = started["turn.0/11"]["run"].as_str().unwrap().parse().unwrap();
    assert_eq!(short(&told(&replica, child, None).await)[..2], ["run.started changer", "step changer"]);
}

#[tokio::test]
async fn what_is_left_to_agents_is_told_as_calls_of_them() {
    let (house, world) = (House::new(), World::open());
    let boss = agent("boss", |so_far, _| match so_far.turns() {
        [] => Ok(Step::Delegate(vec![Delegation::new("changer", ["a"])?, Delegation::new("nobody", 1)?], Until::All)),
        _ => Step::done(()),
    });
    let furnish = furnished(&world, caller_of("changer", "change"));
    let replica = house.replica(|builder| furnish(builder).agent(boss));
    let id = start(&replica, "boss", json!(null)).await;
    house.until(id, RunState::Completed).await;
    let events = json_of(&told(&replica, id, None).await);
    let [first, second] = [2, 3].map(|n| (events[n]["tool"].clone(), events[n]["arguments"]["input"].clone()));
    assert_eq!((first, second), ((json!("agent.changer"), json!(["a"])), (json!("agent.nobody"), json!(1))));
    let ended: Vec<_> = events.iter().filter(|event| event["event"] == "tool.ended").collect();
    let of = |tool: &str| &ended.iter().find(|event| event["tool"] == tool).unwrap()["result"];
    assert_eq!(
        (of("agent.changer")["isError"].as_bool().unwrap_or(false), &of("agent.nobody")["isError"]),
        (false, &json!(true))
    );
}

#[tokio::test]
async fn a_run_is_followed_by_whoever_may_see_it_and_as_long_as_the_server_serves() {
    async fn nothing(cx: RunContext) -> Result<(), RunError> {
        cx.input().await;
        Ok(())
    }
    let house = House::new();
    let asker = agent("asker", |_, _| Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)));
    let replica = house.replica(|builder| builder.agent(asker).work("wait", nothing).streams_per_caller(2));
    let id = start(&replica, "asker", json!(null)).await;
    let desk = replica.server.agent_runs();
    let stranger = Caller::new("tenant", "eve");
    assert!(desk.events(&stranger, id, None, 9).await.unwrap().is_none());
    assert!(desk.follow(&stranger, id, None).await.unwrap().is_none());
    let admin = Caller::new("tenant", "eve").with_role(Caller::ADMIN);
    assert!(desk.events(&admin, id, None, 9).await.unwrap().is_some());
    assert!(desk.events(&Caller::new("elsewhere", "ada"), id, None, 9).await.unwrap().is_none());

    // Of a run in which no agent decides, it is told how it begins and ends.
    let other = replica.start("wait", json!(null)).await;
    settle().await;
    let follower = Follower::of(&replica, other).await;
    assert_eq!(follower.told().await, ["run.started "]);
    replica.server.runs().cancel(&caller(), other).await.unwrap();
    house.until(other, RunState::Cancelled).await;
    assert_eq!(follower.told().await, ["run.ended cancelled"]);

    let (mut one, two) = (follow(&replica, id, None).await, follow(&replica, id, None).await);
    let refused = desk.follow(&caller(), id, None).await.err().unwrap();
    assert!(refused.to_string().contains("2 streams"), "{refused}");
    drop(two);
    drop(follow(&replica, id, None).await);
    replica.server.close();
    let mut told = Vec::new();
    while let Some(event) = one.next().await {
        told.push(event);
    }
    assert_eq!(told.len(), 3, "what is on record is told, and no more is waited for");
}

/// Makes two calls at once, where it may.
fn twice(calls_at_once: usize) -> impl Agent {
    By(AgentSpec::new("twice", "Decides.").calls_at_once(calls_at_once), |so_far: &Transcript, _| {
        match so_far.turns() {
            [] => Ok(Step::Call(vec![call("change", "a"), call("change", "b")])),
            _ => Step::done(()),
        }
    })
}

/// A version of an agent that makes fewer calls at once goes on where another one has begun more.
#[tokio::test]
async fn how_many_calls_have_begun_is_what_was_decided_then() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), furnished(&slow, twice(8)));
    let id = start(&first, "twice", json!(null)).await;
    comes(|| slow.done().len() == 2).await;
    let second = house.replica(furnished(&fast, twice(1)));
    house.until(id, RunState::Waiting).await;
    settle().await;
    for place in 0..2 {
        let open = questions(&second, id).await;
        assert_eq!(open.keys().collect::<Vec<_>>(), [&format!("turn.0/{place}/outcome")]);
        answer(&second, id, &format!("turn.0/{place}/outcome"), json!({"outcome": "done"})).await;
        settle().await;
    }
    house.until(id, RunState::Completed).await;
    assert!(fast.done().is_empty(), "none is made again");
}
