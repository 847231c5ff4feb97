//! What [`Stats`](crate::store::stats::Stats) promises.

use std::time::Duration;

use bytes::Bytes;

use super::{Fresh, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::measure::Histogram;
use crate::model::price::Money;
use crate::store::audit::{Removal, RemovalCause};
use crate::store::ledger::{CallRecord, Entry, Outcome};
use crate::store::runs::{Hold, NewRun, RunId, Step, StepKind};
use crate::store::stats::{By, Counted, MINUTE, ModelUse, StatsQuery, Taken};

/// One named test for each promise of [`Stats`](crate::store::stats::Stats), on stores from `$fresh`: an async function or closure
/// without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! stats_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            stats, $fresh,
            a_call_is_counted_once,
            counts_outlive_calls,
            only_the_time_asked_for_is_counted,
            tools_and_outcomes_are_told_apart,
            what_models_took_is_counted_once,
            tenants_are_apart,
        }
    };
}

/// Some seconds after the time of [`call`], which is a full minute.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(call(0).at.as_micros() + seconds * 1_000_000)
}

fn query(from: i64, to: i64, minutes: u32, by: By) -> StatsQuery {
    StatsQuery { from: at(from), to: at(to), minutes, by }
}

/// One that begins so many seconds later and takes no time.
fn later(id: u128, seconds: i64) -> CallRecord {
    CallRecord { at: at(seconds), duration: Duration::ZERO, ..call(id) }
}

async fn ask(fresh: &Fresh, tenant: Option<&Tenant>, query: &StatsQuery) -> Vec<Counted> {
    fresh.stores.stats.calls(tenant, query).await.expect("what was counted can be read")
}

/// Each step in seconds, with its name, how many calls it had, and how many of them failed.
async fn counts(fresh: &Fresh, query: &StatsQuery) -> Vec<(i64, Option<String>, u64, u64)> {
    let counted = ask(fresh, Some(&tenant()), query).await;
    let seconds = |step: &Counted| (step.at.as_micros() - at(0).as_micros()) / 1_000_000;
    counted.into_iter().map(|step| (seconds(&step), step.name, step.durations.count(), step.failed)).collect()
}

/// As soon as it can be read, in the minute in which it ended, with the time that it took; again, it is not counted again.
pub async fn a_call_is_counted_once(fresh: &Fresh) {
    let hour = query(0, 3_600, 60, By::Nothing);
    assert_eq!(counts(fresh, &hour).await, []);
    let bounds = [Duration::ZERO, Duration::from_nanos(1_000)].into_iter().chain(Histogram::BOUNDS);
    let times: Vec<Duration> = bounds.flat_map(|bound| [bound, bound + Duration::from_micros(1)]).collect();
    for (id, duration) in (1..).zip(&times) {
        let call = CallRecord { duration: *duration, ..call(id) };
        fresh.commit([call.clone()]).await;
        assert_eq!(counts(fresh, &hour).await, [(0, None, id as u64, 0)], "it is counted at once");
        // Its answer was lost, and so it is committed again, with one that is new.
        fresh.commit([call, later(1_000 + id, 7_200)]).await;
        assert_eq!(counts(fresh, &hour).await, [(0, None, id as u64, 0)], "it is counted once");
    }
    let counted = ask(fresh, Some(&tenant()), &hour).await;
    assert_eq!(counted[0].durations.sum(), times.iter().sum());
    let expected = |bound: Duration| times.iter().filter(|time| **time <= bound).count() as u64;
    for (bound, count) in counted[0].durations.at_most() {
        assert_eq!(count, expected(bound), "at most {bound:?}");
    }
    let ended = query(7_200, 7_260, 1, By::Nothing);
    assert_eq!(counts(fresh, &ended).await, [(7_200, None, times.len() as u64, 0)]);
    let long = CallRecord { duration: MINUTE * 3, ..later(9_000, 10_859) };
    fresh.commit([long]).await;
    assert_eq!(counts(fresh, &query(10_800, 14_400, 1, By::Nothing)).await, [(10_980, None, 1, 0)], "it ended then");
}

