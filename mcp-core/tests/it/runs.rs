//! Runs, from their begin to their end: on stores in memory that several servers share, each with a clock of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mcp_core::caller::{Caller, Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::run::{Repeatable, RunContext, RunError, RunRefusal, WorkersConfig};
use mcp_core::store::StoreError;
use mcp_core::store::events::{Events, Listener, Topic};
use mcp_core::store::ledger::{Entry, Ledger};
use mcp_core::store::records::Keep;
use mcp_core::store::runs::{
    Claimed, Hold, Input, NewRun, Posted, RunId, RunQuery, RunRecord, RunState, Runs, StepKind, StepRecord,
};
use mcp_core::{Server, ServerBuilder};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::run_house::{House, LEASE, SECOND, World, caller, comes, json_of};
use crate::support::settle;

/// Changes the world under three keys.
async fn three(world: World, cx: RunContext, repeatable: Repeatable) -> Result<Vec<String>, RunError> {
    let mut keys = Vec::new();
    for key in ["one", "two", "three"] {
        keys.push(cx.effect(key, repeatable, |key| world.change(key)).await?);
    }
    Ok(keys)
}

fn three_of(world: &World, repeatable: Repeatable) -> impl FnOnce(ServerBuilder) -> ServerBuilder + use<> {
    let world = world.clone();
    move |builder| builder.work("three", move |cx| three(world.clone(), cx, repeatable))
}

#[tokio::test]
async fn a_run_is_done_and_what_came_of_it_is_kept() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(three_of(&world, Repeatable::No));
    let id = replica.start("three", json!({})).await;
    let run = house.until(id, RunState::Completed).await;
    let keys = ["one", "two", "three"].map(|key| format!("{id}/{key}"));
    assert_eq!((json_of(&run), world.done()), (json!(keys), keys.to_vec()));
    assert_eq!((run.epoch, run.principal, run.ended), (1, caller().principal().clone(), Some(house.clock.now())));
    let steps = house.steps(id).await;
    let of = |key: &str| [(StepKind::Decided, key.to_owned()), (StepKind::Done, key.to_owned())];
    assert_eq!(steps, [of("one"), of("two"), of("three")].concat());
    assert_eq!(replica.workers.held(), 0);
}

#[tokio::test]
async fn of_a_kind_that_is_not_known_no_run_is_begun() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(three_of(&world, Repeatable::No));
    let refused = replica.server.runs().start(&caller(), "tree", Bytes::new(), None).await.unwrap_err();
    assert!(matches!(refused, RunRefusal::UnknownKind { .. }));
    assert_eq!(refused.to_string(), "there is no kind of run \"tree\"; there are three");
    let work = async |_: RunContext| Ok::<_, RunError>(());
    let twice = Server::builder("s", "1").work("a", work).work("a", work).build();
    assert_eq!(twice.err().unwrap().to_string(), "there are two kinds of run \"a\"; give each a name of its own");
}

#[tokio::test]
async fn a_run_that_is_begun_twice_under_one_id_is_one() {
    let (house, world) = (House::new(), World::open());
    let replica = house.replica(three_of(&world, Repeatable::No));
    let id = RunId::from_u128(7);
    for _ in 0..2 {
        let begun = replica.server.runs().start(&caller(), "three", Bytes::new(), Some(id)).await.unwrap();
        assert_eq!(begun, id);
        house.until(id, RunState::Completed).await;
    }
    assert_eq!(world.done().len(), 3);
}

