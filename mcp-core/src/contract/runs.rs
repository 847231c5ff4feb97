//! What [`Runs`](crate::store::runs::Runs) promises.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Fresh, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::audit::{Removal, RemovalCause};
use crate::store::ledger::Entry;
use crate::store::records::Keep;
use crate::store::runs::{
    Claimed, Ending, Hold, Input, InputId, InputKind, LARGEST, LARGEST_KEY, MOST_INPUTS, NewRun, Posted, RunId,
    RunQuery, RunRecord, RunState, Step, StepKind, StepRecord, Turn,
};

/// One named test for each promise of [`Runs`](crate::store::runs::Runs), on stores from `$fresh`: an async function or closure
/// without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! runs_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            runs, $fresh,
            a_created_run_is_read_back,
            a_run_has_one_holder_at_a_time,
            no_more_than_the_limit_are_claimed,
            a_run_is_claimed_when_it_is_due,
            each_holder_has_a_greater_epoch_than_all_before,
            only_its_holder_renews,
            only_its_holder_writes,
            steps_are_read_back_in_order,
            a_run_that_is_let_go_is_claimed_when_it_is_due,
            an_input_wakes_a_run,
            what_has_ended_stays_as_it_is,
            claims_without_progress_are_counted,
            pages_neither_repeat_nor_skip,
            what_is_open_is_counted,
            what_is_due_for_long_is_told,
            tenants_are_apart,
            what_is_kept_is_bounded,
            what_ended_long_ago_may_go,
            what_is_removed_is_gone,
        }
    };
}

/// So long that the time which a case itself takes does not matter, where the clock is a database's.
const HOUR: Duration = Duration::from_secs(60 * 60);
const AT: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn id(id: u128) -> RunId {
    RunId::from_u128(id)
}

/// A plain run of [`tenant`].
fn new(number: u128) -> NewRun {
    NewRun {
        id: id(number),
        tenant: tenant(),
        principal: Principal::from("somebody"),
        kind: "work".to_owned(),
        parent: None,
        arguments: Bytes::from_static(b"{}"),
        at: AT,
    }
}

fn step(number: u32) -> Step {
    let body = format!("{{\"step\":{number}}}").into();
    Step { number, kind: StepKind::Noted, key: format!("key {number}"), body, at: AT.after(Duration::from_micros(1)) }
}

fn message(number: u128) -> Input {
    Input {
        id: InputId::from_u128(number),
        principal: Principal::from("a friend"),
        kind: InputKind::Message,
        body: number.to_string().into(),
        at: AT,
    }
}

async fn create(fresh: &Fresh, run: NewRun) {
    fresh.stores.runs.create(&run).await.expect("a run is created");
}

async fn claim_of(fresh: &Fresh, kind: &str, limit: u16, lease: Duration) -> Claimed {
    fresh.stores.runs.claim(kind, limit, lease).await.expect("one can claim")
}

async fn claim(fresh: &Fresh, limit: u16) -> Vec<RunRecord> {
    claim_of(fresh, "work", limit, HOUR).await.runs
}

/// The only run that is due.
async fn claimed(fresh: &Fresh) -> RunRecord {
    let mut runs = claim(fresh, 10).await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

/// A new run, which is held.
async fn held(fresh: &Fresh, number: u128) -> Hold {
    create(fresh, new(number)).await;
    let run = claimed(fresh).await;
    assert_eq!(run.id, id(number));
    run.hold()
}

async fn renew(fresh: &Fresh, held: &[&Hold], lease: Duration) -> Vec<Option<u32>> {
    let held: Vec<_> = held.iter().map(|hold| (*hold).clone()).collect();
    fresh.stores.runs.renew(&held, lease).await.expect("one can renew")
}

async fn write(fresh: &Fresh, hold: &Hold, step: Step) -> Result<(), StoreError> {
    fresh.stores.ledger.commit(vec![Entry::Step { hold: hold.clone(), step }]).await
}

async fn let_go(fresh: &Fresh, hold: &Hold, turn: Turn) -> Result<(), StoreError> {
    fresh.stores.ledger.commit(vec![Entry::Turn { hold: hold.clone(), turn }]).await
}

async fn written(fresh: &Fresh, hold: &Hold, number: u32) {
    write(fresh, hold, step(number)).await.expect("its holder writes");
}

async fn turned(fresh: &Fresh, hold: &Hold, turn: Turn) {
    let_go(fresh, hold, turn).await.expect("its holder lets it go");
}

/// How a run of [`new`] ends.
fn end(hold: &Hold, ending: Ending, result: impl Into<Bytes>, at: Timestamp) -> Turn {
    let run = NewRun { tenant: hold.tenant.clone(), ..new(hold.run.as_u128()) };
    RunRecord { epoch: hold.epoch, ..run.into() }.end(ending, result.into(), at)
}

async fn ended(fresh: &Fresh, hold: &Hold, at: Timestamp) {
    turned(fresh, hold, end(hold, Ending::Completed, "the end", at)).await;
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

fn is_refused<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Refused { .. }))
}

