//! What [`Audit`](crate::store::audit::Audit) promises.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{Fresh, call, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::{Clock, Timestamp};
use crate::store::audit::{Kind, Link, LinkQuery, Removal, RemovalCause, Verification};
use crate::store::idempotency::{CallKey, Claim};
use crate::store::ledger::{Answer, CallId, CallRecord, Entry, Outcome};
use crate::store::replicas::{Replica, ReplicaId};
use crate::store::runs::{Ending, Hold, NewRun, RunId, RunRecord, Step, StepKind};

/// One named test for each promise of [`Audit`](crate::store::audit::Audit), on stores from `$fresh`: an async function or closure
/// without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! audit_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            audit, $fresh,
            each_entry_has_its_link,
            what_is_removed_is_gone_and_told,
            pages_neither_repeat_nor_skip,
            every_filter_holds,
            tenants_are_apart,
            a_walk_passes_each_link_once,
            what_was_written_verifies,
            what_is_old_and_gone_is_trimmed,
        }
    };
}

/// As many as can be asked for.
fn all() -> LinkQuery {
    LinkQuery { limit: u16::MAX, ..LinkQuery::default() }
}

fn about(id: u128) -> LinkQuery {
    LinkQuery { subject: Some(id), ..all() }
}

impl Fresh {
    async fn links(&self, tenant: &Tenant, query: &LinkQuery) -> Vec<Link> {
        self.stores.audit.links(tenant, query).await.expect("links can be read")
    }

    async fn remove(&self, tenant: &Tenant, cause: RemovalCause, calls: impl IntoIterator<Item = u128>) {
        let calls = calls.into_iter().map(CallId::from_u128).collect();
        let removal = Removal { tenant: tenant.clone(), cause, calls, runs: Vec::new() };
        self.stores.ledger.commit(vec![Entry::Removal(removal)]).await.expect("a removal is committed");
    }

    async fn remove_run(&self, run: RunId) {
        let (cause, runs) = (RemovalCause::Erased, vec![run]);
        let removal = Removal { tenant: tenant(), cause, calls: Vec::new(), runs };
        self.stores.ledger.commit(vec![Entry::Removal(removal)]).await.expect("a removal is committed");
    }

    /// A run of two steps that has ended, and the right under which they were written.
    async fn run(&self, id: u128) -> (RunRecord, Hold, [Step; 2]) {
        let (runs, kind, at) = (&self.stores.runs, "work".to_owned(), self.clock.now());
        let (id, principal, arguments) = (RunId::from_u128(id), Principal::from("\0"), Bytes::from_static(b"\0\xff"));
        let run = NewRun { id, tenant: tenant(), principal, kind, parent: Some(id), arguments, at };
        runs.create(&run).await.expect("a run is created");
        let claimed = runs.claim("work", 9, Duration::from_secs(60 * 60)).await.expect("it is claimed");
        let [run] = &claimed.runs[..] else { panic!("{claimed:?}") };
        let step = |number, kind| Step { number, kind, key: "\0k".to_owned(), body: "b".into(), at };
        let (hold, steps) = (run.hold(), [step(0, StepKind::Decided), step(3, StepKind::Done)]);
        let mut entries = steps.clone().map(|step| Entry::Step { hold: hold.clone(), step }).to_vec();
        entries.push(Entry::Turn { hold: hold.clone(), turn: run.end(Ending::Completed, "7".into(), at) });
        self.stores.ledger.commit(entries).await.expect("its holder writes");
        let run = runs.run(&tenant(), id).await.expect("runs can be read").expect("it is there");
        (run, hold, steps)
    }