#[tokio::test]
async fn nobody_sees_or_touches_the_runs_of_another() {
    let (house, world) = (House::new(), World::closed());
    let replica = house.replica(three_of(&world, Repeatable::No));
    let id = replica.start("three", json!({})).await;
    let runs = replica.server.runs();
    let admin = Caller::new("tenant", "root").with_role(Caller::ADMIN);
    for (other, sees) in
        [(Caller::new("tenant", "bob"), false), (admin, true), (Caller::new("elsewhere", "ada"), false)]
    {
        assert_eq!(runs.find(&other, id).await.unwrap().is_some(), sees);
        assert_eq!(runs.list(&other, RunQuery::default()).await.unwrap().len(), usize::from(sees));
        let posted = runs.post(&other, id, Bytes::new(), None).await.unwrap();
        assert_eq!(posted, if sees { Posted::Kept } else { Posted::Missing });
        settle().await;
        assert_eq!(runs.steps(&other, id, 0, 10).await.unwrap().is_empty(), !sees);
    }
}

/// The first replica is stopped in the middle of an effect, and its clock with it.
#[tokio::test]
async fn another_replica_goes_on_within_a_second_of_the_end_of_the_lease() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), three_of(&slow, Repeatable::Yes));
    let id = first.start("three", json!({})).await;
    comes(|| slow.done().len() == 1).await;
    let second = house.replica(three_of(&fast, Repeatable::Yes));
    house.clock.advance(LEASE - Duration::from_millis(1));
    settle().await;
    assert_eq!((second.workers.held(), fast.done().len()), (0, 0), "the lease is not over");
    house.clock.advance(Duration::from_millis(1) + SECOND);
    comes(|| fast.done().len() == 3).await;
    settle().await;
    assert_eq!(house.run(id).await.state, RunState::Completed);
    let keys = ["one", "two", "three"].map(|key| format!("{id}/{key}"));
    assert_eq!(fast.done(), keys, "under the same keys");

    // The first goes on where it was, and what it writes is late: nothing of it is there, and it does nothing more.
    let steps = house.steps(id).await;
    slow.gate.add_permits(100);
    comes(|| first.workers.held() == 0).await;
    assert_eq!((slow.done().len(), house.steps(id).await), (1, steps));
    assert_eq!(house.run(id).await.epoch, 2);
}

/// Its clock has gone on: it knows that it may be late before it does anything.
#[tokio::test]
async fn a_replica_that_was_stopped_for_too_long_polls_no_work() {
    let house = House::new();
    let (polls, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (signal, counted, begins) = (Arc::new(tokio::sync::Notify::new()), polls.clone(), begun.clone());
    let heard = signal.clone();
    let replica = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), move |builder| {
        builder.work("count", move |_: RunContext| {
            let (polls, heard, begins) = (counted.clone(), heard.clone(), begins.clone());
            async move {
                // It may claim the run again, and then begins it anew: only of the first time is it counted.
                let is_first = begins.fetch_add(1, Ordering::SeqCst) == 0;
                loop {
                    polls.fetch_add(usize::from(is_first), Ordering::SeqCst);
                    heard.notified().await;
                }
                #[allow(unreachable_code, reason = "it says of what type it would be")]
                Ok::<(), RunError>(())
            }
        })
    });
    replica.start("count", json!({})).await;
    comes(|| polls.load(Ordering::SeqCst) == 1).await;
    signal.notify_one();
    comes(|| polls.load(Ordering::SeqCst) == 2).await;
    // Nothing of this process goes on meanwhile: there is no await between the two.
    house.clock.advance(LEASE);
    replica.clock.advance(LEASE);
    signal.notify_one();
    comes(|| replica.workers.held() == 0 || begun.load(Ordering::SeqCst) == 2).await;
    settle().await;
    assert_eq!(polls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_run_is_held_for_as_long_as_it_is_renewed() {
    let (house, world) = (House::new(), World::closed());
    let first = house.replica(three_of(&world, Repeatable::No));
    let other = house.replica(three_of(&world, Repeatable::No));
    let id = first.start("three", json!({})).await;
    comes(|| world.done().len() == 1).await;
    for _ in 0..300 {
        house.clock.advance(SECOND);
        settle().await;
    }
    assert_eq!((house.run(id).await.epoch, world.done().len()), (1, 1));
    world.gate.add_permits(3);
    house.until(id, RunState::Completed).await;
    assert_eq!((world.done().len(), first.workers.held() + other.workers.held()), (3, 0));
}

/// What was begun, and of which nobody knows whether it was done.
#[tokio::test]
async fn an_effect_that_is_not_repeatable_is_not_made_twice() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let first = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), three_of(&slow, Repeatable::No));
    let id = first.start("three", json!({})).await;
    comes(|| slow.done().len() == 1).await;
    slow.gate.add_permits(1);
    comes(|| slow.done().len() == 2).await;
    let _second = house.replica(three_of(&fast, Repeatable::No));
    let run = house.until(id, RunState::Failed).await;
    assert_eq!(fast.done(), [""; 0]);
    let error = "outcome_unknown: \"two\" was begun, and whether it was done is not known";
    assert_eq!(json_of(&run), json!({"error": error, "code": "outcome_unknown"}));
}