/// What is removed stays counted.
pub async fn counts_outlive_calls(fresh: &Fresh) {
    let minute = query(0, 60, 1, By::Nothing);
    fresh.commit((1..=5).map(|id| later(id, 1))).await;
    let calls = (1..=3).map(|id| call(id).id).collect();
    let removal = Removal { tenant: tenant(), cause: RemovalCause::Expired, calls, runs: Vec::new() };
    fresh.stores.ledger.commit(vec![Entry::Removal(removal)]).await.expect("they are removed");
    assert_eq!(counts(fresh, &minute).await, [(0, None, 5, 0)]);
}

/// Each step by itself; one without calls is left out.
pub async fn only_the_time_asked_for_is_counted(fresh: &Fresh) {
    let seconds = [-61, -60, -1, 0, 59, 60, 119, 120, 600, 659, 660];
    fresh.commit((1..).zip(seconds).map(|(id, seconds)| later(id, seconds))).await;
    let of = async |from, to, minutes| {
        let counted = counts(fresh, &query(from, to, minutes, By::Nothing)).await;
        counted.into_iter().map(|(at, _, calls, _)| (at, calls)).collect::<Vec<_>>()
    };
    assert_eq!(of(0, 660, 1).await, [(0, 2), (60, 2), (120, 1), (600, 2)]);
    assert_eq!(of(-60, 660, 2).await, [(-60, 4), (60, 3), (540, 2)]);
    assert_eq!(of(0, 661, 60).await, [(0, 7)], "the minute of the end is not");
    assert_eq!(of(30, 60, 1).await, [(0, 2)], "the minute of the beginning is");
    assert_eq!(of(60, 60, 1).await, []);
    assert_eq!(of(660, 0, 1).await, []);
}

/// Where they are asked for, in the order of their names.
pub async fn tools_and_outcomes_are_told_apart(fresh: &Fresh) {
    let tools = ["b", "a", "it's \"odd\" \0 %_ 🦀"];
    let mut id = 0;
    for (tool, count) in tools.into_iter().zip(1_u64..) {
        for outcome in Outcome::ALL {
            for _ in 0..count {
                id += 1;
                fresh.commit([CallRecord { tool: tool.to_owned(), outcome, ..later(id, 0) }]).await;
            }
        }
    }
    let failures = 6;
    let name = |name: &str| Some(name.to_owned());
    let by_tool = counts(fresh, &query(0, 60, 1, By::Tool)).await;
    let expected =
        [(0, name("a"), 18, 2 * failures), (0, name("b"), 9, failures), (0, name(tools[2]), 27, 3 * failures)];
    assert_eq!(by_tool, expected);
    let by_outcome = counts(fresh, &query(0, 60, 1, By::Outcome)).await;
    let mut expected = Outcome::ALL.map(|outcome| {
        let failed = if outcome.is_failure() { 6 } else { 0 };
        (0, name(outcome.as_str()), 6, failed)
    });
    expected.sort();
    assert_eq!(by_outcome, expected);
    assert_eq!(counts(fresh, &query(0, 60, 1, By::Nothing)).await, [(0, None, 54, 6 * failures)]);
}