    /// A call that is answered under a key.
    async fn answer(&self, id: u128) -> Answer {
        let (replica, call) = (ReplicaId::from_u64(7), call(id));
        let joining = Replica {
            id: replica,
            host: String::new(),
            version: String::new(),
            started: Timestamp::default(),
            alone: false,
        };
        let lease = Duration::from_secs(60 * 60);
        assert_eq!(self.stores.replicas.join(&joining, lease).await.expect("one can join"), None);
        let key = CallKey {
            tenant: tenant(),
            principal: call.principal.clone(),
            tool: call.tool.clone(),
            key: format!("k{id}\0"),
        };
        let claim = Claim { owner: call.id, replica, digest: [1; 32] };
        self.stores.idempotency.claim(&key, &claim).await.expect("it is claimed");
        let answer = Answer { key, arguments: claim.digest, call: call.id };
        let entries = vec![Entry::Call(call), Entry::Answer(answer.clone())];
        self.stores.ledger.commit(entries).await.expect("it has its key");
        answer
    }

    async fn verified(&self) -> Verification {
        let verified = self.stores.audit.verify().await.expect("links can be read");
        assert!(verified.is_whole(), "{verified:?}");
        verified
    }
}

fn kinds(links: &[Link]) -> Vec<&Kind> {
    let mut kinds: Vec<_> = links.iter().map(|link| &link.kind).collect();
    kinds.sort();
    kinds
}

/// Whoever asks for the links of a record finds one with the digest of what was written.
pub async fn each_entry_has_its_link(fresh: &Fresh) {
    let odd = CallRecord {
        tenant: Tenant::from("\0 🦀"),
        parent: Some(CallId::from_u128(1)),
        arguments: b"\0\xff".as_slice().into(),
        ..call(u128::MAX)
    };
    let calls = [call(1), CallRecord { outcome: Outcome::Error, ..call(2) }, odd];
    fresh.commit(calls.clone()).await;
    for call in calls {
        let links = fresh.links(&call.tenant, &about(call.id.as_u128())).await;
        let [link] = &links[..] else { panic!("{links:?}") };
        assert_eq!((&link.kind, link.digest, link.number), (&Kind::CALL, call.digest(), 0), "{call:?}");
    }
    assert!(fresh.links(&tenant(), &about(3)).await.is_empty(), "nobody wrote it");

    let (run, hold, [first, last]) = fresh.run(4).await;
    let links = fresh.links(&tenant(), &about(4)).await;
    let told: BTreeSet<_> = links.iter().map(|link| (link.kind.as_str(), link.number, link.digest)).collect();
    let expected = [("step", 0, first.digest(&hold)), ("step", 3, last.digest(&hold)), ("run", 0, run.digest())].into();
    assert_eq!((told, links.len()), (expected, 3));
    let answer = fresh.answer(5).await;
    let links = fresh.links(&tenant(), &LinkQuery { kind: Some(Kind::ANSWER), ..about(5) }).await;
    assert_eq!(links.iter().map(|link| link.digest).collect::<Vec<_>>(), [answer.digest()]);
}

/// A removal takes its records away, and leaves a link for each.
pub async fn what_is_removed_is_gone_and_told(fresh: &Fresh) {
    let other = CallRecord { tenant: Tenant::from("another tenant"), ..call(1) };
    fresh.commit((1..=5).map(call).chain([other.clone()])).await;
    fresh.remove(&tenant(), RemovalCause::Expired, [1, 2]).await;
    fresh.remove(&tenant(), RemovalCause::Erased, [3]).await;
    assert_eq!(fresh.ids(&tenant(), &super::all()).await, [5, 4].map(CallId::from_u128));
    assert!(fresh.call(&other.tenant, other.id).await.is_some(), "it is another's");
    for (id, kind) in [(1, Some(Kind::EXPIRED)), (2, Some(Kind::EXPIRED)), (3, Some(Kind::ERASED)), (4, None)] {
        let links = fresh.links(&tenant(), &about(id)).await;
        let mut expected: Vec<_> = [Kind::CALL].into_iter().chain(kind).collect();
        expected.sort();
        assert_eq!(kinds(&links), expected.iter().collect::<Vec<_>>(), "{id}");
    }
    assert_eq!(kinds(&fresh.links(&other.tenant, &all()).await), [&Kind::CALL]);

    // A run may have the id of a call, and is another record.
    let (run, ..) = fresh.run(5).await;
    fresh.remove_run(run.id).await;
    assert!(fresh.stores.runs.run(&tenant(), run.id).await.expect("runs can be read").is_none());
    assert!(fresh.call(&tenant(), CallId::from_u128(5)).await.is_some(), "it is no run");
    let told = [&Kind::CALL, &Kind::ERASED, &Kind::RUN, &Kind::STEP, &Kind::STEP];
    assert_eq!(kinds(&fresh.links(&tenant(), &about(5)).await), told);
}

