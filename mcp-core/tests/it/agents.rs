//! Agents, from the start of a run to its end: on stores in memory that several servers share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcp_core::agent::{AgentRefusal, Delegation, Inquiry, Performed, Until};
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::model::price::Money;
use mcp_core::run::WorkersConfig;
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{Entry, Ledger};
use mcp_core::store::principals::{User, UserChange};
use mcp_core::store::runs::{RunId, RunQuery, RunRecord, RunState};
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, Budget, Context, Question, ServerBuilder, Step, ToolCall, ToolError,
    Transcript, tool_with,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::run_house::{House, Replica, World, caller, comes, json_of};
use crate::support::settle;

/// An agent that is a function.
pub(crate) struct By<F>(pub(crate) AgentSpec, pub(crate) F);

#[async_trait]
impl<F> Agent for By<F>
where
    F: Fn(&Transcript, AgentContext) -> Result<Step, AgentError> + Send + Sync + 'static,
{
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        self.1(so_far, cx)
    }
}

pub(crate) fn agent(
    name: &str,
    step: impl Fn(&Transcript, AgentContext) -> Result<Step, AgentError> + Send + Sync + 'static,
) -> impl Agent {
    By(AgentSpec::new(name, "Decides."), step)
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct What {
    what: String,
}

/// Changes the world, and says what it has changed.
async fn change(world: World, what: What, cx: Context) -> Result<String, ToolError> {
    let changed = world.change(format!("{} {}", what.what, cx.key())).await;
    changed.map_err(|error| ToolError::failed(error.to_string()))?;
    Ok(format!("changed {}", what.what))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Yes {
    yes: bool,
}

/// Asks before it says anything.
async fn ask_first(what: What, cx: Context) -> Result<String, ToolError> {
    let answer: Yes = cx.ask("sure", Question::form(format!("Really {}?", what.what))).await?;
    Ok(format!("{}: {}", what.what, answer.yes))
}

pub(crate) fn call(tool: &str, what: &str) -> ToolCall {
    ToolCall::new(tool, What { what: what.to_owned() }).unwrap()
}

/// The texts that the tools of a turn said.
fn texts(so_far: &Transcript) -> Vec<String> {
    match so_far.last().map(|turn| turn.performed()) {
        Some(Performed::Called(calls)) => {
            calls.iter().map(|(_, output)| output.first_text().unwrap_or_default().to_owned()).collect()
        }
        Some(Performed::Delegated(delegations)) => delegations.iter().map(|(_, delegated)| delegated.text()).collect(),
        _ => Vec::new(),
    }
}

/// Calls a tool for each word of its input, all at once, and gives what they said.
pub(crate) fn caller_of(name: &str, tool: &'static str) -> impl Agent {
    agent(name, move |so_far, _| match so_far.turns() {
        [] => Ok(Step::Call(so_far.input_as::<Vec<String>>()?.iter().map(|word| call(tool, word)).collect())),
        _ => Step::done(texts(so_far)),
    })
}

pub(crate) async fn start(replica: &Replica, agent: &str, input: Value) -> RunId {
    replica.server.agent_runs().start(&caller(), agent, &input, None, None).await.unwrap()
}

pub(crate) async fn questions(replica: &Replica, run: RunId) -> BTreeMap<String, Value> {
    replica.server.agent_runs().questions(&caller(), run).await.unwrap()
}

pub(crate) async fn answer(replica: &Replica, run: RunId, name: &str, content: Value) {
    let answers = BTreeMap::from([(name.to_owned(), json!({"action": "accept", "content": content}))]);
    replica.server.agent_runs().answer(&caller(), run, answers, None).await.unwrap();
}

fn output(run: &RunRecord) -> Value {
    json_of(run)["output"].clone()
}

/// Thinks for ever.
pub(crate) struct Thinker(pub(crate) AgentSpec);

#[async_trait]
impl Agent for Thinker {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, _: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        std::future::pending().await
    }
}

pub(crate) fn furnished(world: &World, agent: impl Agent) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    let world = world.clone();
    move |builder| {
        builder
            .tool(tool_with("change", "Changes the world.", world, change))
            .tool(mcp_core::tool_fn("ask", "Asks.", ask_first))
            .agent(agent)
    }
}

