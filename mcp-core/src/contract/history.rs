//! What [`History`](crate::store::history::History) promises.

use bytes::Bytes;

use super::{Fresh, all, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::history::{CallQuery, FoundCalls, MOST_BYTES, MOST_CALLS};
use crate::store::ledger::{CallId, CallRecord, Outcome};

/// One named test for each promise of [`History`](crate::store::history::History), on stores from `$fresh`: an async function
/// or closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! history_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            history, $fresh,
            newest_first,
            pages_neither_repeat_nor_skip,
            pages_are_full,
            every_filter_holds,
            a_call_is_found_by_its_id,
            search_finds_whole_words_in_any_case,
            a_search_tells_how_far_it_looked,
            tenants_are_apart,
        }
    };
}

fn id(bits: u128) -> CallId {
    CallId::from_u128(bits)
}

/// Calls come in falling order of their ids, whatever the order in which they were written.
pub async fn newest_first(fresh: &Fresh) {
    // The first and the last bytes differ, so that comparing the wrong way round is noticed.
    let ids = [2 << 120 | 1, 1 << 120 | 2, 5, u128::MAX, 1 << 127, 256, 255];
    for id in ids {
        fresh.commit([call(id)]).await;
    }
    let shown = fresh.ids(&tenant(), &all()).await;
    assert_eq!(shown.len(), ids.len());
    assert!(shown.is_sorted_by(|newer, older| newer > older), "{shown:?}");
}

/// Asking on with `before` shows each call that was there from the beginning once, whatever is written meanwhile.
pub async fn pages_neither_repeat_nor_skip(fresh: &Fresh) {
    let (mut newest, mut shown) = (10, Vec::new());
    fresh.commit((1..=newest).map(call)).await;
    let mut page = CallQuery { limit: 3, ..CallQuery::default() };
    while shown.len() <= 10 {
        let ids = fresh.ids(&tenant(), &page).await;
        let Some(last) = ids.last() else { break };
        page.before = Some(*last);
        shown.extend(ids);
        newest += 1;
        fresh.commit([call(newest)]).await;
    }
    assert_eq!(shown, (1..=10).rev().map(id).collect::<Vec<_>>());
}

/// Fewer than `limit` are shown only where there are no more, and never more than that.
pub async fn pages_are_full(fresh: &Fresh) {
    // Only each tenth is asked for: a store must not stop at the first that are not.
    let tool = |id| if id % 10 == 0 { "rare" } else { "common" }.to_owned();
    fresh.commit((1..=300).map(|id| CallRecord { tool: tool(id), ..call(id) })).await;
    for (limit, expected) in [(0, 0), (1, 1), (29, 29), (30, 30), (31, 30), (u16::MAX, 30)] {
        let query = CallQuery { tool: Some("rare".to_owned()), limit, ..CallQuery::default() };
        assert_eq!(fresh.ids(&tenant(), &query).await.len(), expected, "limit {limit}");
    }
}

