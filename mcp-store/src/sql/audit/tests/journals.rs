//! Runs, their steps, and the keys of calls: whatever is done to their rows is found.

use std::time::Duration;

use mcp_core::store::idempotency::{CallKey, Claim, Idempotency};
use mcp_core::store::ledger::Answer;
use mcp_core::store::replicas::ReplicaId;
use mcp_core::store::runs::{Ending, NewRun, RunId, RunRecord, Runs, Step, StepKind};

use super::*;
use crate::sql::idempotency::SqlIdempotency;
use crate::sql::runs::SqlRuns;

const ANOTHER: &str = "x'000000000000000000000000000000aa'";

/// How each column is altered, and what is found then.
const RUN_COLUMNS: [(&str, &str, &str); 17] = [
    ("tenant", "tenant || 'x'", "missing"),
    ("id", ANOTHER, "missing"),
    ("format", "format + 1", "altered"),
    ("principal", "principal || 'x'", "altered"),
    ("kind", "kind || 'x'", "altered"),
    ("parent", "CASE WHEN parent IS NULL THEN x'000000000000000000000000000000aa' END", "altered"),
    ("arguments", "x'7b20207d'", "altered"),
    ("at", "at + 1", "altered"),
    ("state", "CASE state WHEN 'failed' THEN 'completed' ELSE 'failed' END", "altered"),
    ("epoch", "epoch + 1", "altered"),
    ("attempts", "attempts + 1", "altered"),
    ("position", "position + 1", "altered"),
    ("due", "1", "altered"),
    ("ended", "ended + 1", "altered"),
    ("ended", "NULL", "missing"),
    ("result", "x'7b20207d'", "altered"),
    ("blob", "'00000000000000000000000000000001'", "altered"),
];

const STEP_COLUMNS: [(&str, &str, &str); 9] = [
    ("tenant", "tenant || 'x'", "missing"),
    ("run", ANOTHER, "missing"),
    ("number", "number + 100", "missing"),
    ("epoch", "epoch + 1", "altered"),
    ("kind", "CASE kind WHEN 'done' THEN 'failed' ELSE 'done' END", "altered"),
    ("key", "key || 'x'", "altered"),
    ("body", "x'7b20207d'", "altered"),
    ("at", "at + 1", "altered"),
    ("blob", "'00000000000000000000000000000001'", "altered"),
];

const CLAIM_COLUMNS: [(&str, &str, &str); 7] = [
    ("tenant", "tenant || 'x'", "unlinked"),
    ("principal", "principal || 'x'", "altered"),
    ("tool", "tool || 'x'", "altered"),
    ("key", "key || 'x'", "altered"),
    ("digest", "x'7b20207d'", "altered"),
    ("owner", ANOTHER, "unlinked"),
    ("answered", "NOT answered", "altered"),
];

impl House {
    /// A run with so many steps, which ends.
    async fn ended(&self, tenant: &str, id: u128, steps: u32) -> RunRecord {
        let run = self.held(tenant, id, steps).await;
        let ending = if id.is_multiple_of(2) { Ending::Completed } else { Ending::Failed };
        let turn = run.end(ending, "7".into(), run.at);
        self.commit(0, Entry::Turn { hold: run.hold(), turn }).await;
        run
    }

    /// A run with so many steps, which is under way.
    async fn held(&self, tenant: &str, id: u128, steps: u32) -> RunRecord {
        let runs = SqlRuns::new(self.database.clone(), Arc::new(self.clock.clone()), LargeBytes::default());
        let (kind, at) = (format!("\0work {id}"), mcp_core::clock::Clock::now(&self.clock));
        let run = NewRun {
            id: RunId::from_u128(id),
            tenant: tenant.into(),
            principal: "p\u{1}".into(),
            kind: kind.clone(),
            parent: id.is_multiple_of(2).then(|| RunId::from_u128(1)),
            arguments: "{}".into(),
            at,
        };
        runs.create(&run).await.unwrap();
        let claimed = runs.claim(&kind, 1, Duration::from_secs(60)).await.unwrap();
        let run = claimed.runs.into_iter().next().unwrap();
        for number in 0..steps {
            let step = Step { number, kind: StepKind::Noted, key: "\0k".to_owned(), body: "{}".into(), at };
            self.commit(0, Entry::Step { hold: run.hold(), step }).await;
        }
        run
    }

