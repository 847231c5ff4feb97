//! What [`Records`] promises.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::{Fresh, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::{Clock, Timestamp};
use crate::store::history::CallQuery;
use crate::store::ledger::{CallId, CallRecord, Entry};
use crate::store::records::{Keep, Records};
use crate::store::runs::{Ending, NewRun, RunId, RunQuery};
use crate::store::threads::{Message, MessageId, Thread, ThreadId};

/// One named test for each promise of [`Records`](crate::store::records::Records), for calls, messages, notes and runs, on stores
/// from `$fresh`: an async function or closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! records_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            records, $fresh,
            what_is_old_goes,
            what_is_too_many_goes,
            a_batch_is_small,
            somebody_is_forgotten,
        }
    };
}

/// Each of these is written by [`write`] and listed by [`left`].
const KINDS: [&str; 4] = ["calls", "messages", "notes", "runs"];

const HOUR: Duration = Duration::from_secs(3_600);

fn of<'f>(fresh: &'f Fresh, kind: &str) -> &'f dyn Records {
    let mut found = fresh.stores.records.iter().filter(|records| records.kind() == kind);
    let records = found.next().unwrap_or_else(|| panic!("there are records of the kind {kind}"));
    assert!(found.next().is_none(), "there is one of each kind");
    &**records
}

/// Writes the records with these numbers, of each kind, now.
async fn write(fresh: &Fresh, tenant: &Tenant, principal: &Principal, numbers: impl IntoIterator<Item = u32>) {
    let (stores, at) = (&fresh.stores, fresh.clock.now());
    let id = ThreadId::from_u128(7);
    let thread = Thread { id, title: String::new(), created: at };
    stores.threads.create(tenant, principal, &thread).await.expect("a thread is begun");
    for number in numbers {
        let (text, bits) = (number.to_string(), u128::from(number));
        let millis = u128::from(at.as_micros().unsigned_abs() / 1_000);
        // An id is a tenant's own.
        let whose = u128::from(principal.as_str().as_bytes()[0]);
        let id_now = millis << 80 | whose << 32 | bits;
        let record = CallRecord {
            id: CallId::from_u128(id_now),
            tenant: tenant.clone(),
            principal: principal.clone(),
            tool: text.clone(),
            at,
            ..call(0)
        };
        fresh.commit([record]).await;
        let message =
            Message { id: MessageId::from_u128(bits), role: "user".to_owned(), text: format!("{text} said"), at };
        assert!(stores.threads.append(tenant, principal, id, &message).await.expect("a message is appended"));
        stores.notes.write(tenant, principal, &text, "written").await.expect("a note is written");
        run(fresh, tenant, principal, RunId::from_u128(id_now), text).await;
    }
}

/// A run that is begun and ends now.
async fn run(fresh: &Fresh, tenant: &Tenant, principal: &Principal, id: RunId, text: String) {
    let (stores, at) = (&fresh.stores, fresh.clock.now());
    let (tenant, principal, kind) = (tenant.clone(), principal.clone(), "work".to_owned());
    let run = NewRun { id, tenant, principal, kind, parent: None, arguments: text.into(), at };
    stores.runs.create(&run).await.expect("a run is begun");
    let claimed = stores.runs.claim("work", 9, HOUR).await.expect("it is claimed");
    let [run] = &claimed.runs[..] else { panic!("{claimed:?}") };
    let turn = run.end(Ending::Completed, Bytes::new(), at);
    stores.ledger.commit(vec![Entry::Turn { hold: run.hold(), turn }]).await.expect("it ends");
}

/// The numbers of the records that somebody has, by their kinds.
async fn left(fresh: &Fresh, tenant: &Tenant, principal: &Principal) -> BTreeMap<&'static str, Vec<u32>> {
    let stores = &fresh.stores;
    let number = |text: &str| text.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    let query = CallQuery { principal: Some(principal.clone()), limit: u16::MAX, ..CallQuery::default() };
    let calls = fresh.calls(tenant, &query).await;
    let messages = stores.threads.messages(tenant, principal, ThreadId::from_u128(7), None, u16::MAX).await;
    let messages = messages.expect("messages are read");
    let found = stores.threads.search(tenant, principal, "said", None, u16::MAX).await.expect("they are searched");
    assert_eq!(found.len(), messages.len(), "what is there is found, and nothing else is");
    let notes = stores.notes.search(tenant, principal, "written", u16::MAX).await.expect("notes are searched");
    let query = RunQuery { principal: Some(principal.clone()), limit: u16::MAX, ..RunQuery::default() };
    let runs = stores.runs.runs(tenant, &query).await.expect("runs are listed");
    let mut left = [
        calls.iter().map(|call| number(&call.tool)).collect::<Vec<_>>(),
        messages.iter().map(|placed| number(&placed.message.text)).collect(),
        notes.iter().map(|note| number(&note.name)).collect(),
        runs.iter().map(|run| number(&String::from_utf8_lossy(&run.arguments))).collect(),
    ];
    left.iter_mut().for_each(|numbers| numbers.sort_unstable());
    KINDS.into_iter().zip(left).collect()
}

fn each(numbers: impl IntoIterator<Item = u32>) -> BTreeMap<&'static str, Vec<u32>> {
    let numbers: Vec<_> = numbers.into_iter().collect();
    KINDS.into_iter().map(|kind| (kind, numbers.clone())).collect()
}