#[tokio::test]
async fn an_error_of_an_effect_is_given_again_unless_it_is_repeatable() {
    let house = House::new();
    let tries: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let counted = tries.clone();
    let fails = move |cx: RunContext| {
        let tries = counted.clone();
        async move {
            let repeatable = if cx.arguments()? { Repeatable::Yes } else { Repeatable::No };
            let fail = |key: String| {
                let count = {
                    let mut tries = tries.lock().unwrap();
                    let count = tries.entry(key).or_default();
                    *count += 1;
                    *count
                };
                async move { if count < 3 { Err(RunError::again("not yet")) } else { Ok(count) } }
            };
            cx.effect("e", repeatable, fail).await
        }
    };
    let replica = house.replica(move |builder| builder.work("fails", fails));
    let (often, once) = (replica.start("fails", json!(true)).await, replica.start("fails", json!(false)).await);
    assert_eq!(json_of(&house.until(often, RunState::Completed).await), json!(3));
    let failed = house.until(once, RunState::Failed).await;
    assert_eq!(json_of(&failed), json!({"error": "not yet", "code": "failed"}));
    assert_eq!(tries.lock().unwrap()[&format!("{once}/e")], 1);
}

#[tokio::test]
async fn a_key_is_of_one_effect_at_a_time() {
    let (house, world) = (House::new(), World::closed());
    let shared = world.clone();
    let both = move |cx: RunContext| {
        let world = shared.clone();
        async move {
            let one = cx.effect("e", Repeatable::Yes, |key| world.change(key));
            let other = cx.effect("e", Repeatable::Yes, |key| world.change(key));
            futures_util::future::try_join(one, other).await
        }
    };
    let replica = house.replica(move |builder| builder.work("both", both));
    let id = replica.start("both", json!({})).await;
    let failed = json_of(&house.until(id, RunState::Failed).await);
    assert_eq!(failed["error"], "the effect \"e\" is under way; another one needs another key");
}

#[tokio::test]
async fn what_fails_or_panics_is_tried_again_later_and_not_for_ever() {
    for (how, code, error) in [("fail", "failed", "no luck"), ("panic", "internal", ""), ("break", "internal", "")] {
        let house = House::new();
        let begun: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let (times, clock) = (begun.clone(), house.clock.clone());
        let fails = move |_: RunContext| {
            times.lock().unwrap().push(clock.monotonic());
            async move {
                match how {
                    "fail" => Err::<(), _>(RunError::again("no luck")),
                    "panic" => panic!("at the disco"),
                    _ => Err(std::fmt::Error.into()),
                }
            }
        };
        let replica = house.replica(move |builder| builder.work("fails", fails));
        let id = replica.start("fails", json!({})).await;
        let run = house.until(id, RunState::Failed).await;
        let result = json_of(&run);
        assert_eq!(result["code"], code);
        let told = match error {
            "" => format!("the run failed inside; the server's log has the cause under {id}"),
            error => error.to_owned(),
        };
        assert_eq!(result["error"], told);
        let begun = begun.lock().unwrap().clone();
        let pauses: Vec<_> = begun.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], "{how}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_not_tried_again() {
    let house = House::new();
    let fails = async |cx: RunContext| cx.arguments::<u8>();
    let replica = house.replica(move |builder| builder.work("fails", fails));
    let id = replica.start("fails", json!("x")).await;
    let run = house.until(id, RunState::Failed).await;
    let error = json_of(&run)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("the arguments cannot be read: invalid type: string"), "{error}");
    assert_eq!(run.epoch, 1);
}

