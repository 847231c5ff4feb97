//! What [`Idempotency`](crate::store::idempotency::Idempotency) promises.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Fresh, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::idempotency::{CallKey, Claim, Claimed};
use crate::store::ledger::{Answer, CallId, CallRecord, Entry};
use crate::store::replicas::{Replica, ReplicaId};

/// One named test for each promise of [`Idempotency`](crate::store::idempotency::Idempotency), on stores from `$fresh`: an async
/// function or closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! idempotency_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            idempotency, $fresh,
            one_call_has_a_key,
            a_key_belongs_to_one_caller_and_one_tool,
            other_arguments_are_a_mismatch,
            an_answer_is_kept_with_its_record,
            a_call_that_died_is_followed_by_one_other,
            the_answer_of_a_call_that_lost_its_key_is_a_conflict,
            a_released_key_is_free_or_taken_over,
            old_keys_are_removed_a_few_at_a_time,
            too_many_keys_are_removed_a_few_at_a_time,
            what_a_principal_has_is_erased,
        }
    };
}

/// So long that the time which a case itself takes does not matter, where the clock is a database's.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Who lives in each case, as long as it is not said that time passes.
const ALIVE: u64 = 7;
/// Who never lived.
const DEAD: u64 = 8;

async fn live(fresh: &Fresh) {
    let (id, started) = (ReplicaId::from_u64(ALIVE), Timestamp::default());
    let replica = Replica { id, host: String::new(), version: String::new(), started, alone: false };
    let refused = fresh.stores.replicas.join(&replica, HOUR).await.expect("one can join");
    assert_eq!(refused, None);
}

fn key(key: &str) -> CallKey {
    CallKey { tenant: tenant(), principal: Principal::from("somebody"), tool: "add".to_owned(), key: key.to_owned() }
}

/// What a call of a replica asks for.
fn by(owner: u128, replica: u64) -> Claim {
    Claim { owner: CallId::from_u128(owner), replica: ReplicaId::from_u64(replica), digest: [1; 32] }
}

async fn ask(fresh: &Fresh, key: &CallKey, claim: Claim) -> Claimed {
    fresh.stores.idempotency.claim(key, &claim).await.expect("one can ask for it")
}

async fn release(fresh: &Fresh, key: &CallKey, owner: u128, begun: bool) {
    let released = fresh.stores.idempotency.release(key, CallId::from_u128(owner), begun).await;
    released.expect("one can release");
}

async fn prune(fresh: &Fresh, age: Duration, limit: u16) -> u64 {
    fresh.stores.idempotency.prune(age, limit).await.expect("one can prune")
}

/// Commits the record and the answer of a call.
async fn answer(fresh: &Fresh, key: &CallKey, owner: u128) -> Result<(), StoreError> {
    let call = CallRecord { tenant: key.tenant.clone(), ..call(owner) };
    let answer = Answer { key: key.clone(), arguments: [1; 32], call: call.id };
    fresh.stores.ledger.commit(vec![Entry::Call(call), Entry::Answer(answer)]).await
}

fn answered(owner: u128) -> Claimed {
    Claimed::Answered(CallId::from_u128(owner))
}

/// However many claim it at once; who asks twice is told the same, and the others that it runs.
pub async fn one_call_has_a_key(fresh: &Fresh) {
    live(fresh).await;
    let key = key("k");
    let told = join_all((1..=16).map(|owner| ask(fresh, &key, by(owner, ALIVE)))).await;
    let firsts: Vec<_> =
        (1..).zip(&told).filter(|(_, told)| **told == Claimed::First).map(|(owner, _)| owner).collect();
    let [first] = firsts[..] else { panic!("{} calls have it", firsts.len()) };
    for (owner, told) in (1..).zip(told) {
        let expected = if owner == first { Claimed::First } else { Claimed::Running };
        assert_eq!(told, expected);
        assert_eq!(ask(fresh, &key, by(owner, ALIVE)).await, expected, "{owner} asks again");
    }
}