/// Asking on with `before` shows each link that was there from the beginning once, whatever is written meanwhile.
pub async fn pages_neither_repeat_nor_skip(fresh: &Fresh) {
    fresh.commit((1..=10).map(call)).await;
    // Then two links are about one.
    fresh.remove(&tenant(), RemovalCause::Expired, 4..=6).await;
    let (mut newest, mut shown) = (10, Vec::new());
    let mut page = LinkQuery { limit: 3, ..LinkQuery::default() };
    while shown.len() <= 13 {
        let links = fresh.links(&tenant(), &page).await;
        let Some(last) = links.last() else { break };
        page.before = Some(last.place());
        shown.extend(links.iter().map(Link::place));
        newest += 1;
        fresh.commit([call(newest)]).await;
    }
    assert_eq!(shown.len(), 13, "{shown:?}");
    assert!(shown.is_sorted_by(|newer, older| newer > older), "{shown:?}");
}

/// A link that is shown satisfies all filters that are set; one that does is not left out.
pub async fn every_filter_holds(fresh: &Fresh) {
    for id in 1..=4 {
        fresh.commit([call(id)]).await;
        fresh.pass(Duration::from_secs(1));
    }
    fresh.remove(&tenant(), RemovalCause::Erased, [2, 3]).await;
    let links = fresh.links(&tenant(), &all()).await;
    assert_eq!(links.len(), 6);
    let any = all;
    let single = [
        any(),
        LinkQuery { subject: Some(2), ..any() },
        LinkQuery { kind: Some(Kind::CALL), ..any() },
        LinkQuery { kind: Some(Kind::ERASED), ..any() },
        LinkQuery { from: Some(links[2].at), ..any() },
        LinkQuery { to: Some(links[2].at), ..any() },
        LinkQuery { before: Some(links[2].place()), ..any() },
    ];
    for one in &single {
        for other in &single {
            let query = LinkQuery {
                subject: one.subject.or(other.subject),
                kind: one.kind.clone().or(other.kind.clone()),
                from: one.from.or(other.from),
                to: one.to.or(other.to),
                before: one.before.or(other.before),
                limit: 100,
            };
            let expected: Vec<_> = links.iter().filter(|link| query.matches(link)).cloned().collect();
            assert_eq!(fresh.links(&tenant(), &query).await, expected, "{query:?}");
            let first = LinkQuery { limit: 1, ..query };
            assert_eq!(fresh.links(&tenant(), &first).await, expected[..expected.len().min(1)], "{first:?}");
        }
    }
}

/// No query shows a link of another tenant.
pub async fn tenants_are_apart(fresh: &Fresh) {
    let names = ["acme", "acme2", "Acme", ""];
    for name in names {
        fresh.commit([CallRecord { tenant: Tenant::from(name), tool: name.to_owned(), ..call(1) }]).await;
    }
    for name in names {
        let tenant = Tenant::from(name);
        for query in [all(), about(1)] {
            let links = fresh.links(&tenant, &query).await;
            assert_eq!(links.len(), 1, "{name:?}");
            assert_eq!(links[0].tenant.as_ref(), Some(&tenant));
        }
    }
    assert!(fresh.links(&Tenant::from("a"), &all()).await.is_empty());
}