/// It takes each process with it.
#[tokio::test]
async fn a_run_that_is_begun_again_and_again_without_getting_on_ends() {
    let house = House::new();
    let begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let counted = begun.clone();
        let hangs = move |_: RunContext| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<(), RunError>>()
        };
        let replica = house
            .replica_at(SimulatedClock::new(), WorkersConfig::default(), move |builder| builder.work("hangs", hangs));
        if begun.load(Ordering::SeqCst) == 0 {
            replica.start("hangs", json!({})).await;
        }
        settle().await;
        // From here on it is dead: its clock stands still.
        house.clock.advance(LEASE);
    }
    assert_eq!(begun.load(Ordering::SeqCst), 10);
    let [run] = &house.stores.runs.runs(caller().tenant(), &RunQuery::default()).await.unwrap()[..] else { panic!() };
    assert_eq!(json_of(run)["error"], "the run was begun 10 times without getting on");
}

/// Adds what it is told, up to an empty text.
async fn sum(cx: RunContext) -> Result<i64, RunError> {
    let mut sum = 0;
    for n in 0.. {
        let input = cx.input().await;
        if input.body.is_empty() {
            break;
        }
        let number: i64 = serde_json::from_slice(&input.body)?;
        sum += cx.effect(&format!("add {n}"), Repeatable::No, async |_| Ok::<_, RunError>(number)).await?;
    }
    Ok(sum)
}

#[tokio::test]
async fn a_run_that_waits_for_an_input_costs_nothing_for_days_and_goes_on_anywhere() {
    let house = House::new();
    let with_sum = |builder: ServerBuilder| builder.work("sum", sum);
    let (one, other) = (house.replica(with_sum), house.replica(with_sum));
    let id = one.start("sum", json!({})).await;
    for (number, body) in ["1", "20", "300"].into_iter().enumerate() {
        comes(|| one.workers.held() + other.workers.held() == 0).await;
        house.clock.advance(SECOND * 60 * 60 * 24 * 3);
        settle().await;
        let run = house.run(id).await;
        assert_eq!((run.state, run.due), (RunState::Waiting, None));
        assert_eq!([&one, &other][number % 2].post(id, body).await, Posted::Kept);
        house.until(id, RunState::Waiting).await;
    }
    // Several at once, and while it is busy.
    for body in ["4000", "50000", ""] {
        one.post(id, body).await;
    }
    let run = house.until(id, RunState::Completed).await;
    assert_eq!(json_of(&run), json!(54_321));
    assert_eq!(one.post(id, "6").await, Posted::Ended);
}