#[tokio::test]
async fn an_agent_decides_and_what_it_decides_is_done_and_recorded() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(furnished(&world, caller_of("changer", "change")));
    let id = start(&replica, "changer", json!(["a", "b"])).await;
    let run = house.until(id, RunState::Completed).await;
    assert_eq!(output(&run), json!(["changed a", "changed b"]));
    let spent = &json_of(&run)["spent"];
    assert_eq!((&spent["steps"], &spent["calls"]), (&json!(2), &json!(2)));
    let keys: Vec<_> = house.steps(id).await.into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys, ["turn.0", "turn.0/0", "turn.0/1", "turn.1"]);
    let calls = house.stores.history.calls(caller().tenant(), &CallQuery::default()).await.unwrap();
    assert_eq!(calls.iter().map(|call| &*call.tool).collect::<Vec<_>>(), ["change", "change"]);
    // Each call has a name for its effect of its own.
    let done: std::collections::BTreeSet<_> =
        world.done().iter().map(|done| done.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(done.len(), 2);
}

#[tokio::test]
async fn an_agent_that_is_not_there_or_hidden_is_told_with_those_that_are() {
    let house = House::new();
    let replica = house.replica(|builder| {
        let spec = AgentSpec::new("secret", "Decides.").for_role("boss");
        builder.agent(agent("open", |_, _| Step::done(1))).agent(By(spec, |_: &Transcript, _| Step::done(2)))
    });
    let desk = replica.server.agent_runs();
    for name in ["closed", "secret"] {
        let refused = desk.start(&caller(), name, &1, None, None).await.unwrap_err();
        assert!(matches!(refused, AgentRefusal::Unknown(_)));
        assert_eq!(refused.to_string(), format!("there is no agent {name:?}; there are open"));
    }
    let boss = caller().with_role("boss");
    let id = desk.start(&boss, "secret", &1, None, None).await.unwrap();
    assert_eq!(output(&house.until(id, RunState::Completed).await), 2);
}

/// What was done is not done again, what may be repeated is, and of what may not, somebody is asked.
#[tokio::test]
async fn after_a_crash_what_is_not_repeatable_becomes_a_question() {
    for (decision, done) in [("done", 1), ("not done", 1), ("repeat", 2), ("what?", 1)] {
        let (house, slow, fast) = (House::new(), World::closed(), World::open());
        let first = house.replica_at(
            SimulatedClock::new(),
            WorkersConfig::default(),
            furnished(&slow, caller_of("changer", "change")),
        );
        let id = start(&first, "changer", json!(["a", "b"])).await;
        comes(|| slow.done().len() == 2).await;
        // One of the two ends, and its replica is gone after that.
        slow.gate.add_permits(1);
        settle().await;
        let second = house.replica(furnished(&fast, caller_of("changer", "change")));
        let waits = house.until(id, RunState::Waiting).await;
        assert_eq!((waits.epoch, fast.done().len()), (2, 0));
        let open = questions(&second, id).await;
        let [(name, question)] = open.into_iter().collect::<Vec<_>>().try_into().unwrap();
        let told = question["params"]["message"].as_str().unwrap();
        assert!(told.starts_with("The call of change was begun") && told.ends_with(r#"{"what":"b"}"#), "{told}");
        answer(&second, id, &name, json!({"outcome": decision})).await;
        let run = house.until(id, RunState::Completed).await;
        let said = match decision {
            "done" => "The call was done; what it said is not known.",
            "repeat" => "changed b",
            "not done" => "The call was begun and not ended; it was not done.",
            _ => "The call was begun and not ended; nobody knows whether it was done.",
        };
        assert_eq!(output(&run), json!(["changed a", said]));
        assert_eq!(fast.done().len(), done - 1);
        assert!(questions(&second, id).await.is_empty());
    }
}

#[tokio::test]
async fn after_a_crash_a_repeatable_call_is_made_again_under_the_same_name() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let repeatable = |world: &World| {
        let world = world.clone();
        move |builder: ServerBuilder| {
            let tool = tool_with("change", "Changes the world.", world, change).repeatable();
            builder.tool(tool).agent(caller_of("changer", "change"))
        }
    };
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), repeatable(&slow));
    let id = start(&first, "changer", json!(["a"])).await;
    comes(|| slow.done().len() == 1).await;
    let _second = house.replica(repeatable(&fast));
    let run = house.until(id, RunState::Completed).await;
    assert_eq!((output(&run), slow.done()), (json!(["changed a"]), fast.done()));
}

