//! Runs of agents in threads: they know what was said before, and come one after the other.

use std::sync::Arc;

use mcp_core::agent::{AgentRefusal, Busy, Delegation, Inquiry, ModelAgent};
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::model::message::Role;
use mcp_core::model::scripted::ScriptedModel;
use mcp_core::run::WorkersConfig;
use mcp_core::store::runs::{RunId, RunState};
use mcp_core::store::settings::Key;
use mcp_core::store::threads::ThreadId;
use mcp_core::{ServerBuilder, Step};
use serde_json::{Value, json};

use crate::agents::{Yes, agent, answer, caller_of, furnished, questions};
use crate::run_house::{House, Replica, World, caller, comes, json_of};
use crate::support::settle;

const THREAD: ThreadId = ThreadId::from_u128(7);

async fn say(replica: &Replica, agent: &str, input: &str, busy: Busy) -> Result<RunId, AgentRefusal> {
    replica.server.agent_runs().in_thread(THREAD, busy).start(&caller(), agent, &input, None, None).await
}

/// What was said in the thread.
async fn said(house: &House) -> Vec<String> {
    let (tenant, owner) = (caller().tenant().clone(), caller().principal().clone());
    let messages = house.stores.threads.messages(&tenant, &owner, THREAD, None, 100).await.unwrap();
    messages.into_iter().map(|placed| format!("{}: {}", placed.message.role, placed.message.text)).collect()
}

/// How many lines are kept.
async fn lines(house: &House) -> usize {
    let all = Key::of(caller().tenant(), "agent-threads/");
    house.stores.settings.list(&all, None, 10).await.unwrap().len()
}

/// Asks, and says what it was asked for and how much was said before.
fn asker(builder: ServerBuilder) -> ServerBuilder {
    builder.agent(agent("asker", |so_far, _| match so_far.turns() {
        [] => Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)),
        _ => Step::done(format!("{} after {}", so_far.input_text(), so_far.said().len())),
    }))
}

async fn yes(replica: &Replica, run: RunId) {
    answer(replica, run, "turn.0", json!({"yes": true})).await;
}

fn output(run: &mcp_core::store::runs::RunRecord) -> Value {
    json_of(run)["output"].clone()
}

#[tokio::test]
async fn a_run_knows_what_was_said_in_its_thread_and_says_there_what_came_of_it() {
    let house = House::new();
    let model = Arc::new(ScriptedModel::new(["Hello Ada.", "You are Ada.", "Who are you?"]));
    let helper = ModelAgent::new("helper", "Helps.", model.clone()).instructions("Be brief.");
    let replica = house.replica(|builder| builder.agent(helper));
    for input in ["I am Ada.", "Who am I?"] {
        let run = say(&replica, "helper", input, Busy::Queue).await.unwrap();
        house.until(run, RunState::Completed).await;
    }
    assert_eq!(
        said(&house).await,
        ["user: I am Ada.", "assistant: Hello Ada.", "user: Who am I?", "assistant: You are Ada."]
    );
    let told: Vec<_> = model.asked()[1].messages.iter().map(|message| (message.role, message.text())).collect();
    let expected = [
        (Role::System, "Be brief."),
        (Role::User, "I am Ada."),
        (Role::Assistant, "Hello Ada."),
        (Role::User, "Who am I?"),
    ];
    assert_eq!(told, expected.map(|(role, text)| (role, text.to_owned())));
    // Another's thread of the same id is another one, and a run in none knows nothing.
    let (desk, other) = (replica.server.agent_runs(), mcp_core::Caller::new("tenant", "bob"));
    let run = desk.in_thread(THREAD, Busy::Queue).start(&other, "helper", &"Who am I?", None, None).await.unwrap();
    house.until(run, RunState::Completed).await;
    assert_eq!((model.asked()[2].messages.len(), said(&house).await.len()), (2, 4));
    let threads = replica.server.threads(&other).list(None, 10).await.unwrap();
    assert_eq!(
        threads.into_iter().map(|thread| (thread.id, thread.title)).collect::<Vec<_>>(),
        [(THREAD, "Who am I?".to_owned())]
    );
    assert_eq!(lines(&house).await, 0);
}