async fn read(fresh: &Fresh, number: u128) -> Option<RunRecord> {
    fresh.stores.runs.run(&tenant(), id(number)).await.expect("runs can be read")
}

async fn there(fresh: &Fresh, number: u128) -> RunRecord {
    read(fresh, number).await.expect("it is there")
}

async fn steps(fresh: &Fresh, number: u128) -> Vec<Step> {
    let records = some_steps(fresh, number, 0, u16::MAX).await;
    records.into_iter().map(|record| record.step).collect()
}

async fn some_steps(fresh: &Fresh, number: u128, from: u32, limit: u16) -> Vec<StepRecord> {
    fresh.stores.runs.steps(&tenant(), id(number), from, limit).await.expect("steps can be read")
}

async fn post(fresh: &Fresh, number: u128, input: &Input) -> Posted {
    fresh.stores.runs.post(&tenant(), id(number), input).await.expect("one can post")
}

async fn inputs(fresh: &Fresh, number: u128, from: u32, limit: u16) -> Vec<Input> {
    fresh.stores.runs.inputs(&tenant(), id(number), from, limit).await.expect("inputs can be read")
}

async fn list(fresh: &Fresh, query: RunQuery) -> Vec<u128> {
    let runs = fresh.stores.runs.runs(&tenant(), &query).await.expect("runs can be listed");
    runs.iter().map(|run| run.id.as_u128()).collect()
}

/// To the last byte; created twice it is one, and the first stays.
pub async fn a_created_run_is_read_back(fresh: &Fresh) {
    let odd = NewRun {
        id: id(u128::MAX),
        tenant: Tenant::from("Ünïcode' \" % _ \\ \0 🦀"),
        principal: Principal::from("o'brien"),
        kind: "\0 kind".to_owned(),
        parent: Some(id(1)),
        arguments: Bytes::from_static(b"{\"b\":1,\"a\":\"\\u0000\",\"b\": 1e400}\0\xff\xfe"),
        at: Timestamp::from_micros(-1),
    };
    let large = NewRun { arguments: vec![b'x'; LARGEST].into(), ..new(2) };
    for run in [new(1), odd, large] {
        create(fresh, run.clone()).await;
        create(fresh, NewRun { arguments: "another".into(), ..run.clone() }).await;
        let read = fresh.stores.runs.run(&run.tenant, run.id).await.expect("runs can be read").expect("it is there");
        assert!(read.due.is_some());
        assert_eq!(read, RunRecord { due: read.due, ..run.into() });
    }
    assert_eq!(read(fresh, 3).await, None);
}

/// However many claim at once.
pub async fn a_run_has_one_holder_at_a_time(fresh: &Fresh) {
    const RUNS: u128 = 40;
    for number in 1..=RUNS {
        create(fresh, new(number)).await;
    }
    for round in 0..3 {
        let claims = join_all((0..16).map(|_| claim(fresh, 7))).await;
        let mut claimed: Vec<_> = claims.into_iter().flatten().map(|run| run.id.as_u128()).collect();
        for _ in 0..RUNS {
            claimed.extend(claim(fresh, 7).await.into_iter().map(|run| run.id.as_u128()));
        }
        claimed.sort_unstable();
        assert_eq!(claimed, (1..=RUNS).collect::<Vec<_>>(), "in round {round} each has one holder");
        assert_eq!(there(fresh, 1).await.state, RunState::Running);
        fresh.pass(HOUR);
    }
}

/// Of that kind alone, and those first that are due longest.
pub async fn no_more_than_the_limit_are_claimed(fresh: &Fresh) {
    for number in [5, 3, 4, 1, 2] {
        create(fresh, new(number)).await;
        fresh.pass(Duration::from_secs(1));
    }
    for (number, kind) in [(6, "other"), (7, "Work"), (8, "work "), (9, "")] {
        create(fresh, NewRun { kind: kind.to_owned(), ..new(number) }).await;
    }
    let ids = |claimed: &Claimed| claimed.runs.iter().map(|run| run.id.as_u128()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&claim_of(fresh, "work", 0, HOUR).await), BTreeSet::new());
    assert_eq!(ids(&claim_of(fresh, "work", 2, HOUR).await), [3, 5].into());
    assert_eq!(ids(&claim_of(fresh, "work", 1, HOUR).await), [4].into());
    assert_eq!(ids(&claim_of(fresh, "work", 9, HOUR).await), [1, 2].into());
    assert_eq!(ids(&claim_of(fresh, "other", 9, HOUR).await), [6].into());
    assert_eq!(ids(&claim_of(fresh, "no such kind", 9, HOUR).await), BTreeSet::new());
}