/// With the step for which they were asked, in the minute that is said, by agent and by model.
pub async fn what_models_took_is_counted_once(fresh: &Fresh) {
    let (own, other) = (tenant(), Tenant::from("another tenant"));
    let mut holds = Vec::new();
    for of in [&own, &other] {
        let run = NewRun {
            id: RunId::from_u128(1),
            tenant: of.clone(),
            principal: Principal::from("somebody"),
            kind: "work".to_owned(),
            parent: None,
            arguments: Bytes::from_static(b"{}"),
            at: at(0),
        };
        fresh.stores.runs.create(&run).await.expect("a run is created");
        let claimed = fresh.stores.runs.claim("work", 1, MINUTE * 60).await.expect("one can claim");
        holds.push(claimed.runs[0].hold());
    }
    let decide = async |hold: &Hold, number: u32, uses: &[(&str, &str, u64, u64, i64)]| {
        let uses = uses.iter().map(|(agent, model, tokens, micros, seconds)| Entry::Used {
            hold: hold.clone(),
            number,
            used: ModelUse {
                agent: (*agent).to_owned(),
                model: (*model).to_owned(),
                tokens: *tokens,
                cost: Money::from_micros(*micros),
                at: at(*seconds),
            },
        });
        let step = Step { number, kind: StepKind::Noted, key: number.to_string(), body: "{}".into(), at: at(0) };
        let step = Entry::Step { hold: hold.clone(), step };
        fresh.stores.ledger.commit(uses.chain([step]).collect()).await
    };
    let taken = async |tenant: Option<&Tenant>, from, to, by| {
        let taken = fresh.stores.stats.models(tenant, &query(from, to, 1, by)).await.expect("it can be read");
        let seconds = |step: &Taken| (step.at.as_micros() - at(0).as_micros()) / 1_000_000;
        taken
            .iter()
            .map(|step| (seconds(step), step.name.clone(), step.tokens, step.cost.as_micros()))
            .collect::<Vec<_>>()
    };
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(taken(Some(&own), 0, 60, By::Nothing).await, []);
    for _ in 0..2 {
        // Its answer was lost, and so it is committed again.
        let odd = "it's \"odd\" \0 %_ 🦀";
        decide(&holds[0], 0, &[("ann", "m", 10, 3, 0), ("ann", odd, 5, 0, 59)]).await.expect("its holder writes");
        decide(&holds[0], 1, &[("bob", "m", 100, 70, 1), ("bob", "m", 0, 1, 60)]).await.expect("its holder writes");
        decide(&holds[1], 0, &[("ann", "m", 1_000, 500, 0)]).await.expect("its holder writes");
        let lost = Hold { epoch: holds[0].epoch + 1, ..holds[0].clone() };
        decide(&lost, 2, &[("ann", "m", 9, 9, 0)]).await.expect_err("it is held by another");
        assert_eq!(taken(Some(&own), 0, 60, By::Nothing).await, [(0, None, 115, 73)]);
        let by_agent = [(0, name("ann"), 15, 3), (0, name("bob"), 100, 70), (60, name("bob"), 0, 1)];
        assert_eq!(taken(Some(&own), 0, 120, By::Agent).await, by_agent);
        assert_eq!(taken(Some(&own), 0, 60, By::Model).await, [(0, name(odd), 5, 0), (0, name("m"), 110, 73)]);
        assert_eq!(taken(None, 0, 60, By::Nothing).await, [(0, None, 1_115, 573)], "of all tenants");
        assert_eq!(taken(Some(&other), 60, 120, By::Nothing).await, []);
    }
}

/// And are told together where the house asks.
pub async fn tenants_are_apart(fresh: &Fresh) {
    let tenants = [tenant(), Tenant::from("A tenant"), Tenant::from(""), Tenant::from("\0")];
    for (tenant, count) in tenants.iter().zip(1..) {
        // Equal ids are different calls.
        fresh.commit((0..count).map(|id| CallRecord { tenant: tenant.clone(), ..later(id, 0) })).await;
    }
    let minute = query(0, 60, 1, By::Nothing);
    for (tenant, count) in tenants.iter().zip(1..) {
        assert_eq!(ask(fresh, Some(tenant), &minute).await[0].durations.count(), count, "{tenant:?}");
    }
    assert_eq!(ask(fresh, None, &minute).await[0].durations.count(), 10);
    assert_eq!(ask(fresh, Some(&Tenant::from("nobody")), &minute).await, []);
}