    /// A call that is answered under a key, if it is.
    async fn keyed(&self, tenant: &str, id: u128, is_answered: bool) {
        let idempotency = SqlIdempotency::new(self.database.clone(), Arc::new(self.clock.clone()), 9);
        let Entry::Call(call) = call(tenant, id) else { unreachable!("it is a call") };
        let (principal, key) = (call.principal.clone(), format!("\0k{id}"));
        let key = CallKey { tenant: tenant.into(), principal, tool: "\0t".to_owned(), key };
        let claim = Claim { owner: call.id, replica: ReplicaId::from_u64(1), digest: [1; 32] };
        idempotency.claim(&key, &claim).await.unwrap();
        if is_answered {
            let answer = Answer { key, arguments: claim.digest, call: call.id };
            self.ledgers[0].commit(vec![Entry::Call(call), Entry::Answer(answer)]).await.unwrap();
        }
    }

    async fn remove_run(&self, tenant: &str, id: u128) {
        let (tenant, runs) = (tenant.into(), vec![RunId::from_u128(id)]);
        let removal = Removal { tenant, cause: RemovalCause::Erased, calls: Vec::new(), runs };
        self.commit(1, Entry::Removal(removal)).await;
    }

    /// Some of everything. What is altered on SQLite is altered as if nothing there held it together.
    async fn journal(&self) {
        self.ended("a", 1, 2).await;
        self.ended("b\0", 2, 0).await;
        self.held("a", 3, 1).await;
        self.ended("a", 4, 2).await;
        for (id, is_answered) in [(1, true), (12, true), (13, false)] {
            self.keyed("a", id, is_answered).await;
        }
        self.remove_run("a", 4).await;
        self.audit.anchor().await.unwrap();
        let verified = self.assert_whole().await;
        assert_eq!((verified.records, verified.removed), (2 + 3 + 2, 1));
    }