/// At once when it is new, and when its lease is over; never before. A claim tells how long it is until the next one is due.
pub async fn a_run_is_claimed_when_it_is_due(fresh: &Fresh) {
    let next = async || claim_of(fresh, "work", 9, HOUR).await.next;
    let is_about = |next: Option<Duration>, time: Duration| {
        assert!(next.is_some_and(|next| next <= time && next + HOUR / 4 > time), "{next:?} is not {time:?}");
    };
    assert_eq!(next().await, None, "there is nothing");
    create(fresh, new(1)).await;
    let first = claim_of(fresh, "work", 9, HOUR).await;
    let [run] = &first.runs[..] else { panic!("{first:?}") };
    assert_eq!((run.state, run.epoch, run.attempts, run.position), (RunState::Running, 1, 1, 0));
    assert_eq!(there(fresh, 1).await, *run);
    is_about(first.next, HOUR);
    fresh.pass(HOUR / 2);
    is_about(next().await, HOUR / 2);
    assert_eq!(renew(fresh, &[&run.hold()], HOUR).await, [Some(0)]);
    fresh.pass(HOUR / 2);
    assert_eq!(claim(fresh, 9).await, [], "it was renewed");
    fresh.pass(HOUR / 2);
    assert_eq!(claimed(fresh).await.epoch, 2, "its lease is over");
    assert_eq!(claim_of(fresh, "other", 9, HOUR).await.next, None, "it is of another kind");
}

/// Of the same run, however it came to its next holder.
pub async fn each_holder_has_a_greater_epoch_than_all_before(fresh: &Fresh) {
    let mut last = held(fresh, 1).await;
    for round in 0..9 {
        match round % 3 {
            0 => fresh.pass(HOUR),
            1 => turned(fresh, &last, Turn::Release).await,
            _ => {
                turned(fresh, &last, Turn::Wait { seen: 0, time: Some(HOUR) }).await;
                fresh.pass(HOUR);
            }
        }
        let next = claimed(fresh).await.hold();
        assert!(next.epoch > last.epoch, "round {round}: {} follows {}", next.epoch, last.epoch);
        last = next;
    }
}

/// As long as its lease is not over; who has lost a run is told, and the others of the same call are renewed.
pub async fn only_its_holder_renews(fresh: &Fresh) {
    let old = held(fresh, 1).await;
    fresh.pass(HOUR);
    assert_eq!(renew(fresh, &[&old], HOUR).await, [None], "its lease is over");
    let new = claimed(fresh).await.hold();
    let gone = held(fresh, 2).await;
    turned(fresh, &gone, Turn::Release).await;
    let other = claimed(fresh).await.hold();
    let nobody = Hold { run: id(3), ..new.clone() };
    let elsewhere = Hold { tenant: Tenant::from("elsewhere"), ..new.clone() };
    let future = Hold { epoch: new.epoch + 1, ..new.clone() };
    assert_eq!(post(fresh, 2, &message(1)).await, Posted::Kept);
    let asked = [&old, &new, &gone, &nobody, &elsewhere, &other, &future];
    assert_eq!(renew(fresh, &asked, HOUR * 3).await, [None, Some(0), None, None, None, Some(1), None]);
    assert_eq!(renew(fresh, &[], HOUR).await, []);
    fresh.pass(HOUR * 2);
    assert_eq!(claim(fresh, 9).await, [], "both were renewed");
    assert_eq!(renew(fresh, &[&new], HOUR / 2).await, [Some(0)], "a renewal may make it shorter");
    fresh.pass(HOUR / 2);
    assert_eq!(claimed(fresh).await.id, new.run);
}