#[tokio::test]
async fn a_pause_of_an_hour_is_an_hour_however_often_the_run_is_begun() {
    let house = House::new();
    let tired = async |cx: RunContext| {
        cx.pause("rest", SECOND * 60 * 60).await?;
        let answer = cx.input_within("answer", SECOND * 20).await?;
        cx.pause("rest again", SECOND * 20).await?;
        Ok::<_, RunError>(answer.is_some())
    };
    let replica = house.replica(move |builder| builder.work("tired", tired));
    let begun = house.clock.now();
    let ids = [replica.start("tired", json!({})).await, replica.start("tired", json!({})).await];
    settle().await;
    assert_eq!(replica.workers.held(), 0);
    house.clock.advance(SECOND * 60 * 30);
    // It is woken, and goes back to sleep.
    replica.post(ids[1], "are you there?").await;
    settle().await;
    settle().await;
    assert_eq!((house.run(ids[1]).await.state, house.run(ids[1]).await.epoch), (RunState::Waiting, 2));
    for (id, answered) in ids.into_iter().zip([false, true]) {
        let run = house.until(id, RunState::Completed).await;
        assert_eq!(json_of(&run), json!(answered));
        let took = begun.until(run.ended.unwrap());
        let least = if answered { SECOND * 3_620 } else { SECOND * 3_640 };
        assert!((least..least + SECOND * 10).contains(&took), "{took:?}");
    }
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_at_once_and_one_that_works_after_a_grace() {
    let house = House::new();
    let cleaned = Arc::new(AtomicUsize::new(0));
    let counted = cleaned.clone();
    let polite = move |cx: RunContext| {
        let cleaned = counted.clone();
        async move {
            cx.cancelled().await;
            cleaned.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(RunError::Cancelled)
        }
    };
    let stubborn = |_: RunContext| std::future::pending::<Result<(), RunError>>();
    let furnish = move |builder: ServerBuilder| {
        builder.work("sum", sum).work("polite", polite.clone()).work("stubborn", stubborn)
    };
    let (one, other) = (house.replica(furnish.clone()), house.replica(furnish));
    let mut ids = Vec::new();
    for kind in ["sum", "polite", "stubborn"] {
        ids.push(one.start(kind, json!({})).await);
    }
    settle().await;
    for id in &ids {
        // From the replica that holds it, or from another one.
        assert_eq!(other.server.runs().cancel(&caller(), *id).await.unwrap(), Posted::Kept);
    }
    settle().await;
    let state = async |id: &RunId| house.run(*id).await.state;
    assert_eq!((state(&ids[0]).await, state(&ids[1]).await), (RunState::Cancelled, RunState::Cancelled));
    assert_eq!((cleaned.load(Ordering::SeqCst), state(&ids[2]).await), (1, RunState::Running));
    house.clock.advance(SECOND);
    settle().await;
    assert_eq!(state(&ids[2]).await, RunState::Cancelled);
    assert_eq!(other.server.runs().cancel(&caller(), ids[2]).await.unwrap(), Posted::Ended);
    assert_eq!(one.workers.held() + other.workers.held(), 0);
}

/// Hints that never arrive.
struct Silence;

#[async_trait]
impl Events for Silence {
    async fn publish(&self, _: &Topic, _: Bytes) -> Result<(), StoreError> {
        Err(StoreError::Unavailable { store: "events", source: None })
    }

    async fn subscribe(&self, _: &Topic) -> Result<Listener, StoreError> {
        Err(StoreError::Unavailable { store: "events", source: None })
    }
}

#[tokio::test]
async fn without_hints_runs_are_found_at_the_next_look_and_inputs_at_the_next_renewal() {
    let mut house = House::new();
    house.stores.events = Arc::new(Silence);
    let world = World::open();
    // It claims nothing: it knows only how a run is begun.
    let desk = Server::builder("desk", "1").clock(Arc::new(house.clock.clone())).stores(house.stores.clone());
    let desk = three_of(&world, Repeatable::No)(desk)
        .work("stubborn", |_: RunContext| std::future::pending::<Result<(), RunError>>())
        .build()
        .unwrap();
    let replica = house.replica(|builder| {
        let builder = three_of(&world, Repeatable::No)(builder);
        builder.work("stubborn", |cx: RunContext| async move {
            cx.cancelled().await;
            Err::<(), _>(RunError::Cancelled)
        })
    });
    settle().await;
    let id = desk.runs().start(&caller(), "three", Bytes::new(), None).await.unwrap();
    let stubborn = desk.runs().start(&caller(), "stubborn", Bytes::new(), None).await.unwrap();
    settle().await;
    assert_eq!(house.run(id).await.state, RunState::Waiting);
    house.clock.advance(SECOND * 5);
    settle().await;
    assert_eq!((house.run(id).await.state, house.run(stubborn).await.state), (RunState::Completed, RunState::Running));
    desk.runs().cancel(&caller(), stubborn).await.unwrap();
    settle().await;
    assert_eq!(house.run(stubborn).await.state, RunState::Running);
    for _ in 0..5 {
        house.clock.advance(SECOND);
        settle().await;
    }
    assert_eq!(house.run(stubborn).await.state, RunState::Cancelled);
    assert_eq!(replica.workers.held(), 0);
}

/// Counts how often it is asked.
struct Counted {
    runs: Arc<dyn Runs>,
    claims: AtomicUsize,
    /// Who has claimed hears of it when there is a permit.
    gate: Semaphore,
}

impl Counted {
    /// Those of a house.
    fn of(house: &mut House) -> Arc<Self> {
        let gate = Semaphore::new(100_000);
        let counted = Arc::new(Self { runs: house.stores.runs.clone(), claims: AtomicUsize::new(0), gate });
        house.stores.runs = counted.clone();
        counted
    }
}

#[async_trait]
impl Runs for Counted {
    async fn create(&self, run: &NewRun) -> Result<(), StoreError> {
        self.runs.create(run).await
    }

    async fn claim(&self, kind: &str, limit: u16, lease: Duration) -> Result<Claimed, StoreError> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        let claimed = self.runs.claim(kind, limit, lease).await;
        self.gate.acquire().await.expect("it is never closed").forget();
        claimed
    }

    async fn renew(&self, held: &[Hold], lease: Duration) -> Result<Vec<Option<u32>>, StoreError> {
        self.runs.renew(held, lease).await
    }

    async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        self.runs.run(tenant, run).await
    }

    async fn runs(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunRecord>, StoreError> {
        self.runs.runs(tenant, query).await
    }

    async fn open(&self, tenant: &Tenant, principal: &Principal, kind: &str, most: u16) -> Result<u16, StoreError> {
        self.runs.open(tenant, principal, kind, most).await
    }

    async fn steps(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<StepRecord>, StoreError> {
        self.runs.steps(tenant, run, from, limit).await
    }

    async fn post(&self, tenant: &Tenant, run: RunId, input: &Input) -> Result<Posted, StoreError> {
        self.runs.post(tenant, run, input).await
    }

    async fn inputs(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<Input>, StoreError> {
        self.runs.inputs(tenant, run, from, limit).await
    }

    async fn overdue(&self, keep: Keep, limit: u16) -> Result<Vec<(Tenant, RunId)>, StoreError> {
        self.runs.overdue(keep, limit).await
    }

    async fn longest_due(&self) -> Result<Option<Duration>, StoreError> {
        self.runs.longest_due().await
    }
}

#[tokio::test]
async fn an_idle_replica_looks_every_five_seconds_and_when_something_is_due() {
    let mut house = House::new();
    let (counted, world) = (Counted::of(&mut house), World::closed());
    let _idle = house.replica(three_of(&world, Repeatable::No));
    settle().await;
    let before = counted.claims.load(Ordering::SeqCst);
    for _ in 0..600 {
        house.clock.advance(SECOND / 10);
        settle().await;
    }
    assert_eq!(counted.claims.load(Ordering::SeqCst) - before, 12, "in a minute");
}

/// Takes what is committed at once, but what becomes of a run only when there is a permit.
struct SlowTurns {
    inner: Arc<dyn Ledger>,
    gate: Arc<Semaphore>,
    turns: Arc<AtomicUsize>,
}

impl Ledger for SlowTurns {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let (inner, gate, turns) = (self.inner.clone(), self.gate.clone(), self.turns.clone());
        async move {
            if entries.iter().any(|entry| matches!(entry, Entry::Turn { .. })) {
                turns.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.expect("it is never closed").forget();
            }
            inner.commit(entries).await
        }
        .boxed()
    }
}

/// Its clock stands still: it does not go on because somebody looks after a while.
#[tokio::test]
async fn what_a_run_is_told_while_it_is_let_go_has_it_go_on_at_once() {
    let mut house = House::new();
    let (gate, turns) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let ledger = SlowTurns { inner: house.stores.ledger.clone(), gate: gate.clone(), turns: turns.clone() };
    house.stores.ledger = Arc::new(ledger);
    let replica = house.replica(|builder| builder.work("sum", sum));
    let id = replica.start("sum", json!({})).await;
    comes(|| turns.load(Ordering::SeqCst) == 1).await;
    assert_eq!(replica.post(id, "").await, Posted::Kept);
    settle().await;
    assert_eq!(house.run(id).await.state, RunState::Running, "it is about to wait");
    gate.add_permits(2);
    settle().await;
    assert_eq!(house.run(id).await.state, RunState::Completed);
}

#[tokio::test]
async fn what_a_run_is_told_while_it_is_claimed_is_heard_at_once() {
    let mut house = House::new();
    let counted = Counted::of(&mut house);
    counted.gate.forget_permits(100_000);
    let replica = house.replica(|builder| builder.work("sum", sum));
    settle().await;
    let id = replica.start("sum", json!({})).await;
    // The first claim came before it.
    counted.gate.add_permits(1);
    comes(|| counted.claims.load(Ordering::SeqCst) == 2).await;
    settle().await;
    assert_eq!(
        (house.run(id).await.state, replica.workers.held()),
        (RunState::Running, 0),
        "it is claimed and not held yet"
    );
    assert_eq!(replica.post(id, "").await, Posted::Kept);
    settle().await;
    counted.gate.add_permits(1_000);
    settle().await;
    assert_eq!(house.run(id).await.state, RunState::Completed);
}

#[tokio::test]
async fn no_more_runs_are_held_than_there_is_room_for_and_each_kind_has_its_turn() {
    let (house, world) = (House::new(), World::closed());
    let config = {
        let mut config = WorkersConfig::default();
        config.concurrency = 3;
        config
    };
    let both = world.clone();
    let replica = house.replica_at(house.clock.clone(), config, move |builder| {
        let one = both.clone();
        let work = move |kind: &'static str| {
            let world = one.clone();
            move |cx: RunContext| {
                let world = world.clone();
                async move { cx.effect(kind, Repeatable::No, |key| world.change(key)).await }
            }
        };
        builder.work("a", work("a")).work("b", work("b"))
    });
    for _ in 0..10 {
        for kind in ["a", "b"] {
            replica.start(kind, json!({})).await;
        }
    }
    for round in 1..=6 {
        comes(|| world.done().len() == round * 3).await;
        settle().await;
        assert_eq!((replica.workers.held(), world.done().len()), (3, round * 3));
        world.gate.add_permits(3);
    }
    comes(|| replica.workers.held() == 2).await;
    let first: Vec<_> = world.done().iter().take(9).map(|key| key.rsplit('/').next().unwrap().to_owned()).collect();
    assert!(first.contains(&"a".to_owned()) && first.contains(&"b".to_owned()), "{first:?}");
}