#[tokio::test]
async fn what_was_said_is_left_out_before_steps_where_it_is_too_much() {
    let house = House::new();
    let model = Arc::new(ScriptedModel::new(["x".repeat(4_000), "b".to_owned(), "c".to_owned()]));
    let helper = ModelAgent::new("helper", "Helps.", model.clone()).context_tokens(500);
    let replica = house.replica(|builder| builder.agent(helper));
    for input in ["a", "b", "c"] {
        let run = say(&replica, "helper", input, Busy::Queue).await.unwrap();
        house.until(run, RunState::Completed).await;
    }
    let told = |n: usize| model.asked()[n].messages.iter().map(|message| message.text()).collect::<Vec<_>>();
    assert_eq!((told(1), told(2)), (vec!["b".to_owned()], ["b", "b", "c"].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn runs_of_a_thread_come_one_after_the_other_in_the_order_in_which_they_were_started() {
    let house = House::new();
    let (one, two) = (house.replica(asker), house.replica(asker));
    let mut runs = Vec::new();
    for (n, replica) in [&one, &two, &one, &two].into_iter().enumerate() {
        runs.push(say(replica, "asker", &format!("{n}"), Busy::Queue).await.unwrap());
    }
    for (n, run) in runs.iter().enumerate() {
        settle().await;
        for later in &runs[n + 1..] {
            assert!(questions(&one, *later).await.is_empty(), "{n}");
        }
        yes(&one, *run).await;
        settle().await;
        // It is told, and looks before it would have done so by itself.
        assert_eq!(house.run(*run).await.state, RunState::Completed, "{n}");
        assert_eq!(output(&house.run(*run).await), format!("{n} after {}", 2 * n));
    }
    assert_eq!(said(&house).await.len(), 8);
    assert_eq!(lines(&house).await, 0);
}

#[tokio::test]
async fn a_run_in_a_busy_thread_is_refused_or_ends_those_before_it_where_that_was_asked_for() {
    let house = House::new();
    let replica = house.replica(asker);
    let first = say(&replica, "asker", "a", Busy::Refuse).await.unwrap();
    settle().await;
    let refused = say(&replica, "asker", "b", Busy::Refuse).await.unwrap_err();
    assert!(matches!(refused, AgentRefusal::ThreadBusy(run) if run == first), "{refused}");
    let waiting = say(&replica, "asker", "c", Busy::Queue).await.unwrap();
    let last = say(&replica, "asker", "d", Busy::Interrupt).await.unwrap();
    for ended in [first, waiting] {
        house.until(ended, RunState::Cancelled).await;
    }
    comes_to_ask(&house, &replica, last).await;
    yes(&replica, last).await;
    assert_eq!(output(&house.until(last, RunState::Completed).await), "d after 1");
    assert_eq!(said(&house).await, ["user: a", "user: d", "assistant: d after 1"]);
    let free = say(&replica, "asker", "e", Busy::Refuse).await.unwrap();
    comes_to_ask(&house, &replica, free).await;
}

async fn comes_to_ask(house: &House, replica: &Replica, run: RunId) {
    for _ in 0..100 {
        settle().await;
        if !questions(replica, run).await.is_empty() {
            return;
        }
        house.clock.advance(crate::run_house::SECOND);
    }
    panic!("{run} does not ask: {:?}", house.run(run).await);
}

/// Whoever would have told the next one that it is its turn is gone; and what was begun is said once.
#[tokio::test]
async fn a_thread_goes_on_when_the_process_of_a_run_is_gone() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let changer = || caller_of("changer", "change");
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), furnished(&slow, changer()));
    let desk = || first.server.agent_runs().in_thread(THREAD, Busy::Queue);
    let one = desk().start(&caller(), "changer", &["a"], None, None).await.unwrap();
    comes(|| slow.done().len() == 1).await;
    let two = desk().start(&caller(), "changer", &["b"], None, None).await.unwrap();
    let second = house.replica(furnished(&fast, changer()));
    comes_to_ask(&house, &second, one).await;
    assert_eq!(house.run(two).await.state, RunState::Waiting);
    let (name, _) = questions(&second, one).await.pop_first().unwrap();
    answer(&second, one, &name, json!({"outcome": "done"})).await;
    house.until(two, RunState::Completed).await;
    let told = said(&house).await;
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!((&*told[0], &*told[2], &*told[3]), ("user: [\"a\"]", "user: [\"b\"]", "assistant: [\"changed b\"]"));
    assert_eq!(lines(&house).await, 0);
}