/// For three days nobody holds it; then it goes on at once.
#[tokio::test]
async fn a_question_of_an_agent_waits_for_days() {
    let house = House::new();
    let asks = || {
        agent("asks", |so_far, _| match so_far.turns() {
            [] => Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)),
            _ => Step::done(so_far.answer::<Yes>()?.map(|answer| answer.yes)),
        })
    };
    let replica = house.replica(|builder| builder.agent(asks()));
    let id = start(&replica, "asks", json!(null)).await;
    settle().await;
    let open = questions(&replica, id).await;
    assert_eq!(open["turn.0"]["method"], "elicitation/create");
    assert_eq!(open["turn.0"]["params"]["message"], "Go on?");
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(24 * 60 * 60));
        settle().await;
    }
    assert_eq!((house.run(id).await.state, replica.workers.held()), (RunState::Waiting, 0));
    answer(&replica, id, "turn.0", json!({"yes": true})).await;
    settle().await;
    let run = house.run(id).await;
    assert_eq!((run.state, output(&run)), (RunState::Completed, json!(true)));
    assert!(json_of(&run)["spent"]["millis"].as_u64().unwrap_or(0) < 1_000, "who waits does not work");
}

#[tokio::test]
async fn tools_that_ask_at_once_are_answered_in_any_order() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(furnished(&world, caller_of("asker", "ask")));
    let id = start(&replica, "asker", json!(["sell", "buy"])).await;
    house.until(id, RunState::Waiting).await;
    let open = questions(&replica, id).await;
    assert_eq!(open.keys().collect::<Vec<_>>(), ["turn.0/0/sure", "turn.0/1/sure"]);
    answer(&replica, id, "turn.0/1/sure", json!({"yes": false})).await;
    settle().await;
    assert_eq!(questions(&replica, id).await.len(), 1);
    answer(&replica, id, "turn.0/0/sure", json!({"yes": true})).await;
    assert_eq!(output(&house.until(id, RunState::Completed).await), json!(["sell: true", "buy: false"]));
}

/// Those who wait take turns in reading what comes: whoever has read what is for none of them leaves it to another one to read on.
#[tokio::test]
async fn what_nobody_waits_for_does_not_keep_those_who_wait_from_their_answers() {
    let (house, world) = (House::new(), World::closed());
    let busy = agent("busy", |so_far, _| match so_far.turns() {
        [] => Ok(Step::Call(vec![call("ask", "sell"), call("ask", "buy"), call("change", "x")])),
        _ => Step::done(texts(so_far)),
    });
    let replica = house.replica(furnished(&world, busy));
    let id = start(&replica, "busy", json!(null)).await;
    // The call that is under way keeps the run here while it is told.
    comes(|| world.done().len() == 1).await;
    settle().await;
    replica.post(id, "\"what?\"").await;
    settle().await;
    for name in ["turn.0/1/sure", "turn.0/0/sure"] {
        answer(&replica, id, name, json!({"yes": true})).await;
    }
    settle().await;
    world.gate.add_permits(1);
    let run = house.until(id, RunState::Completed).await;
    assert_eq!((output(&run), run.epoch), (json!(["sell: true", "buy: true", "changed x"]), 1));
}