/// Those of all tenants, and of none, chain by chain, in the order in which they were made.
pub async fn a_walk_passes_each_link_once(fresh: &Fresh) {
    let walk = async |after, limit| fresh.stores.audit.walk(after, limit).await.expect("links can be read");
    for id in 1..=10 {
        let tenant = Tenant::from(if id % 2 == 0 { "acme" } else { "another tenant" });
        fresh.commit([CallRecord { tenant, ..call(id) }]).await;
    }
    fresh.remove(&Tenant::from("acme"), RemovalCause::Erased, [2, 4]).await;
    fresh.stores.audit.anchor().await.expect("an anchor is written");
    let all = walk(None, u16::MAX).await;
    let place = |link: &Link| (link.chain, link.sequence);
    assert!(all.is_sorted_by(|one, next| place(one) < place(next)), "{all:?}");
    let subjects = |kind: Kind| all.iter().filter(move |link| link.kind == kind).map(|link| link.subject);
    assert!(subjects(Kind::CALL).eq(1..=10), "{all:?}");
    assert!(subjects(Kind::ERASED).eq([2, 4]), "{all:?}");
    assert_eq!(subjects(Kind::PIN).count(), 0, "the pin is no link of a chain");
    let (mut walked, mut after) = (Vec::new(), None);
    while walked.len() <= all.len() {
        let page = walk(after, 3).await;
        let Some(last) = page.last() else { break };
        after = Some(place(last));
        walked.extend(page);
    }
    assert_eq!(walked, all);
}

/// Also what was committed twice, what was removed, and what is anchored.
pub async fn what_was_written_verifies(fresh: &Fresh) {
    fresh.verified().await;
    fresh.commit((1..=1_200).map(call)).await;
    // The first stays.
    fresh.commit([call(1), CallRecord { outcome: Outcome::Error, ..call(2) }]).await;
    fresh.stores.audit.anchor().await.expect("an anchor is written");
    fresh.remove(&tenant(), RemovalCause::Erased, 100..200).await;
    fresh.remove(&tenant(), RemovalCause::Expired, 300..400).await;
    for _ in 0..3 {
        fresh.stores.audit.anchor().await.expect("an anchor is written");
    }
    let verified = fresh.verified().await;
    assert_eq!((verified.records, verified.removed), (1_000, 200), "{verified:?}");
    assert!(verified.chains >= 1 && verified.links > 1_400, "{verified:?}");

    // Runs, of which one has the id of a call, and an answer.
    for id in [1, 2] {
        fresh.run(id).await;
    }
    fresh.answer(2_000).await;
    assert_eq!(fresh.verified().await.records, 1_007);
    fresh.remove_run(RunId::from_u128(1)).await;
    let verified = fresh.verified().await;
    assert_eq!((verified.records, verified.removed), (1_004, 201), "{verified:?}");
    // Whoever has chosen its id may choose it again.
    fresh.pass(Duration::from_secs(1));
    fresh.run(1).await;
    assert_eq!(fresh.verified().await.records, 1_007);
}

/// The links of records that were removed go by their age, and those of others stay; what is left verifies.
pub async fn what_is_old_and_gone_is_trimmed(fresh: &Fresh) {
    const LONG: Duration = Duration::from_secs(10 * 24 * 60 * 60);
    let trim = async || {
        let before = fresh.clock.now();
        while fresh.stores.audit.trim(before).await.expect("what is old is trimmed") {}
        fresh.verified().await;
    };
    let count = async |id| fresh.links(&tenant(), &about(id)).await.len();
    let (run, ..) = fresh.run(30).await;
    fresh.commit((1..=20).map(call)).await;
    fresh.pass(LONG);
    trim().await;
    assert_eq!((count(1).await, count(20).await), (1, 1), "a record that is there keeps its link");
    assert_eq!(count(30).await, 3, "as does a run");
    fresh.remove(&tenant(), RemovalCause::Expired, 1..=20).await;
    fresh.remove_run(run.id).await;
    fresh.commit([call(21)]).await;
    fresh.stores.audit.anchor().await.expect("an anchor is written");
    trim().await;
    assert_eq!((count(1).await, count(20).await, count(21).await), (1, 1, 1), "that it was removed is new");
    fresh.pass(LONG);
    trim().await;
    assert_eq!((count(1).await, count(20).await, count(21).await, count(30).await), (0, 0, 1, 0));
    fresh.commit([call(22)]).await;
    fresh.stores.audit.anchor().await.expect("an anchor is written");
    assert_eq!(fresh.verified().await.records, 2);
}