#[tokio::test]
async fn five_replicas_do_a_thousand_runs_each_once() {
    let (house, world) = (House::new(), World::open());
    let replicas: Vec<_> = (0..5).map(|_| house.replica(three_of(&world, Repeatable::No))).collect();
    let mut ids = Vec::new();
    for n in 0..1_000 {
        ids.push(replicas[n % 5].start("three", json!({})).await);
    }
    for id in &ids {
        let run = house.until(*id, RunState::Completed).await;
        assert_eq!(run.epoch, 1);
    }
    let mut done = world.done();
    done.sort_unstable();
    let mut expected: Vec<_> =
        ids.iter().flat_map(|id| ["one", "two", "three"].map(|key| format!("{id}/{key}"))).collect();
    expected.sort_unstable();
    assert!(done == expected, "{} effects of 3000", done.len());
}

#[tokio::test]
async fn who_stops_lets_runs_come_to_their_next_record_and_another_goes_on_at_once() {
    let (house, slow, fast) = (House::new(), World::closed(), World::open());
    let first = house.replica(three_of(&slow, Repeatable::No));
    let quick = first.start("three", json!({})).await;
    comes(|| slow.done().len() == 1).await;
    let stop = first.workers.clone();
    let mut stopping = Box::pin(stop.stop(SECOND * 10));
    assert!(futures_util::poll!(&mut stopping).is_pending(), "a run is under way");
    settle().await;
    let late = first.start("three", json!({})).await;
    settle().await;
    assert_eq!((first.workers.held(), house.run(late).await.state), (1, RunState::Waiting), "it claims nothing more");
    slow.gate.add_permits(1);
    assert_eq!(stopping.await, 0);
    assert_eq!((house.run(quick).await.state, house.steps(quick).await.len()), (RunState::Waiting, 2));
    assert_eq!(slow.done().len(), 1, "the second effect was not begun");
    let _second = house.replica(three_of(&fast, Repeatable::No));
    for id in [quick, late] {
        comes(|| fast.done().iter().any(|key| *key == format!("{id}/three"))).await;
    }
    settle().await;
    assert_eq!((json_of(&house.run(quick).await).as_array().unwrap().len(), fast.done().len()), (3, 5));
}