/// A call that is shown satisfies all filters that are set; one that does is not left out.
pub async fn every_filter_holds(fresh: &Fresh) {
    let at = |step: i64| Timestamp::from_micros(call(1).at.as_micros() + step);
    // The time of an id is that of its call, or later where the clock was set back.
    let millis = |at: Timestamp, ahead: u128| (u128::from(at.as_micros().unsigned_abs() / 1_000) + ahead) << 80;
    let most = CallId::AHEAD.as_millis();
    let principals = ["ada", "Ada", "ad_"].map(Principal::from);
    let tools = ["add", "a%"].map(str::to_owned);
    let mut calls = Vec::new();
    for principal in &principals {
        for tool in &tools {
            for outcome in [Outcome::Ok, Outcome::Invalid, Outcome::TimedOut] {
                let n = calls.len() as u128;
                // A microsecond apart, or an hour; and ids that are ahead by nothing, by half or by as much as may be.
                let at = at([0, 1, 2, 3_600_000_000, -1][calls.len() % 5]);
                let bits = millis(at, [0, most / 2, most][calls.len() / 5 % 3]) | n;
                let (principal, tool) = (principal.clone(), tool.clone());
                calls.push(CallRecord { principal, tool, outcome, at, ..call(bits) });
            }
        }
    }
    fresh.commit(calls.clone()).await;
    calls.sort_unstable_by_key(|call| call.id);

    let any = CallQuery::default;
    let single = [
        any(),
        CallQuery { principal: Some(principals[0].clone()), ..any() },
        CallQuery { principal: Some(principals[2].clone()), ..any() },
        CallQuery { tool: Some(tools[1].clone()), ..any() },
        CallQuery { outcome: Some(Outcome::TimedOut), ..any() },
        CallQuery { from: Some(at(1)), ..any() },
        CallQuery { to: Some(at(1)), ..any() },
        CallQuery { from: Some(at(3_600_000_000)), ..any() },
        CallQuery { to: Some(at(3_600_000_000)), ..any() },
        CallQuery { from: Some(Timestamp::from_micros(i64::MIN)), to: Some(Timestamp::from_micros(i64::MAX)), ..any() },
        CallQuery { from: Some(Timestamp::from_micros(i64::MAX)), ..any() },
        CallQuery { to: Some(Timestamp::from_micros(i64::MIN)), ..any() },
        CallQuery { before: Some(calls[7].id), ..any() },
    ];
    for one in &single {
        for other in &single {
            let query = CallQuery {
                principal: one.principal.clone().or(other.principal.clone()),
                tool: one.tool.clone().or(other.tool.clone()),
                outcome: one.outcome.or(other.outcome),
                from: one.from.or(other.from),
                to: one.to.or(other.to),
                before: one.before.or(other.before),
                limit: 100,
            };
            let expected: Vec<_> = calls.iter().rev().filter(|call| query.matches(call)).map(|call| call.id).collect();
            assert_eq!(fresh.ids(&tenant(), &query).await, expected, "{query:?}");
        }
    }
}

/// It is the whole call; an id that nobody wrote finds nothing.
pub async fn a_call_is_found_by_its_id(fresh: &Fresh) {
    let inner = CallRecord { parent: Some(id(2)), ..call(1) };
    fresh.commit([inner.clone(), CallRecord { tool: "other".to_owned(), ..call(2) }]).await;
    assert_eq!(fresh.call(&tenant(), id(1)).await, Some(inner));
    assert_eq!(fresh.call(&tenant(), id(3)).await, None);
}