/// Under an earlier epoch, or once it was let go, it is a conflict. Nothing of that commit is written, and all beside it.
pub async fn only_its_holder_writes(fresh: &Fresh) {
    let old = held(fresh, 1).await;
    written(fresh, &old, 0).await;
    fresh.pass(HOUR);
    written(fresh, &old, 1).await;
    let new = claimed(fresh).await.hold();
    assert_eq!(there(fresh, 1).await.position, 2);

    let ledger = &fresh.stores.ledger;
    let late = |number| Entry::Step { hold: old.clone(), step: step(number) };
    let mine = |number| Entry::Step { hold: new.clone(), step: step(number) };
    let over = end(&old, Ending::Failed, "late", AT);
    // All of them in one batch, where there are batches.
    let commits = [
        vec![Entry::Call(call(1)), mine(2)],
        vec![Entry::Call(call(2)), mine(3), late(4)],
        vec![late(2)],
        vec![Entry::Turn { hold: old.clone(), turn: over }],
        vec![Entry::Turn { hold: old.clone(), turn: Turn::Release }],
        vec![mine(3), Entry::Call(call(3))],
        vec![Entry::Step { hold: Hold { run: id(9), ..new.clone() }, step: step(0) }],
        vec![Entry::Call(call(4))],
    ];
    let results = join_all(commits.map(|entries| ledger.commit(entries))).await;
    for (place, result) in results.iter().enumerate() {
        let is_late = [1, 2, 3, 4, 6].contains(&place);
        assert_eq!((is_conflict(result), result.is_ok()), (is_late, !is_late), "{place}: {result:?}");
    }
    assert_eq!(steps(fresh, 1).await, [step(0), step(1), step(2), step(3)]);
    let epochs = some_steps(fresh, 1, 0, 9).await.into_iter().map(|record| record.epoch);
    assert!(epochs.eq([&old, &old, &new, &new].map(|hold| hold.epoch)), "each says who wrote it");
    for (number, is_there) in [(1, true), (2, false), (3, true), (4, true)] {
        let call = fresh.call(&tenant(), call(number).id).await;
        assert_eq!(call.is_some(), is_there, "call {number}");
    }
    assert_eq!(there(fresh, 1).await.state, RunState::Running);

    turned(fresh, &new, Turn::Release).await;
    assert!(is_conflict(&write(fresh, &new, step(4)).await), "it was let go");
    assert!(is_conflict(&let_go(fresh, &new, end(&new, Ending::Completed, "", AT)).await), "it was let go");
    // Of one commit, what comes after the turn is late as well.
    let last = claimed(fresh).await.hold();
    let turn = Entry::Turn { hold: last.clone(), turn: end(&last, Ending::Completed, "", AT) };
    let after = vec![turn.clone(), Entry::Step { hold: last.clone(), step: step(4) }];
    assert!(is_conflict(&ledger.commit(after).await));
    assert_eq!(there(fresh, 1).await.state, RunState::Running);
    ledger.commit(vec![Entry::Step { hold: last.clone(), step: step(4) }, turn]).await.expect("its last step");
    assert_eq!((there(fresh, 1).await.state, steps(fresh, 1).await.len()), (RunState::Completed, 5));
}

/// To the last byte. The same step twice is one; another one in its place is a conflict.
pub async fn steps_are_read_back_in_order(fresh: &Fresh) {
    let hold = held(fresh, 1).await;
    let odd = Step { key: "\0 'key'".to_owned(), body: Bytes::from_static(b"\0\xff\r\n"), ..step(0) };
    let large = Step { body: vec![7; LARGEST].into(), at: Timestamp::from_micros(-1), ..step(1) };
    let kinds = (2..).zip(StepKind::ALL).map(|(number, kind)| Step { kind, ..step(number) });
    let empty = Step { key: String::new(), body: Bytes::new(), ..step(7) };
    let all: Vec<_> = [odd, large].into_iter().chain(kinds).chain([empty]).collect();
    for step in &all {
        write(fresh, &hold, step.clone()).await.expect("its holder writes");
        write(fresh, &hold, step.clone()).await.expect("it was written before");
    }
    assert_eq!(steps(fresh, 1).await, all);
    let records = |steps: &[Step]| -> Vec<_> {
        steps.iter().map(|step| StepRecord { epoch: hold.epoch, step: step.clone() }).collect()
    };
    assert_eq!(some_steps(fresh, 1, 3, 2).await, records(&all[3..5]));
    assert_eq!(some_steps(fresh, 1, 6, 9).await, records(&all[6..]));

    // Both in one commit, and in two that share a batch.
    let twice = |number| Entry::Step { hold: hold.clone(), step: step(number) };
    let commits = [vec![twice(8), twice(8)], vec![twice(8)], vec![twice(9)], vec![twice(9)]];
    for result in join_all(commits.map(|entries| fresh.stores.ledger.commit(entries))).await {
        result.expect("the same step twice is one");
    }
    turned(fresh, &hold, Turn::Release).await;
    let next = claimed(fresh).await;
    assert_eq!(next.position, 10);
    written(fresh, &hold, 9).await;
    assert!(is_conflict(&write(fresh, &next.hold(), step(9)).await), "another has written a step there");
    assert_eq!(steps(fresh, 1).await.len(), 9);
}

/// After its time, or at once; one that waits for an input alone is not claimed before there is one.
pub async fn a_run_that_is_let_go_is_claimed_when_it_is_due(fresh: &Fresh) {
    let first = held(fresh, 1).await;
    turned(fresh, &first, Turn::Release).await;
    turned(fresh, &first, Turn::Release).await;
    assert_eq!(there(fresh, 1).await.state, RunState::Waiting);
    let mut hold = claimed(fresh).await.hold();
    for turn in [Turn::Wait { seen: 0, time: Some(HOUR) }, Turn::Retry { after: HOUR }] {
        turned(fresh, &hold, turn.clone()).await;
        assert_eq!(claim(fresh, 9).await, [], "{turn:?}");
        fresh.pass(HOUR / 2);
        let look = claim_of(fresh, "work", 9, HOUR).await;
        assert_eq!(look.runs, [], "{turn:?}");
        assert!(look.next.is_some_and(|next| next <= HOUR / 2), "{turn:?}: {:?}", look.next);
        fresh.pass(HOUR / 2);
        hold = claimed(fresh).await.hold();
    }
    turned(fresh, &hold, Turn::Wait { seen: 0, time: None }).await;
    fresh.pass(HOUR * 24 * 365);
    assert_eq!(claim_of(fresh, "work", 9, HOUR).await, Claimed::default());
    assert_eq!((there(fresh, 1).await.due, there(fresh, 1).await.state), (None, RunState::Waiting));
    post(fresh, 1, &message(1)).await;
    hold = claimed(fresh).await.hold();
    turned(fresh, &hold, Turn::Wait { seen: 1, time: Some(Duration::MAX) }).await;
    fresh.pass(HOUR * 24 * 365);
    assert_eq!(claim(fresh, 9).await, []);
}