/// One that has ended without leaving the line, and one that was put into it and never begun, hold up nobody.
#[tokio::test]
async fn runs_that_are_not_there_hold_up_nobody() {
    let house = House::new();
    let replica = house.replica(asker);
    let ended = replica.server.agent_runs().start(&caller(), "asker", &"x", None, None).await.unwrap();
    replica.server.runs().cancel(&caller(), ended).await.unwrap();
    house.until(ended, RunState::Cancelled).await;
    let never = RunId::from_u128(3);
    let line = json!({"runs": [{"run": ended, "at": house.clock.now()}, {"run": never, "at": house.clock.now()}]});
    let key = Key::of(caller().tenant(), format!("agent-threads/{THREAD}/ada"));
    house.stores.settings.store(&key, line.to_string().into(), None).await.unwrap();
    let refused = say(&replica, "asker", "a", Busy::Refuse).await.unwrap_err();
    assert!(matches!(refused, AgentRefusal::ThreadBusy(run) if run == never), "{refused}");
    let run = say(&replica, "asker", "a", Busy::Queue).await.unwrap();
    comes_to_ask(&house, &replica, run).await;
}

#[tokio::test]
async fn what_others_do_for_a_run_knows_what_was_said_before_it_and_says_nothing_there() {
    let house = House::new();
    let replica = house.replica(|builder| {
        let lead = agent("lead", |so_far, _| match so_far.last_delegated() {
            None => Ok(Step::delegate(Delegation::new("listener", "count")?)),
            Some(delegated) => Step::done(delegated.text()),
        });
        let listener = agent("listener", |so_far, _| {
            Step::done(so_far.said().iter().map(|said| &*said.text).collect::<Vec<_>>().join(", "))
        });
        builder.agent(lead).agent(listener)
    });
    for input in ["a", "b"] {
        let run = say(&replica, "lead", input, Busy::Queue).await.unwrap();
        house.until(run, RunState::Completed).await;
    }
    assert_eq!(said(&house).await, ["user: a", "assistant: ", "user: b", "assistant: a, "]);
}

#[tokio::test]
async fn a_run_is_started_once_under_its_id_and_one_whose_thread_is_gone_fails() {
    let house = House::new();
    let replica = house.replica(asker);
    let desk = || replica.server.agent_runs().in_thread(THREAD, Busy::Refuse);
    let id = RunId::from_u128(9);
    for _ in 0..2 {
        desk().start(&caller(), "asker", &"a", None, Some(id)).await.unwrap();
    }
    comes_to_ask(&house, &replica, id).await;
    let next = say(&replica, "asker", "b", Busy::Queue).await.unwrap();
    assert!(replica.server.threads(&caller()).remove(THREAD).await.unwrap());
    yes(&replica, id).await;
    house.until(id, RunState::Completed).await;
    let failed = house.until(next, RunState::Failed).await;
    assert_eq!(json_of(&failed)["error"], "the thread in which the run was to be is gone");
    desk().start(&caller(), "asker", &"a", None, Some(id)).await.unwrap();
    assert_eq!((lines(&house).await, said(&house).await.len()), (0, 0));
}

#[tokio::test]
async fn a_thread_takes_so_many_runs_and_no_more() {
    let house = House::new();
    let replica = house.replica(asker);
    for n in 0..64 {
        say(&replica, "asker", &n.to_string(), Busy::Queue).await.unwrap();
    }
    let refused = say(&replica, "asker", "more", Busy::Queue).await.unwrap_err();
    assert!(matches!(refused, AgentRefusal::TooMany(_)), "{refused}");
    let last = say(&replica, "asker", "last", Busy::Refuse).await.unwrap_err();
    assert!(matches!(last, AgentRefusal::ThreadBusy(_)), "{last}");
}