#[tokio::test]
async fn who_stops_releases_what_does_not_come_to_a_record_in_time() {
    let house = House::new();
    let (slow, fast) = (World::closed(), World::open());
    let first = house.replica(three_of(&slow, Repeatable::Yes));
    let second = house.replica_at(SimulatedClock::new(), WorkersConfig::default(), three_of(&fast, Repeatable::Yes));
    settle().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(first.start("three", json!({})).await);
    }
    settle().await;
    let (held, stop) = (first.workers.held(), first.workers.clone());
    let mut stopping = Box::pin(stop.stop(SECOND));
    assert!(futures_util::poll!(&mut stopping).is_pending(), "runs are under way");
    settle().await;
    assert_eq!(first.workers.held(), held);
    house.clock.advance(SECOND);
    assert_eq!(stopping.await, 0);
    // Its own clock stands still: it was told.
    comes(|| second.workers.held() == 0 && ids.iter().all(|id| fast.done().contains(&format!("{id}/three")))).await;
}

#[tokio::test]
async fn a_journal_has_an_end() {
    let house = House::new();
    let chatty = async |cx: RunContext| {
        for n in 0.. {
            cx.record(&n.to_string(), &n).await?;
        }
        Ok::<_, RunError>(())
    };
    let replica = house.replica(move |builder| builder.work("chatty", chatty));
    let id = replica.start("chatty", json!({})).await;
    let run = house.until(id, RunState::Failed).await;
    let error = "the run has as much on record as a run may: 10000 steps of 32 MiB together";
    assert_eq!(json_of(&run)["error"], error);
    assert_eq!(house.stores.runs.steps(caller().tenant(), id, 0, u16::MAX).await.unwrap().len(), 10_000);
}

#[tokio::test]
async fn what_is_recorded_is_found_again_and_what_is_too_large_fails() {
    let house = House::new();
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let work = move |cx: RunContext| {
        let time = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let before: Option<String> = cx.recorded("note")?;
            cx.record("note", &format!("time {time}")).await?;
            if time == 0 {
                return Err(RunError::again("once more"));
            }
            assert_eq!(cx.journal().len(), 1);
            let large = "x".repeat(2 << 20);
            let too_large = cx.record("large", &large).await.unwrap_err().to_string();
            assert!(too_large.contains("larger than a run may keep"), "{too_large}");
            if time == 1 { Ok((before, String::new())) } else { Ok((before, large)) }
        }
    };
    let replica = house.replica(move |builder| builder.work("work", work));
    let id = replica.start("work", json!({})).await;
    assert_eq!(json_of(&house.until(id, RunState::Completed).await), json!(["time 0", ""]));
    let id = replica.start("work", json!({})).await;
    let failed = json_of(&house.until(id, RunState::Failed).await);
    assert_eq!(failed["error"], "the result has 2097161 bytes, and may have 1048576");
}