#[tokio::test]
async fn what_is_left_to_others_is_done_in_runs_of_their_own() {
    let (house, world) = (House::new(), World::open());
    let boss = agent("boss", |so_far, _| match so_far.turns() {
        [] => Ok(Step::Delegate(
            vec![
                Delegation::new("changer", ["a"])?,
                Delegation::new("nobody", ())?,
                Delegation::new("changer", ["b", "c"])?,
            ],
            Until::All,
        )),
        _ => Step::done(texts(so_far)),
    });
    let replica = house.replica(|builder| furnished(&world, caller_of("changer", "change"))(builder).agent(boss));
    let id = start(&replica, "boss", json!(null)).await;
    let run = house.until(id, RunState::Completed).await;
    let unknown = "there is no agent \"nobody\"; there are changer, boss";
    assert_eq!(output(&run), json!([r#"["changed a"]"#, unknown, r#"["changed b","changed c"]"#]));
    let spent = &json_of(&run)["spent"];
    assert_eq!((&spent["steps"], &spent["calls"]), (&json!(6), &json!(3)), "with what the others have used");
    let runs = replica.server.runs().list(&caller(), RunQuery::default()).await.unwrap();
    assert_eq!(runs.iter().filter(|run| run.parent == Some(id)).count(), 2);
}

#[tokio::test]
async fn agents_leave_things_to_agents_as_deep_as_they_may() {
    let house = House::new();
    let deep = agent("deep", |so_far, _| match so_far.last_delegated() {
        None => Ok(Step::delegate(Delegation::new("deep", ())?)),
        Some(delegated) => Step::done(format!("({})", delegated.text())),
    });
    let replica = house.replica(|builder| builder.agent(deep));
    let desk = replica.server.agent_runs();
    let budget = Budget { depth: Some(2), ..Budget::default() };
    let id = desk.start(&caller(), "deep", &(), Some(budget), None).await.unwrap();
    let run = house.until(id, RunState::Completed).await;
    assert_eq!(output(&run), "(((agents leave things to agents as deep as they may)))");
}

#[tokio::test]
async fn an_agent_hands_over_and_the_other_finds_all_of_it() {
    let (house, world) = (House::new(), World::open());
    let front = agent("front", |so_far, cx| match so_far.turns() {
        [] => Ok(Step::call(call("change", "x"))),
        _ => {
            cx.keep(&"seen")?;
            Ok(Step::HandOff("back".to_owned()))
        }
    });
    let back = agent("back", |so_far, _| {
        let agents: Vec<_> = so_far.turns().iter().map(|turn| turn.agent()).collect();
        let kept = so_far.last().unwrap().kept::<String>()?;
        Step::done(json!({"agents": agents, "kept": kept, "input": so_far.input_text()}))
    });
    let replica = house.replica(|builder| furnished(&world, front)(builder).agent(back));
    let id = start(&replica, "front", json!("hello")).await;
    let expected = json!({"agents": ["front", "front"], "kept": "seen", "input": "hello"});
    assert_eq!(output(&house.until(id, RunState::Completed).await), expected);
}

#[tokio::test]
async fn a_run_that_has_used_up_its_budget_says_of_what_and_what_has_come_of_it() {
    let (house, world) = (House::new(), World::open());
    let for_ever = agent("endless", |_, cx| {
        cx.spend(10, Money::from_micros(7));
        Ok(Step::call(call("change", "x")))
    });
    let replica = house.replica(furnished(&world, for_ever));
    let none = Budget::unbounded();
    for (budget, limit, most) in [
        (Budget { steps: Some(3), ..none }, "steps", "3 steps"),
        (Budget { calls: Some(2), ..none }, "calls", "2 calls of tools"),
        (Budget { tokens: Some(25), ..none }, "tokens", "25 tokens"),
        (Budget { money: Some(Money::from_micros(7)), ..none }, "money", "0.000007"),
    ] {
        let id = replica.server.agent_runs().start(&caller(), "endless", &(), Some(budget), None).await.unwrap();
        let run = house.until(id, RunState::Failed).await;
        let told = json_of(&run);
        assert_eq!((&told["code"], &told["limit"]), (&json!("budget"), &json!(limit)), "{told}");
        assert!(told["error"].as_str().unwrap().ends_with(&format!("it may use {most}")), "{told}");
        assert_eq!(told["partial"][0]["content"][0]["text"], "changed x");
    }
}

#[tokio::test]
async fn an_agent_that_thinks_for_ever_is_over_in_time_or_when_it_is_cancelled() {
    let house = House::new();
    let budget = Budget { time: Some(Duration::from_secs(90)), ..Budget::default() };
    let replica = house.replica(|builder| builder.agent(Thinker(AgentSpec::new("thinker", "Thinks.").budget(budget))));
    let id = start(&replica, "thinker", json!(null)).await;
    let run = house.until(id, RunState::Failed).await;
    assert_eq!(json_of(&run)["limit"], "time");
    assert!(run.ended.unwrap().as_micros() - run.at.as_micros() >= 90_000_000);
    let id = start(&replica, "thinker", json!(null)).await;
    settle().await;
    replica.server.runs().cancel(&caller(), id).await.unwrap();
    house.until(id, RunState::Cancelled).await;
}

#[tokio::test]
async fn who_ends_takes_those_with_it_to_whom_something_was_left() {
    let (house, world) = (House::new(), World::open());
    let boss = agent("boss", |_, _| Ok(Step::delegate(Delegation::new("asker", ["sell"])?)));
    let replica = house.replica(|builder| furnished(&world, caller_of("asker", "ask"))(builder).agent(boss));
    let id = start(&replica, "boss", json!(null)).await;
    settle().await;
    let runs = replica.server.runs().list(&caller(), RunQuery::default()).await.unwrap();
    let child = runs.iter().find(|run| run.parent == Some(id)).unwrap().id;
    assert_eq!(house.until(child, RunState::Waiting).await.parent, Some(id));
    replica.server.runs().cancel(&caller(), id).await.unwrap();
    house.until(id, RunState::Cancelled).await;
    house.until(child, RunState::Cancelled).await;
}

#[tokio::test]
async fn what_cannot_be_called_is_told_to_the_agent() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(furnished(
        &world,
        agent("clumsy", |so_far, _| match so_far.turns() {
            [] => Ok(Step::Call(vec![
                call("chnge", "a"),
                ToolCall::new("change", json!({"wat": 1}))?,
                call("change", "b"),
            ])),
            _ => Step::done(texts(so_far)),
        }),
    ));
    let id = start(&replica, "clumsy", json!(null)).await;
    let said = output(&house.until(id, RunState::Completed).await);
    assert_eq!(said[0], "there is no tool \"chnge\"; did you mean \"change\"?");
    assert!(said[1].as_str().unwrap().contains("what"), "{said}");
    assert_eq!((&said[2], world.done().len()), (&json!("changed b"), 1));
}

#[tokio::test]
async fn more_calls_than_at_once_are_all_made_and_never_more_at_a_time() {
    let (house, world) = (House::new(), World::closed());
    let words: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let replica = house.replica(furnished(&world, caller_of("changer", "change")));
    let id = start(&replica, "changer", json!(words)).await;
    comes(|| world.done().len() == 8).await;
    settle().await;
    assert_eq!(world.done().len(), 8);
    world.gate.add_permits(20);
    let run = house.until(id, RunState::Completed).await;
    let all: Vec<_> = words.iter().map(|word| format!("changed {word}")).collect();
    assert_eq!(output(&run), json!(all), "in their order");
}

/// What was taken from whoever started a run is taken from the run.
#[tokio::test]
async fn a_run_may_no_more_than_its_caller_may_now() {
    let (house, world) = (House::new(), World::open());
    let asks_and_calls = agent("careful", |so_far, _| match so_far.turns().len() {
        0 => Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)),
        1 => Ok(Step::call(call("change", "x"))),
        _ => Step::done(texts(so_far)),
    });
    let replica = house.replica(|builder| {
        let tool = tool_with("change", "Changes the world.", world.clone(), change).for_role("clerk");
        builder.tool(tool).agent(asks_and_calls)
    });
    let clerk = caller().with_role("clerk").with_role("guest");
    let user = User {
        principal: clerk.principal().clone(),
        display_name: String::new(),
        disabled: false,
        created: house.clock.now(),
        roles: ["clerk", "guest"].map(str::to_owned).into(),
    };
    house.stores.principals.create(clerk.tenant(), &user).await.unwrap();
    let begin = async || {
        let id = replica.server.agent_runs().start(&clerk, "careful", &(), None, None).await.unwrap();
        house.until(id, RunState::Waiting).await;
        settle().await;
        assert_eq!(questions(&replica, id).await.len(), 1);
        id
    };
    let change_user = async |change: UserChange| {
        house.stores.principals.change(clerk.tenant(), clerk.principal(), &change).await.unwrap();
    };
    let allowed = begin().await;
    answer(&replica, allowed, "turn.0", json!({"yes": true})).await;
    assert_eq!(output(&house.until(allowed, RunState::Completed).await), json!(["changed x"]));
    let (demoted, shut_out) = (begin().await, begin().await);
    change_user(UserChange { roles: Some(["guest".to_owned()].into()), ..UserChange::default() }).await;
    answer(&replica, demoted, "turn.0", json!({"yes": true})).await;
    let run = house.until(demoted, RunState::Completed).await;
    assert_eq!((output(&run), world.done().len()), (json!(["there is no tool \"change\""]), 1));
    change_user(UserChange { disabled: Some(true), ..UserChange::default() }).await;
    answer(&replica, shut_out, "turn.0", json!({"yes": true})).await;
    let told = json_of(&house.until(shut_out, RunState::Failed).await)["error"].clone();
    assert_eq!(told, "whoever started the run is let in no more");
}