/// The same key of another tenant, principal or tool is another one, and so is one that only looks like it.
pub async fn a_key_belongs_to_one_caller_and_one_tool(fresh: &Fresh) {
    live(fresh).await;
    let mut keys = ["k", "K", "", "k ", "k\0", "k\u{1}", "k\u{1}0", "🦀"].map(key).to_vec();
    keys.push(CallKey { tenant: Tenant::from("another tenant"), ..key("k") });
    keys.push(CallKey { principal: Principal::from("somebody else"), ..key("k") });
    keys.push(CallKey { tool: "another tool".to_owned(), ..key("k") });
    for (owner, key) in (1..).zip(&keys) {
        assert_eq!(ask(fresh, key, by(owner, ALIVE)).await, Claimed::First, "{key:?}");
    }
    for (owner, key) in (1..).zip(&keys) {
        answer(fresh, key, owner).await.expect("it has its key");
        assert_eq!(ask(fresh, key, by(99, ALIVE)).await, answered(owner), "{key:?}");
    }
}

/// While the call runs, once it was answered, and when it has died.
pub async fn other_arguments_are_a_mismatch(fresh: &Fresh) {
    live(fresh).await;
    let other = |owner| Claim { digest: [2; 32], ..by(owner, ALIVE) };
    let (running, done, dead) = (key("running"), key("done"), key("dead"));
    ask(fresh, &running, by(1, ALIVE)).await;
    ask(fresh, &done, by(2, ALIVE)).await;
    answer(fresh, &done, 2).await.expect("it has its key");
    ask(fresh, &dead, by(3, DEAD)).await;
    for (key, owner) in [(&running, 1), (&done, 2), (&dead, 3)] {
        for owner in [owner, 9] {
            assert_eq!(ask(fresh, key, other(owner)).await, Claimed::Mismatch, "{key:?} by {owner}");
        }
    }
    assert_eq!(ask(fresh, &running, by(9, ALIVE)).await, Claimed::Running);
    assert_eq!(ask(fresh, &done, by(9, ALIVE)).await, answered(2));
    assert_eq!(ask(fresh, &dead, by(9, ALIVE)).await, Claimed::TakenOver);
}

