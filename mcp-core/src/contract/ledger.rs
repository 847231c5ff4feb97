//! What [`Ledger`](crate::store::ledger::Ledger) promises.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::{Fresh, all, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::ledger::{CallId, CallRecord, Entry, Outcome};

/// One named test for each promise of [`Ledger`](crate::store::ledger::Ledger), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! ledger_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            ledger, $fresh,
            committed_entries_are_read_back,
            entries_are_taken_at_once,
            all_or_none,
            an_empty_commit_waits_for_all_before_it,
            the_same_id_twice_is_one_entry,
            a_ledger_that_keeps_up_admits,
        }
    };
}

/// Once the future is `Ok`, every entry is readable, to the last byte.
pub async fn committed_entries_are_read_back(fresh: &Fresh) {
    let odd = CallRecord {
        parent: Some(CallId::from_u128(u128::MAX)),
        address: None,
        tenant: Tenant::from("Ünïcode' \" % _ \\ \0 🦀"),
        principal: Principal::from("o'brien"),
        tool: String::new(),
        // Keys in no order and twice, a NUL, a number that is no double, bytes that are no UTF-8: kept as they came.
        arguments: Bytes::from_static(b"{\"b\":1,\"a\":\"\\u0000\",\"b\": 1e400, \"raw\":\"\0\xff\xfe\"}"),
        result: Bytes::new(),
        at: Timestamp::from_micros(-1),
        duration: Duration::ZERO,
        ..call(u128::MAX)
    };
    let waited = Duration::from_micros(7);
    let large =
        CallRecord { result: vec![b'x'; 1 << 20].into(), duration: Duration::from_secs(86_400), waited, ..call(1) };
    let outcomes = (2..).zip(Outcome::ALL).map(|(id, outcome)| CallRecord { outcome, ..call(id) });
    let written: Vec<_> = [odd, large].into_iter().chain(outcomes).collect();
    fresh.commit(written.clone()).await;
    for call in written {
        assert_eq!(fresh.call(&call.tenant, call.id).await, Some(call));
    }
}

/// They are in the queue when `commit` returns; dropping the future does not take them back.
pub async fn entries_are_taken_at_once(fresh: &Fresh) {
    drop(fresh.stores.ledger.commit(vec![Entry::Call(call(1))]));
    fresh.commit([]).await;
    assert!(fresh.call(&tenant(), call(1).id).await.is_some(), "the entry of a dropped commit is lost");
}

/// The entries of one commit become readable together, however many they are.
pub async fn all_or_none(fresh: &Fresh) {
    const MANY: usize = 3_000;
    let entries = (1..).take(MANY).map(|id| Entry::Call(call(id))).collect();
    let mut commit = fresh.stores.ledger.commit(entries);
    loop {
        let ended = match futures_util::poll!(&mut commit) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        };
        let seen = fresh.ids(&tenant(), &all()).await.len();
        assert!(seen == MANY || (seen == 0 && ended.is_none()), "{seen} of {MANY} entries of one commit are seen");
        if let Some(result) = ended {
            break result.expect("sound entries are committed");
        }
    }
}

/// When it is `Ok`, all commits before it have ended, though nobody waited for them.
pub async fn an_empty_commit_waits_for_all_before_it(fresh: &Fresh) {
    const MANY: usize = 100;
    for id in (1..).take(MANY) {
        drop(fresh.stores.ledger.commit(vec![Entry::Call(call(id))]));
    }
    fresh.commit([]).await;
    assert_eq!(fresh.ids(&tenant(), &all()).await.len(), MANY);
}

/// A commit whose answer was lost can be made again; the first entry of an id stays. Another tenant's id is another one.
pub async fn the_same_id_twice_is_one_entry(fresh: &Fresh) {
    let other = CallRecord { tenant: Tenant::from("another tenant"), ..call(1) };
    fresh.commit([call(1), call(1), other.clone()]).await;
    fresh.commit([CallRecord { outcome: Outcome::Error, ..call(1) }, call(2)]).await;
    assert_eq!(fresh.calls(&tenant(), &all()).await, [call(2), call(1)]);
    assert_eq!(fresh.calls(&other.tenant, &all()).await, std::slice::from_ref(&other));
}

/// When all that was committed is written, work may begin.
pub async fn a_ledger_that_keeps_up_admits(fresh: &Fresh) {
    for round in 0..3 {
        fresh.stores.ledger.admit().expect("a ledger that keeps up admits");
        let commits: Vec<_> =
            (0..1_000).map(|id| fresh.stores.ledger.commit(vec![Entry::Call(call(round * 1_000 + id))])).collect();
        for commit in commits {
            commit.await.expect("sound entries are committed");
        }
    }
    fresh.stores.ledger.admit().expect("a ledger that keeps up admits");
}