/// Also one that came before the run let go, if its holder had not seen it. Inputs keep their order; one that is posted twice is one.
pub async fn an_input_wakes_a_run(fresh: &Fresh) {
    let odd = Input {
        principal: Principal::from("o'brien\0"),
        kind: InputKind::Cancel,
        body: Bytes::from_static(b"\0\xff"),
        at: Timestamp::from_micros(-1),
        ..message(2)
    };
    let all = [message(3), odd, message(1), Input { body: vec![1; LARGEST].into(), ..message(4) }];
    let hold = held(fresh, 1).await;
    assert_eq!(post(fresh, 1, &all[0]).await, Posted::Kept);
    assert_eq!(claim(fresh, 9).await, [], "somebody holds it");
    // It came before the run waits, and nobody has seen it.
    turned(fresh, &hold, Turn::Wait { seen: 0, time: None }).await;
    let hold = claimed(fresh).await.hold();
    assert_eq!(inputs(fresh, 1, 0, 9).await, all[..1]);
    turned(fresh, &hold, Turn::Wait { seen: 1, time: Some(HOUR) }).await;
    assert_eq!(claim(fresh, 9).await, [], "it has seen all that there is");
    for input in &all {
        assert_eq!(post(fresh, 1, input).await, Posted::Kept);
    }
    let run = claimed(fresh).await;
    assert_eq!(run.inputs, 4, "the first was posted twice");
    assert_eq!(inputs(fresh, 1, 0, 9).await, all);
    assert_eq!(inputs(fresh, 1, 1, 2).await, all[1..3]);
    assert_eq!(inputs(fresh, 1, 4, 9).await, []);
    let together = join_all((10..20).map(|number| post_owned(fresh, message(number)))).await;
    assert!(together.iter().all(|posted| *posted == Posted::Kept), "{together:?}");
    let kept: BTreeSet<_> = inputs(fresh, 1, 4, 99).await.iter().map(|input| input.id.as_u128()).collect();
    assert_eq!(kept, (10..20).collect());
    assert_eq!(renew(fresh, &[&run.hold()], HOUR).await, [Some(14)]);
    assert_eq!(post(fresh, 2, &message(1)).await, Posted::Missing);
}

async fn post_owned(fresh: &Fresh, input: Input) -> Posted {
    post(fresh, 1, &input).await
}

/// It is not claimed, takes no inputs and no steps, and shows how it ended.
pub async fn what_has_ended_stays_as_it_is(fresh: &Fresh) {
    let endings = [
        (Ending::Completed, RunState::Completed, Bytes::from_static(b"\0\xff{}")),
        (Ending::Failed, RunState::Failed, vec![b'x'; LARGEST].into()),
        (Ending::Cancelled, RunState::Cancelled, Bytes::new()),
    ];
    for (number, (ending, state, result)) in (1..).zip(endings) {
        let hold = held(fresh, number).await;
        assert_eq!(post(fresh, number, &message(1)).await, Posted::Kept);
        let at = AT.after(HOUR);
        let end = end(&hold, ending, result.clone(), at);
        turned(fresh, &hold, end.clone()).await;
        turned(fresh, &hold, end).await;
        let run = there(fresh, number).await;
        assert_eq!((run.state, &run.result, run.ended, run.due), (state, &result, Some(at), None));
        assert!(is_conflict(&write(fresh, &hold, step(0)).await));
        assert!(is_conflict(&let_go(fresh, &hold, Turn::Release).await));
        assert_eq!(renew(fresh, &[&hold], HOUR).await, [None]);
        assert_eq!(post(fresh, number, &message(1)).await, Posted::Kept, "it was posted before");
        assert_eq!(post(fresh, number, &message(2)).await, Posted::Ended);
        create(fresh, new(number)).await;
        fresh.pass(HOUR * 2);
        assert_eq!(claim_of(fresh, "work", 9, HOUR).await, Claimed::default());
        assert_eq!(there(fresh, number).await, run);
    }
}