/// Whoever comes later finds it. A commit whose answer was lost can be made again, and one of which something cannot be written
/// leaves nothing.
pub async fn an_answer_is_kept_with_its_record(fresh: &Fresh) {
    live(fresh).await;
    let key = key("k");
    ask(fresh, &key, by(1, ALIVE)).await;
    for _ in 0..2 {
        answer(fresh, &key, 1).await.expect("it has its key");
        for owner in [1, 2] {
            assert_eq!(ask(fresh, &key, by(owner, ALIVE)).await, answered(1));
        }
        assert_eq!(fresh.call(&tenant(), CallId::from_u128(1)).await, Some(call(1)));
    }
    let nobodys = Entry::Answer(Answer { key: self::key("nobody's"), arguments: [1; 32], call: CallId::from_u128(2) });
    let commits = vec![vec![Entry::Call(call(2)), nobodys.clone()], vec![nobodys, Entry::Call(call(3))]];
    for commit in commits {
        let refused = fresh.stores.ledger.commit(commit).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(fresh.calls(&tenant(), &super::all()).await, [call(1)]);
    // The house ends, and the answer stays.
    fresh.pass(HOUR * 2);
    assert_eq!(ask(fresh, &key, by(4, ALIVE)).await, answered(1));
}

/// One whose replica lives no more, or never did; the other is told so, and the others that it runs.
pub async fn a_call_that_died_is_followed_by_one_other(fresh: &Fresh) {
    live(fresh).await;
    let (key, elsewhere) = (key("k"), key("elsewhere"));
    assert_eq!(ask(fresh, &key, by(99, DEAD)).await, Claimed::First);
    let told = join_all((1..=16).map(|owner| ask(fresh, &key, by(owner, ALIVE)))).await;
    let heirs: Vec<_> =
        (1..).zip(&told).filter(|(_, told)| **told == Claimed::TakenOver).map(|(owner, _)| owner).collect();
    let [heir] = heirs[..] else { panic!("{} calls follow one", heirs.len()) };
    assert!((1..).zip(told).all(|(owner, told)| owner == heir || told == Claimed::Running));
    assert_eq!(ask(fresh, &key, by(heir, ALIVE)).await, Claimed::TakenOver, "who asks twice is told the same");
    assert_eq!(ask(fresh, &key, by(99, ALIVE)).await, Claimed::Running, "the dead one is a stranger by now");
    ask(fresh, &elsewhere, by(50, ALIVE)).await;
    fresh.pass(HOUR);
    for key in [&key, &elsewhere] {
        live(fresh).await;
        assert_eq!(ask(fresh, key, by(60, ALIVE)).await, Claimed::Running, "its replica has come back");
        fresh.pass(HOUR);
        assert_eq!(ask(fresh, key, by(61, ALIVE)).await, Claimed::TakenOver);
    }
}

/// Nothing of its commit is written, and the commits beside it are.
pub async fn the_answer_of_a_call_that_lost_its_key_is_a_conflict(fresh: &Fresh) {
    live(fresh).await;
    let (key, other) = (key("k"), key("other"));
    ask(fresh, &key, by(1, DEAD)).await;
    ask(fresh, &key, by(2, ALIVE)).await;
    ask(fresh, &other, by(3, ALIVE)).await;
    let beside = fresh.stores.ledger.commit(vec![Entry::Call(call(4))]);
    let (late, right, other) = (answer(fresh, &key, 1), answer(fresh, &key, 2), answer(fresh, &other, 3));
    let (beside, other, late, right) = futures_util::future::join4(beside, other, late, right).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    assert_eq!((beside.is_ok(), other.is_ok(), right.is_ok()), (true, true, true));
    assert_eq!(ask(fresh, &key, by(9, ALIVE)).await, answered(2));
    let again = answer(fresh, &key, 1).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(fresh.calls(&tenant(), &super::all()).await, [call(4), call(3), call(2)]);
    assert_eq!(ask(fresh, &key, by(9, ALIVE)).await, answered(2));
}

/// Free, where nothing was begun under it; else the next is told that something may have been. Only its call releases it, and not
/// what is answered.
pub async fn a_released_key_is_free_or_taken_over(fresh: &Fresh) {
    live(fresh).await;
    let key = key("k");
    ask(fresh, &key, by(1, ALIVE)).await;
    for begun in [false, true] {
        release(fresh, &key, 2, begun).await;
        release(fresh, &self::key("nobody's"), 2, begun).await;
        assert_eq!(ask(fresh, &key, by(3, ALIVE)).await, Claimed::Running, "another has released it");
    }
    release(fresh, &key, 1, false).await;
    let other = Claim { digest: [2; 32], ..by(3, ALIVE) };
    assert_eq!(ask(fresh, &key, other.clone()).await, Claimed::First, "with whatever arguments");
    release(fresh, &key, 3, false).await;
    ask(fresh, &key, by(4, ALIVE)).await;
    release(fresh, &key, 4, true).await;
    assert_eq!(ask(fresh, &key, by(5, ALIVE)).await, Claimed::TakenOver);
    release(fresh, &key, 5, false).await;
    assert_eq!(ask(fresh, &key, other).await, Claimed::Mismatch, "it is not free: the fourth had begun");
    assert_eq!(ask(fresh, &key, by(6, ALIVE)).await, Claimed::TakenOver);
    answer(fresh, &key, 6).await.expect("it has its key");
    for begun in [false, true] {
        release(fresh, &key, 6, begun).await;
        assert_eq!(ask(fresh, &key, by(7, ALIVE)).await, answered(6));
    }
}

/// Those that were answered, or whose call has died, the oldest first; what runs stays, and what is younger.
pub async fn old_keys_are_removed_a_few_at_a_time(fresh: &Fresh) {
    live(fresh).await;
    let keys: Vec<_> = (0..8).map(|n| key(&n.to_string())).collect();
    for (n, key) in (0..).zip(&keys) {
        ask(fresh, key, by(n, if n == 3 { DEAD } else { ALIVE })).await;
        if n != 3 && n != 4 {
            answer(fresh, key, n).await.expect("it has its key");
        }
        fresh.pass(HOUR / 100);
    }
    assert_eq!(prune(fresh, HOUR, 10).await, 0, "all are younger");
    // The last is younger than this.
    let age = HOUR / 100 + HOUR / 200;
    assert_eq!(prune(fresh, age, 0).await, 0);
    for _ in 0..2 {
        assert_eq!(prune(fresh, age, 2).await, 2);
    }
    assert_eq!(ask(fresh, &keys[5], by(90, ALIVE)).await, answered(5), "the oldest go first");
    assert_eq!(prune(fresh, age, 10).await, 2);
    assert_eq!(prune(fresh, age, 10).await, 0);
    assert_eq!(ask(fresh, &keys[4], by(91, ALIVE)).await, Claimed::Running);
    assert_eq!(ask(fresh, &keys[7], by(92, ALIVE)).await, answered(7));
    for n in [0, 1, 2, 3, 5, 6] {
        assert_eq!(ask(fresh, &keys[n], by(93, ALIVE)).await, Claimed::First, "{n}");
    }
    fresh.pass(HOUR * 2);
    assert_eq!(prune(fresh, HOUR, 100).await, 8, "what ran has died");
    assert_eq!(prune(fresh, Duration::MAX, 100).await, 0);
}

/// The oldest of those that are answered or have died, until each tenant has so many; what runs stays.
pub async fn too_many_keys_are_removed_a_few_at_a_time(fresh: &Fresh) {
    live(fresh).await;
    let surplus = async |most: u64, limit: u16| {
        let removed = fresh.stores.idempotency.prune_surplus(most, limit).await;
        removed.expect("one can prune")
    };
    let elsewhere = |n: u128| CallKey { tenant: Tenant::from("another tenant"), ..key(&n.to_string()) };
    for n in 10..13 {
        ask(fresh, &elsewhere(n), by(n, ALIVE)).await;
        answer(fresh, &elsewhere(n), n).await.expect("it has its key");
    }
    let keys: Vec<_> = (0..8).map(|n| key(&n.to_string())).collect();
    for (n, key) in (0..).zip(&keys) {
        ask(fresh, key, by(n, if n == 3 { DEAD } else { ALIVE })).await;
        if n != 1 && n != 3 {
            answer(fresh, key, n).await.expect("it has its key");
        }
        fresh.pass(HOUR / 100);
    }
    assert_eq!(surplus(8, 10).await, 0, "nobody has more");
    assert_eq!(surplus(4, 0).await, 0);
    assert_eq!(surplus(4, 1).await, 1);
    assert_eq!(surplus(4, 10).await, 3);
    assert_eq!(surplus(4, 10).await, 0);
    assert_eq!(ask(fresh, &keys[1], by(90, ALIVE)).await, Claimed::Running);
    for n in [5_u128, 6, 7] {
        let place = usize::try_from(n).expect("it is small");
        assert_eq!(ask(fresh, &keys[place], by(91, ALIVE)).await, answered(n), "the oldest go first");
    }
    // What one tenant has that runs stands in nobody's way.
    while surplus(0, 2).await > 0 {}
    assert_eq!(ask(fresh, &keys[1], by(92, ALIVE)).await, Claimed::Running);
    for key in [&keys[0], &keys[2], &keys[3], &keys[4], &keys[7], &elsewhere(10), &elsewhere(12)] {
        assert_eq!(ask(fresh, key, by(93, ALIVE)).await, Claimed::First, "{key:?}");
    }
}

/// Also what runs, so many at a time, and nothing of another's.
pub async fn what_a_principal_has_is_erased(fresh: &Fresh) {
    live(fresh).await;
    let erase = async |limit: u16| {
        let erased = fresh.stores.idempotency.erase(&tenant(), &Principal::from("somebody"), limit).await;
        erased.expect("one can erase")
    };
    let keys = ["a", "b", "c"].map(key);
    let others = [
        CallKey { principal: Principal::from("Somebody"), ..key("a") },
        CallKey { tenant: Tenant::from("another tenant"), ..key("a") },
    ];
    for (owner, key) in (1..).zip(keys.iter().chain(&others)) {
        ask(fresh, key, by(owner, ALIVE)).await;
        if owner != 2 {
            answer(fresh, key, owner).await.expect("it has its key");
        }
    }
    assert_eq!(erase(2).await, 2);
    assert_eq!(erase(2).await, 1);
    assert_eq!(erase(2).await, 0);
    let late = answer(fresh, &keys[1], 2).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    for (owner, key) in (4..).zip(&others) {
        assert_eq!(ask(fresh, key, by(9, ALIVE)).await, answered(owner), "{key:?}");
    }
    for key in &keys {
        assert_eq!(ask(fresh, key, by(9, ALIVE)).await, Claimed::First, "{key:?}");
    }
}