/// A call is found if its arguments and its result hold every word; a text without words finds nothing.
pub async fn search_finds_whole_words_in_any_case(fresh: &Fresh) {
    let with = |bits, arguments: &'static str, result: &'static str| CallRecord {
        arguments: Bytes::from_static(arguments.as_bytes()),
        result: Bytes::from_static(result.as_bytes()),
        ..call(bits)
    };
    let calls = [
        with(
            1,
            r#"{"city":"Zürich","nested":[{"deep":"ΟΔΟΣ"}]}"#,
            r#"{"content":[{"type":"text","text":"first\nsecond"}]}"#,
        ),
        with(2, r#"{"n":42.5,"on":true}"#, r#"{"content":[],"isError":true}"#),
        with(3, "no JSON: crème-brûlée", ""),
        CallRecord {
            principal: Principal::from("another"),
            tool: "other".to_owned(),
            ..with(4, r#"{"city":"Zürich"}"#, "{}")
        },
    ];
    fresh.commit(calls.clone()).await;
    for (text, expected) in [
        ("zürich", vec![4, 1]),
        ("ZÜRICH city", vec![4, 1]),
        ("zürich οδος", vec![1]),
        ("zurich", vec![]),
        ("züri", vec![]),
        ("first second", vec![1]),
        ("nsecond", vec![]),
        ("zürich missing", vec![]),
        ("42", vec![2]),
        ("TRUE iserror", vec![2]),
        ("brûlée JSON", vec![3]),
        ("add", vec![]),
        ("", vec![]),
        ("\" * ?", vec![]),
    ] {
        let found = fresh.search(text, &all()).await;
        assert_eq!(found.calls.iter().map(|call| call.id.as_u128()).collect::<Vec<_>>(), expected, "{text:?}");
        assert_eq!(found.next, None, "{text:?}");
    }
    for query in [
        CallQuery { principal: Some(call(1).principal), ..all() },
        CallQuery { tool: Some("add".to_owned()), ..all() },
        CallQuery { before: Some(id(4)), ..all() },
    ] {
        assert_eq!(fresh.search("zürich", &query).await.calls, [calls[0].clone()], "{query:?}");
    }
    assert_eq!(fresh.search("zürich", &CallQuery { limit: 0, ..all() }).await.calls, []);
    let page = fresh.search("zürich", &CallQuery { limit: 1, ..all() }).await;
    assert_eq!((page.calls, page.next), (vec![calls[3].clone()], Some(id(4))));
}

/// At so many calls, or bytes of them; asking on finds each that has the words once.
pub async fn a_search_tells_how_far_it_looked(fresh: &Fresh) {
    let needle = |bits| CallRecord { arguments: Bytes::from_static(b"\"needle\""), ..call(bits) };
    let most = MOST_CALLS as u128;
    // The search ends after the last but one, and just before the oldest.
    fresh.commit((1..=most + 1).map(|bits| if bits == 1 || bits == most { needle(bits) } else { call(bits) })).await;
    let first = fresh.search("needle", &all()).await;
    assert_eq!((first.calls, first.next), (vec![needle(most)], Some(id(2))));
    let rest = fresh.search("needle", &CallQuery { before: first.next, ..all() }).await;
    assert_eq!((rest.calls, rest.next), (vec![needle(1)], None));
    // Those that do not satisfy the query are not looked at.
    let theirs = CallQuery { principal: Some(Principal::from("nobody")), ..all() };
    assert_eq!(fresh.search("needle", &theirs).await, FoundCalls::default());

    let large = Bytes::from(vec![b' '; MOST_BYTES / 2]);
    let large = |bits| CallRecord { tool: "large".to_owned(), result: large.clone(), ..call(bits) };
    fresh.commit([large(3_001), large(3_002), large(3_003)]).await;
    let found = fresh.search("needle", &CallQuery { tool: Some("large".to_owned()), ..all() }).await;
    assert_eq!((found.calls, found.next), (vec![], Some(id(3_002))));
}

/// No query shows a call of another tenant, not even under an id that both have.
pub async fn tenants_are_apart(fresh: &Fresh) {
    let names = ["acme", "acme2", "Acme", ""];
    let of = |name: &str, bits| CallRecord { tenant: Tenant::from(name), tool: format!("of {name}"), ..call(bits) };
    for name in names {
        fresh.commit([of(name, 1), of(name, 2)]).await;
    }
    fresh.commit([of("acme", 3)]).await;
    for name in names {
        let (tenant, tool) = (Tenant::from(name), format!("of {name}"));
        let shown = fresh.calls(&tenant, &all()).await;
        assert_eq!(shown.len(), if name == "acme" { 3 } else { 2 }, "{name:?}");
        assert!(shown.iter().all(|call| call.tenant == tenant && call.tool == tool), "{name:?}: {shown:?}");
        assert_eq!(fresh.call(&tenant, id(1)).await.map(|call| call.tool), Some(tool));
        assert_eq!(fresh.call(&tenant, id(3)).await.is_some(), name == "acme", "{name:?}");
    }
    let theirs = CallQuery { tool: Some("of acme".to_owned()), ..all() };
    assert_eq!(fresh.ids(&Tenant::from("acme2"), &theirs).await, []);
    let found = fresh.stores.history.search(&Tenant::from("acme2"), "content", &all()).await;
    assert!(found.expect("the history can be searched").calls.iter().all(|call| call.tool == "of acme2"));
}