/// Removes until nothing is left to be removed, a few at a time; tells how many went.
async fn expire(fresh: &Fresh, kind: &str, keep: Keep) -> u64 {
    let (mut all, records) = (0, of(fresh, kind));
    for _ in 0..100 {
        match records.expire(keep, 3).await.expect("old records are removed") {
            0 => return all,
            removed => all += removed,
        }
    }
    panic!("it says again and again that it has removed {kind}");
}

fn people() -> [(Tenant, Principal); 3] {
    [("a tenant", "somebody"), ("a tenant", "Somebody"), ("another tenant", "somebody")]
        .map(|(tenant, principal)| (Tenant::from(tenant), Principal::from(principal)))
}

/// All that was made before then, of all tenants, and nothing younger.
pub async fn what_is_old_goes(fresh: &Fresh) {
    for (tenant, principal) in &people() {
        write(fresh, tenant, principal, 0..5).await;
    }
    fresh.pass(HOUR);
    let since = Some(fresh.clock.now());
    for (tenant, principal) in &people()[1..] {
        write(fresh, tenant, principal, 5..9).await;
    }
    for kind in KINDS {
        assert_eq!(expire(fresh, kind, Keep::default()).await, 0, "{kind}: nothing is asked for");
        assert_eq!(expire(fresh, kind, Keep { since: Some(Timestamp::default()), most: None }).await, 0, "{kind}");
        let removed = expire(fresh, kind, Keep { since, most: Some(1_000) }).await;
        // The thread in which nothing is left goes as well.
        assert_eq!(removed, 15 + u64::from(kind == "messages"), "{kind}");
    }
    let [first, rest @ ..] = people();
    assert_eq!(left(fresh, &first.0, &first.1).await, each([]));
    for (tenant, principal) in &rest {
        assert_eq!(left(fresh, tenant, principal).await, each(5..9), "{tenant}, {principal}");
    }
    let threads = fresh.stores.threads.list(&first.0, &first.1, None, 10).await.expect("threads are listed");
    assert_eq!(threads, []);
}

/// The oldest first, until each tenant has so many.
pub async fn what_is_too_many_goes(fresh: &Fresh) {
    let people = people();
    for (n, (tenant, principal)) in (0..).zip(&people) {
        write(fresh, tenant, principal, (n * 10)..(n * 10 + 5)).await;
        fresh.pass(HOUR);
    }
    for kind in KINDS {
        assert_eq!(expire(fresh, kind, Keep { since: None, most: Some(10) }).await, 0, "{kind}");
        assert_eq!(expire(fresh, kind, Keep { since: None, most: Some(7) }).await, 3, "{kind}");
    }
    for ((tenant, principal), numbers) in people.iter().zip([3..5, 10..15, 20..25]) {
        assert_eq!(left(fresh, tenant, principal).await, each(numbers), "{tenant}, {principal}");
    }
}

/// No more go at once than were asked for, and none only where none is left.
pub async fn a_batch_is_small(fresh: &Fresh) {
    let (tenant, principal) = (tenant(), Principal::from("somebody"));
    write(fresh, &tenant, &principal, 0..10).await;
    fresh.pass(HOUR);
    let keep = Keep { since: Some(fresh.clock.now()), most: None };
    for (kind, rounds) in
        [("calls", &[4, 2, 0][..]), ("messages", &[4, 2, 1, 0]), ("notes", &[4, 2, 0]), ("runs", &[4, 2, 0])]
    {
        let records = of(fresh, kind);
        assert_eq!(records.forget(&tenant, &principal, 1).await.expect("it is forgotten"), 1, "{kind}");
        assert_eq!(records.forget(&tenant, &principal, 3).await.expect("it is forgotten"), 3, "{kind}");
        assert_eq!(left(fresh, &tenant, &principal).await[kind].len(), 6, "{kind}");
        for expected in rounds {
            assert_eq!(records.expire(keep, 4).await.expect("old records are removed"), *expected, "{kind}");
        }
    }
    assert_eq!(left(fresh, &tenant, &principal).await, each([]));
}

/// All that is theirs goes, however young; what others have stays.
pub async fn somebody_is_forgotten(fresh: &Fresh) {
    for (tenant, principal) in &people() {
        write(fresh, tenant, principal, 0..5).await;
    }
    let [(tenant, principal), others @ ..] = people();
    for kind in KINDS {
        let mut all = 0;
        loop {
            match of(fresh, kind).forget(&tenant, &principal, 2).await.expect("they are forgotten") {
                0 => break,
                removed => all += removed,
            }
            assert!(all <= 6, "{kind}");
        }
        assert_eq!(all, 5 + u64::from(kind == "messages"), "{kind}");
        let nobody = of(fresh, kind).forget(&tenant, &Principal::from("nobody"), 2).await;
        assert_eq!(nobody.expect("nobody is forgotten"), 0, "{kind}");
    }
    assert_eq!(left(fresh, &tenant, &principal).await, each([]));
    let threads = fresh.stores.threads.list(&tenant, &principal, None, 10).await.expect("threads are listed");
    assert_eq!(threads, []);
    for (tenant, principal) in &others {
        assert_eq!(left(fresh, tenant, principal).await, each(0..5), "{tenant}, {principal}");
    }
}