/// It has no more bytes than a tool may give, and more than a run keeps of one once it is JSON.
#[tokio::test]
async fn a_result_that_is_larger_than_a_run_keeps_is_told_to_the_agent() {
    async fn quotes() -> Result<String, ToolError> {
        Ok("\"".repeat(600_000))
    }
    let house = House::new();
    let asks = agent("reader", |so_far, _| match so_far.turns() {
        [] => Ok(Step::call(ToolCall::new("quotes", json!({}))?)),
        _ => Step::done(texts(so_far)),
    });
    let replica = house.replica(|builder| builder.tool(mcp_core::tool_fn("quotes", "Quotes.", quotes)).agent(asks));
    let id = start(&replica, "reader", json!(null)).await;
    let told = output(&house.until(id, RunState::Completed).await);
    assert!(told[0].as_str().unwrap().starts_with("The call was made, and its result is lost"), "{told}");
}

/// Approval is a question, for which the run waits, and before which nothing is done.
#[tokio::test]
async fn somebody_is_asked_before_a_call_that_takes_approval() {
    let (house, world) = (House::new(), World::open());
    let spec = AgentSpec::new("changer", "Decides.").approval(["chan*"]);
    let twice = |so_far: &Transcript, _: AgentContext| match so_far.turns().len() {
        0 => Ok(Step::Call(vec![call("change", "a"), call("change", "b")])),
        _ => Step::done(texts(so_far)),
    };
    let one = house.replica(furnished(&world, By(spec.clone(), twice)));
    let id = start(&one, "changer", json!(null)).await;
    house.until(id, RunState::Waiting).await;
    let open = questions(&one, id).await;
    assert_eq!(open.keys().collect::<Vec<_>>(), ["turn.0/0/approval", "turn.0/1/approval"]);
    let message = open["turn.0/0/approval"]["params"]["message"].as_str().unwrap();
    assert_eq!(message, r#"May change be called? Its arguments: {"what":"a"}"#);
    // Whoever goes on with it days later, after a crash, has begun nothing either.
    drop(one);
    house.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    let other = house.replica(furnished(&world, By(spec, twice)));
    assert!(world.done().is_empty());
    answer(&other, id, "turn.0/0/approval", json!({"approve": true})).await;
    answer(&other, id, "turn.0/1/approval", json!({"approve": false, "why": "not today"})).await;
    let run = house.until(id, RunState::Completed).await;
    let told = "The call was not made: whoever is asked did not approve of it: not today";
    assert_eq!(output(&run), json!(["changed a", told]));
    assert_eq!(world.done().len(), 1);
}

#[tokio::test]
async fn a_policy_has_somebody_asked_whatever_the_agent_says() {
    let (house, world) = (House::new(), World::open());
    let policy = mcp_core::Policy::none().approval("change");
    let replica = house.replica(|builder| furnished(&world, caller_of("changer", "change"))(builder).policy(policy));
    let id = start(&replica, "changer", json!(["a"])).await;
    house.until(id, RunState::Waiting).await;
    let desk = replica.server.agent_runs();
    let declined = BTreeMap::from([("turn.0/0/approval".to_owned(), json!({"action": "decline"}))]);
    desk.answer(&caller(), id, declined, None).await.unwrap();
    let run = house.until(id, RunState::Completed).await;
    assert_eq!(output(&run), json!(["The call was not made: whoever is asked did not approve of it."]));
    assert!(world.done().is_empty());
}

/// Those that runs have begun are bounded by budgets, and by nothing else.
#[tokio::test]
async fn a_caller_has_so_many_runs_and_room_when_one_has_ended() {
    let (house, world) = (House::new(), World::open());
    let boss = agent("boss", |_, _| {
        let parts = ["sell", "buy", "keep"].map(|what| Delegation::new("asker", [what]));
        Ok(Step::Delegate(parts.into_iter().collect::<Result<_, _>>()?, Until::All))
    });
    let replica =
        house.replica(|builder| furnished(&world, caller_of("asker", "ask"))(builder.tasks_per_caller(2)).agent(boss));
    let desk = replica.server.agent_runs();
    let first = start(&replica, "boss", json!(null)).await;
    house.until(first, RunState::Waiting).await;
    let id = RunId::from_u128(7);
    let second = desk.start(&caller(), "asker", &["sell"], None, Some(id)).await;
    assert_eq!(second.unwrap(), id, "three that the first has begun do not count");
    let refused = desk.start(&caller(), "asker", &["sell"], None, None).await.unwrap_err();
    assert!(matches!(refused, AgentRefusal::TooMany(_)));
    assert!(refused.to_string().starts_with("2 runs of yours are under way"), "{refused}");
    let again = desk.start(&caller(), "asker", &["sell"], None, Some(id)).await;
    assert_eq!(again.unwrap(), id, "it was started before");
    let bob = mcp_core::Caller::new(caller().tenant().clone(), "bob");
    assert!(desk.start(&bob, "asker", &["sell"], None, None).await.is_ok(), "each has as many");
    replica.server.runs().cancel(&caller(), first).await.unwrap();
    house.until(first, RunState::Cancelled).await;
    start(&replica, "asker", json!(["sell"])).await;
}

/// Tells what is committed together.
struct Commits(Arc<dyn Ledger>, Arc<Mutex<Vec<Vec<&'static str>>>>);

impl Ledger for Commits {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let kind = |entry: &Entry| match entry {
            Entry::Call(_) => "call",
            Entry::Step { .. } => "step",
            Entry::Turn { .. } => "turn",
            _ => "other",
        };
        self.1.lock().unwrap().push(entries.iter().map(kind).collect());
        self.0.commit(entries)
    }
}

/// The decision before; the result with the record of the call after.
#[tokio::test]
async fn a_turn_with_a_call_is_two_commits() {
    let (mut house, world, commits) = (House::new(), World::open(), Arc::default());
    house.stores.ledger = Arc::new(Commits(house.stores.ledger.clone(), Arc::clone(&commits)));
    let replica = house.replica(furnished(&world, caller_of("changer", "change")));
    house.until(start(&replica, "changer", json!(["a"])).await, RunState::Completed).await;
    let expected = [vec!["step"], vec!["step", "call"], vec!["step"], vec!["turn"]];
    assert_eq!(*commits.lock().unwrap(), expected);
}

/// What it gave is nobody's any more, and that it was made is on record all the same.
#[tokio::test]
async fn a_call_of_a_run_that_is_anothers_by_now_is_recorded() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let changer = || caller_of("changer", "change");
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), furnished(&slow, changer()));
    let id = start(&first, "changer", json!(["a"])).await;
    comes(|| slow.done().len() == 1).await;
    let second = house.replica(furnished(&fast, changer()));
    house.until(id, RunState::Waiting).await;
    let recorded = async || house.stores.history.calls(caller().tenant(), &CallQuery::default()).await.unwrap().len();
    assert_eq!(recorded().await, 0);
    slow.gate.add_permits(1);
    settle().await;
    assert_eq!((recorded().await, questions(&second, id).await.len()), (1, 1));
}