/// From one after each step and each wait; a release is not counted.
pub async fn claims_without_progress_are_counted(fresh: &Fresh) {
    create(fresh, new(1)).await;
    let mut run = claimed(fresh).await;
    let mut next = async |turn: Option<Turn>, attempts: u32| {
        match &turn {
            Some(turn) => turned(fresh, &run.hold(), turn.clone()).await,
            None => fresh.pass(HOUR),
        }
        run = claimed(fresh).await;
        assert_eq!(run.attempts, attempts, "after {turn:?}");
    };
    let (retry, wait) = (Turn::Retry { after: Duration::ZERO }, Turn::Wait { seen: 0, time: Some(Duration::ZERO) });
    next(None, 2).await;
    next(Some(retry.clone()), 3).await;
    next(Some(Turn::Release), 3).await;
    next(Some(Turn::Release), 3).await;
    next(None, 4).await;
    next(Some(wait), 1).await;
    next(Some(Turn::Release), 1).await;
    next(Some(retry.clone()), 2).await;
    let hold = there(fresh, 1).await.hold();
    written(fresh, &hold, 0).await;
    turned(fresh, &hold, retry.clone()).await;
    let run = claimed(fresh).await;
    assert_eq!((run.attempts, run.position), (1, 1), "it has moved on");
    turned(fresh, &run.hold(), retry).await;
    assert_eq!(claimed(fresh).await.attempts, 2);
}