    async fn unbound(&self) {
        self.run("PRAGMA foreign_keys = OFF").await;
        for table in ["mcp_runs", "mcp_steps", "mcp_claims"] {
            self.run(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
        }
    }

    async fn put_back(&self, table: &str) {
        self.run(&format!("DELETE FROM {table}")).await;
        self.run(&format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
    }
}

#[tokio::test]
async fn every_column_of_runs_steps_and_answered_keys_is_covered() {
    let house = House::on_sqlite().await;
    house.journal().await;
    house.unbound().await;
    for (table, id, which, columns) in [
        ("mcp_runs", "id", "ended IS NOT NULL", &RUN_COLUMNS[..]),
        ("mcp_steps", "run", "0 = 0", &STEP_COLUMNS),
        ("mcp_claims", "owner", "answered", &CLAIM_COLUMNS),
    ] {
        let rows = house.rows(&format!("SELECT rowid AS r, {id} AS id FROM {table} WHERE {which}")).await;
        assert!(rows.len() >= 2, "{table}");
        for row in rows {
            let (r, bytes): (i64, Vec<u8>) = (row.try_get("", "r").unwrap(), row.try_get("", "id").unwrap());
            let of = u128::from_be_bytes(bytes.try_into().unwrap());
            for (column, value, how) in columns {
                house.run(&format!("UPDATE {table} SET {column} = {value} WHERE rowid = {r}")).await;
                let verified = house.verify().await;
                let of = if *column == "owner" { 0xaa } else { of };
                assert!(tells(&verified, how, of), "{column} of {table} {of}: {verified:?}");
                house.put_back(table).await;
            }
        }
        house.assert_whole().await;
    }
}

#[tokio::test]
async fn rows_of_journals_that_are_taken_away_or_added_are_found() {
    let house = House::on_sqlite().await;
    house.journal().await;
    house.unbound().await;
    let id = |id: u128| format!("x'{id:032x}'");
    let run = |state: &str, ended: &str| {
        format!(
            "INSERT INTO mcp_runs SELECT tenant, {}, format, principal, kind, parent, arguments, at, '{state}', epoch, \
             attempts, position, inputs, due, {ended}, result, blob FROM mcp_runs WHERE id = {} LIMIT 1",
            id(9),
            id(1)
        )
    };
    let step = |run: u128, number: u32| {
        format!(
            "INSERT INTO mcp_steps SELECT tenant, {}, {number}, epoch, kind, key, body, at, blob FROM mcp_steps LIMIT 1",
            id(run)
        )
    };
    for (table, sql, how, of) in [
        ("mcp_runs", format!("DELETE FROM mcp_runs WHERE id = {}", id(1)), "missing", 1),
        ("mcp_steps", format!("DELETE FROM mcp_steps WHERE run = {} AND number = 1", id(1)), "missing", 1),
        ("mcp_steps", format!("DELETE FROM mcp_steps WHERE run = {}", id(3)), "missing", 3),
        ("mcp_runs", run("completed", "7"), "unlinked", 9),
        ("mcp_steps", step(1, 7), "unlinked", 1),
        ("mcp_steps", step(3, 7), "unlinked", 3),
        // Of one that was removed.
        ("mcp_runs", run("completed", "7").replace(&id(9), &id(4)), "back", 4),
        ("mcp_steps", step(4, 0), "back", 4),
        ("mcp_claims", format!("UPDATE mcp_claims SET answered = TRUE WHERE owner = {}", id(13)), "unlinked", 13),
    ] {
        house.run(&sql).await;
        let verified = house.verify().await;
        assert!(tells(&verified, how, of), "{sql}: {verified:?}");
        house.put_back(table).await;
        house.assert_whole().await;
    }
    // What has not ended is no record yet, and a key may be forgotten.
    house.run(&run("waiting", "NULL")).await;
    house.run("DELETE FROM mcp_claims").await;
    house.assert_whole().await;
}

#[tokio::test]
async fn journals_on_postgres_as_well() {
    let house = House::on_postgres().await;
    house.journal().await;
    let id = |id: u128| format!("'{}'", CallId::from_u128(id));
    for (change, back, how, of) in [
        (
            format!("UPDATE mcp_steps SET body = 'x' WHERE run = {}", id(1)),
            format!("UPDATE mcp_steps SET body = '{{}}' WHERE run = {}", id(1)),
            "altered",
            1,
        ),
        (
            format!("UPDATE mcp_steps SET number = number + 7 WHERE run = {}", id(3)),
            format!("UPDATE mcp_steps SET number = number - 7 WHERE run = {}", id(3)),
            "missing",
            3,
        ),
        (
            format!("UPDATE mcp_runs SET principal = 'x' WHERE id = {}", id(2)),
            format!("UPDATE mcp_runs SET principal = E'p\\x011' WHERE id = {}", id(2)),
            "altered",
            2,
        ),
        (
            format!("UPDATE mcp_claims SET owner = {} WHERE owner = {}", id(0xaa), id(1)),
            format!("UPDATE mcp_claims SET owner = {} WHERE owner = {}", id(1), id(0xaa)),
            "unlinked",
            0xaa,
        ),
        (
            format!("UPDATE mcp_claims SET owner = {} WHERE owner = {}", id(12), id(1)),
            format!("UPDATE mcp_claims SET owner = {} WHERE owner = {} AND key LIKE '%k1'", id(1), id(12)),
            "altered",
            12,
        ),
    ] {
        house.run(&change).await;
        let verified = house.verify().await;
        assert!(tells(&verified, how, of), "{change}: {verified:?}");
        house.run(&back).await;
        house.assert_whole().await;
    }
    // Whoever has chosen the id of a run that was removed may choose it again.
    house.clock.advance(Duration::from_secs(1));
    house.held("a", 4, 1).await;
    house.assert_whole().await;
    house.remove_run("a", 4).await;
    house.clock.advance(Duration::from_secs(1));
    house.ended("a", 4, 3).await;
    house.assert_whole().await;
    house.run(&format!("UPDATE mcp_runs SET result = 'x' WHERE id = {}", id(4))).await;
    assert!(tells(&house.verify().await, "altered", 4));
}