/// In falling order of their ids, full pages of those that satisfy the query, and on with `before` set to the last.
pub async fn pages_neither_repeat_nor_skip(fresh: &Fresh) {
    let ada = Principal::from("ada");
    for number in [3, 1, 7, 5, 9, 2, 8, 4, 6] {
        let mut run = new(number);
        if number % 3 == 0 {
            run.principal = ada.clone();
        }
        if number % 2 == 0 {
            run.kind = "even".to_owned();
        }
        create(fresh, run).await;
    }
    assert_eq!(list(fresh, RunQuery::default()).await, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let page = |before: u128| RunQuery { before: Some(id(before)), limit: 2, ..RunQuery::default() };
    assert_eq!(list(fresh, RunQuery { limit: 2, ..RunQuery::default() }).await, [9, 8]);
    create(fresh, new(10)).await;
    assert_eq!(list(fresh, page(8)).await, [7, 6]);
    assert_eq!(list(fresh, page(2)).await, [1]);
    let own = RunQuery { principal: Some(ada.clone()), ..RunQuery::default() };
    assert_eq!(list(fresh, own.clone()).await, [9, 6, 3]);
    assert_eq!(list(fresh, RunQuery { kind: Some("even".to_owned()), limit: 2, ..own.clone() }).await, [6]);
    assert_eq!(
        list(fresh, RunQuery { kind: Some("even".to_owned()), limit: 3, ..RunQuery::default() }).await,
        [8, 6, 4]
    );
    assert_eq!(list(fresh, RunQuery { principal: Some("Ada".into()), ..RunQuery::default() }).await, [] as [u128; 0]);

    let held = claim_of(fresh, "even", 9, HOUR).await.runs;
    let six = held.iter().find(|run| run.id == id(6)).expect("it is due").hold();
    ended(fresh, &six, AT).await;
    let state = |state| RunQuery { state: Some(state), ..RunQuery::default() };
    assert_eq!(list(fresh, state(RunState::Running)).await, [8, 4, 2]);
    assert_eq!(list(fresh, state(RunState::Completed)).await, [6]);
    assert_eq!(list(fresh, RunQuery { state: Some(RunState::Waiting), limit: 2, ..own }).await, [9, 3]);
}

/// The runs of a principal and a kind that have not ended, up to the number that is asked for, but for those that other runs have begun.
pub async fn what_is_open_is_counted(fresh: &Fresh) {
    let (own, ada, other) = (tenant(), Principal::from("ada"), Tenant::from("another tenant"));
    let count = async |tenant: &Tenant, kind: &str, most: u16| {
        fresh.stores.runs.open(tenant, &ada, kind, most).await.expect("runs can be counted")
    };
    assert_eq!(count(&own, "work", 9).await, 0);
    for number in 1..=5 {
        create(fresh, NewRun { principal: ada.clone(), ..new(number) }).await;
    }
    create(fresh, new(6)).await;
    create(fresh, NewRun { principal: ada.clone(), kind: "other".to_owned(), ..new(7) }).await;
    create(fresh, NewRun { principal: ada.clone(), parent: Some(id(1)), ..new(9) }).await;
    create(fresh, NewRun { principal: ada.clone(), tenant: other.clone(), ..new(8) }).await;
    assert_eq!(count(&own, "work", 9).await, 5);
    let runs = claim_of(fresh, "work", 9, HOUR).await.runs;
    let hold = |number: u128| runs.iter().find(|run| run.id == id(number)).expect("it is due").hold();
    turned(fresh, &hold(1), Turn::Wait { seen: 0, time: None }).await;
    turned(fresh, &hold(2), Turn::Release).await;
    assert_eq!(count(&own, "work", 9).await, 5, "some wait, and some are held");
    for (number, ending) in [(3, Ending::Completed), (4, Ending::Failed)] {
        turned(fresh, &hold(number), end(&hold(number), ending, "{}", AT)).await;
    }
    for (most, counted) in [(9, 3), (3, 3), (2, 2), (1, 1), (0, 0)] {
        assert_eq!(count(&own, "work", most).await, counted);
    }
    assert_eq!((count(&own, "other", 9).await, count(&other, "work", 9).await), (1, 1));
}

/// Of all tenants and kinds together; neither what waits or is held, nor what has ended.
pub async fn what_is_due_for_long_is_told(fresh: &Fresh) {
    let told = async || fresh.stores.runs.longest_due().await.expect("it can be told");
    assert_eq!(told().await, None, "there is none");
    create(fresh, new(1)).await;
    let (first, again) = (told().await.expect("a new one is due at once"), told().await);
    assert!(first < HOUR && again >= Some(first), "{first:?} {again:?}");
    let hold = claimed(fresh).await.hold();
    assert_eq!(told().await, None, "it is held");
    turned(fresh, &hold, Turn::Wait { seen: 0, time: Some(HOUR) }).await;
    assert_eq!(told().await, None, "it waits");
    let elsewhere = NewRun { tenant: Tenant::from("another tenant"), kind: "an other".to_owned(), ..new(2) };
    create(fresh, elsewhere.clone()).await;
    assert!(told().await.is_some(), "whosever it is, and whatever it is");
    let hold = claim_of(fresh, &elsewhere.kind, 1, HOUR).await.runs[0].hold();
    let gone = RunRecord { epoch: hold.epoch, ..elsewhere.into() }.end(Ending::Completed, "the end".into(), AT);
    turned(fresh, &hold, gone).await;
    assert_eq!(told().await, None, "it has ended");
    let lost = held(fresh, 3).await;
    assert_eq!(renew(fresh, &[&lost], Duration::ZERO).await, [Some(0)]);
    assert!(told().await.is_some(), "its lease is over");
}

/// Nothing of another tenant's run is shown, written or woken.
pub async fn tenants_are_apart(fresh: &Fresh) {
    let other = Tenant::from("another tenant");
    create(fresh, new(1)).await;
    create(fresh, NewRun { tenant: other.clone(), arguments: "theirs".into(), ..new(1) }).await;
    let mut runs = claim(fresh, 9).await;
    runs.sort_by_key(|run| run.tenant != tenant());
    let [own, theirs] = [&runs[0], &runs[1]].map(RunRecord::hold);
    assert_eq!((&own.tenant, &theirs.tenant, runs.len()), (&tenant(), &other, 2));
    written(fresh, &own, 0).await;
    assert_eq!(post(fresh, 1, &message(1)).await, Posted::Kept);
    turned(fresh, &theirs, Turn::Wait { seen: 0, time: None }).await;
    assert_eq!(claim(fresh, 9).await, [], "the input is not theirs");
    let store = &fresh.stores.runs;
    assert_eq!(store.steps(&other, id(1), 0, 9).await.expect("steps can be read"), []);
    assert_eq!(store.inputs(&other, id(1), 0, 9).await.expect("inputs can be read"), []);
    let listed = store.runs(&other, &RunQuery::default()).await.expect("runs can be listed");
    assert_eq!(listed.iter().map(|run| &*run.arguments).collect::<Vec<_>>(), [b"theirs"]);
    let nobody = Tenant::from("nobody");
    assert_eq!(store.run(&nobody, id(1)).await.expect("runs can be read"), None);
    assert_eq!(store.post(&nobody, id(1), &message(2)).await.expect("one can post"), Posted::Missing);
    assert!(is_conflict(&write(fresh, &Hold { tenant: nobody, ..own.clone() }, step(1)).await));
    written(fresh, &own, 1).await;
    assert_eq!(steps(fresh, 1).await.len(), 2);
}

/// Larger arguments, steps, inputs and results are refused, and so are more inputs.
pub async fn what_is_kept_is_bounded(fresh: &Fresh) {
    let too_large = || Bytes::from(vec![0; LARGEST + 1]);
    let store = &fresh.stores.runs;
    assert!(is_refused(&store.create(&NewRun { arguments: too_large(), ..new(1) }).await));
    assert_eq!(read(fresh, 1).await, None);
    let hold = held(fresh, 1).await;
    assert!(is_refused(&write(fresh, &hold, Step { body: too_large(), ..step(0) }).await));
    assert!(is_refused(&write(fresh, &hold, Step { key: "k".repeat(LARGEST_KEY + 1), ..step(0) }).await));
    let end = end(&hold, Ending::Completed, too_large(), AT);
    assert!(is_refused(&let_go(fresh, &hold, end).await));
    assert_eq!((steps(fresh, 1).await, there(fresh, 1).await.state), (vec![], RunState::Running));
    write(fresh, &hold, Step { key: "k".repeat(LARGEST_KEY), ..step(0) }).await.expect("it is not too long");
    assert!(is_refused(&store.post(&tenant(), id(1), &Input { body: too_large(), ..message(1) }).await));
    for number in 0..MOST_INPUTS {
        assert_eq!(post(fresh, 1, &message(number.into())).await, Posted::Kept);
    }
    assert!(is_refused(&store.post(&tenant(), id(1), &message(MOST_INPUTS.into())).await), "it has many");
    assert_eq!(post(fresh, 1, &message(0)).await, Posted::Kept, "it was posted before");
    assert_eq!(there(fresh, 1).await.inputs, MOST_INPUTS);
}

/// Before then, or of a tenant of which more have ended, those that ended first; so many at a time, and nothing that has not ended.
pub async fn what_ended_long_ago_may_go(fresh: &Fresh) {
    let other = Tenant::from("another tenant");
    create(fresh, NewRun { tenant: other.clone(), ..new(9) }).await;
    let theirs = claimed(fresh).await.hold();
    ended(fresh, &theirs, AT.after(HOUR / 2)).await;
    // The last has ended first.
    for number in 1..=6 {
        let hold = held(fresh, number).await;
        ended(fresh, &hold, AT.after(HOUR * u32::try_from(7 - number).expect("it is small"))).await;
    }
    held(fresh, 7).await;
    create(fresh, new(8)).await;
    let overdue = async |keep: Keep, limit: u16| {
        let overdue = fresh.stores.runs.overdue(keep, limit).await.expect("runs can be read");
        let other = |tenant: &Tenant| if *tenant == other { 100 } else { 0 };
        overdue.iter().map(|(tenant, run)| other(tenant) + run.as_u128()).collect::<BTreeSet<_>>()
    };
    let since = Keep { since: Some(AT.after(HOUR * 5)), most: None };
    assert_eq!(overdue(Keep::default(), 9).await, [].into());
    assert_eq!(overdue(since, 3).await, [109, 6, 5].into());
    assert_eq!(overdue(since, 9).await, [109, 6, 5, 4, 3].into());
    let most = |most| Keep { since: None, most: Some(most) };
    assert_eq!(overdue(most(6), 9).await, [].into());
    assert_eq!(overdue(most(4), 9).await, [6, 5].into());
    assert_eq!(overdue(most(4), 1).await, [6].into());
    assert_eq!(list(fresh, RunQuery::default()).await.len(), 8, "nothing is gone");
}

async fn remove(fresh: &Fresh, runs: impl IntoIterator<Item = u128>) {
    let runs = runs.into_iter().map(id).collect();
    let removal = Removal { tenant: tenant(), cause: RemovalCause::Erased, calls: Vec::new(), runs };
    fresh.stores.ledger.commit(vec![Entry::Removal(removal)]).await.expect("a removal is committed");
}

/// With all that belongs to it, whatever its state, and nothing else; who holds it has lost it.
pub async fn what_is_removed_is_gone(fresh: &Fresh) {
    let other = Tenant::from("another tenant");
    create(fresh, NewRun { tenant: other.clone(), ..new(2) }).await;
    let elsewhere = claimed(fresh).await.hold();
    let over = held(fresh, 1).await;
    written(fresh, &over, 0).await;
    ended(fresh, &over, AT).await;
    let (running, mine) = (held(fresh, 2).await, held(fresh, 3).await);
    for hold in [&running, &mine, &elsewhere] {
        written(fresh, hold, 0).await;
    }
    for number in [2, 3] {
        post(fresh, number, &message(1)).await;
    }
    create(fresh, new(4)).await;
    remove(fresh, [1, 2, 4, 99]).await;
    assert_eq!(list(fresh, RunQuery::default()).await, [3]);
    for (number, is_there) in [(1, 0), (2, 0), (3, 1)] {
        assert_eq!(steps(fresh, number).await.len(), is_there, "{number}");
    }
    assert_eq!((inputs(fresh, 2, 0, 9).await.len(), inputs(fresh, 3, 0, 9).await.len()), (0, 1));
    assert!(is_conflict(&write(fresh, &running, step(1)).await), "its holder has lost it");
    assert!(is_conflict(&let_go(fresh, &running, Turn::Release).await), "its holder has lost it");
    assert_eq!(claim(fresh, 9).await, [], "nothing is due");
    written(fresh, &mine, 1).await;
    written(fresh, &elsewhere, 1).await;

    // All of them in one batch, where there are batches.
    let removal = Removal { tenant: tenant(), cause: RemovalCause::Expired, calls: Vec::new(), runs: vec![id(3)] };
    let step = |number| Entry::Step { hold: mine.clone(), step: step(number) };
    let commits = [step(2), Entry::Removal(removal), step(3)].map(|entry| fresh.stores.ledger.commit(vec![entry]));
    let results = join_all(commits).await;
    assert_eq!((results[0].is_ok(), results[1].is_ok(), is_conflict(&results[2])), (true, true, true), "{results:?}");
    assert_eq!((read(fresh, 3).await, steps(fresh, 3).await.len()), (None, 0));
    // Its id is free again.
    let again = held(fresh, 3).await;
    written(fresh, &again, 0).await;
    assert_eq!((again.epoch, steps(fresh, 3).await.len()), (1, 1));
}
