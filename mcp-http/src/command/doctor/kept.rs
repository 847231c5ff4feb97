//! What the database says: its user and its time, and what was recorded in it.

use std::time::Duration;

use mcp_core::caller::Tenant;
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallRecord, Outcome};
use mcp_core::tokio_runtime::TokioClock;
use mcp_store::DatabaseUser;
use serde_json::Value;

use super::{Finding, Looked};
use crate::bundled::HOUSE;
use crate::command::audit;
use crate::config::BACKUP_AGE;

/// How far the clocks of the server and of the database may be apart.
const APART: Duration = Duration::from_secs(2);

/// How long all that was recorded is looked through.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn user(looked: &Looked) -> Finding {
    if looked.config.data_folder().is_some() {
        return of_user(None);
    }
    match mcp_store::database_user(&looked.store).await {
        Ok(user) => of_user(user),
        Err(_) => unread(),
    }
}

fn unread() -> Finding {
    Finding::CannotApply("the database cannot be read: its own check, or that of the secret keys, says why".to_owned())
}

fn of_user(user: Option<DatabaseUser>) -> Finding {
    match user {
        None => Finding::CannotApply("SQLite has no users: who may read the file may read it all".to_owned()),
        Some(DatabaseUser { name, is_superuser: true, .. }) => Finding::Failed(format!(
            "{name:?} may do anything in the database, or make others who may: serve as the role mcp_server of deploy/sql/bootstrap.sql"
        )),
        Some(DatabaseUser { name, makes_tables: true, .. }) => Finding::Warning(format!(
            "{name:?} may make tables, which who serves does not need: deploy/sql/bootstrap.sql has a role for that, and one for this"
        )),
        Some(DatabaseUser { name, .. }) => Finding::Ok(format!("{name:?} reads and writes rows, and no more")),
    }
}

pub(super) async fn clock(looked: &Looked) -> Finding {
    if looked.config.data_folder().is_some() {
        return Finding::CannotApply("SQLite has the clock of this machine".to_owned());
    }
    let clock = TokioClock::new();
    let before = clock.now();
    let theirs = mcp_store::database_time(&looked.store).await;
    let after = clock.now();
    match theirs {
        Ok(Some(theirs)) => of_clock((before, after), theirs),
        Ok(None) | Err(_) => unread(),
    }
}

/// What it is worth that the database said `theirs` between two moments of ours.
fn of_clock((before, after): (Timestamp, Timestamp), theirs: Timestamp) -> Finding {
    let apart = theirs.until(before).max(after.until(theirs));
    if apart > APART {
        return Finding::Failed(format!(
            "this machine and the database are {:.1} s apart: let NTP set the clocks of both (UDP 123 must get out)",
            apart.as_secs_f64()
        ));
    }
    Finding::Ok("this machine and the database agree on the time".to_owned())
}

/// The last time that something was done, and went well; or why nobody knows.
async fn last(looked: &Looked, what: &str) -> Result<Option<CallRecord>, Finding> {
    if super::is_new(looked).await {
        return Ok(None);
    }
    let recorded = mcp_store::recorded(&looked.store).await.map_err(|_| unread())?;
    let query = CallQuery { outcome: Some(Outcome::Ok), limit: 1, ..CallQuery::of_act(what) };
    let calls = recorded.history.calls(&Tenant::from(HOUSE), &query).await.map_err(|_| unread())?;
    Ok(calls.into_iter().next())
}

pub(super) async fn backup(looked: &Looked) -> Finding {
    match last(looked, "backup").await {
        Ok(backup) => match of_backup(backup.map(|backup| backup.at.until(TokioClock::new().now()))) {
            Ok(said) => Finding::Ok(said),
            Err(said) => Finding::amiss(&looked.config, said),
        },
        Err(finding) => finding,
    }
}

/// What it is worth that the newest backup is so old, if there is one.
fn of_backup(age: Option<Duration>) -> Result<String, String> {
    let Some(age) = age else {
        return Err(
            "no backup is recorded: run `mcp-http backup FOLDER --verify` each night, by a timer (deploy/ has them)"
                .to_owned(),
        );
    };
    let said = format!("the newest backup is {} hours old", age.as_secs() / 3_600);
    if age > BACKUP_AGE { Err(format!("{said}: see why the timer makes none")) } else { Ok(said) }
}

pub(super) async fn load_test(looked: &Looked) -> Finding {
    match last(looked, "load").await {
        Ok(Some(load)) => match of_load(&serde_json::from_slice(&load.arguments).unwrap_or_default()) {
            Ok(said) => Finding::Ok(format!("{said}, on {}", load.at)),
            Err(said) => Finding::amiss(&looked.config, format!("{said}, on {}", load.at)),
        },
        Ok(None) => Finding::amiss(
            &looked.config,
            "no load test of this server is recorded: run `mcp-http load --for 30s --report load.html` beside it",
        ),
        Err(finding) => finding,
    }
}

/// What `load` recorded, and whether it is within what the server promises.
fn of_load(load: &Value) -> Result<String, String> {
    let Some(errors) = load["error_rate"].as_f64() else { return Err("the last load test gave no figures".to_owned()) };
    // Where nothing went well, there are no times.
    let p99 = load["p99_ms"].as_f64();
    let time = p99.map_or("–".to_owned(), |p99| format!("{p99:.1} ms"));
    let said = format!("at {} a second p99 was {time}, and {:.2} % failed", load["rate"], errors * 100.0);
    if p99.is_some_and(|p99| p99 <= 100.0) && errors <= 0.001 {
        Ok(said)
    } else {
        Err(format!("{said}, which is more than 100 ms or 0.1 %: its report shows when"))
    }
}

pub(super) async fn audit(looked: &Looked) -> Finding {
    if super::is_new(looked).await {
        return Finding::CannotApply("nothing is recorded yet".to_owned());
    }
    match tokio::time::timeout(PATIENCE, audit::verified(&looked.config)).await {
        Err(_) => Finding::CannotApply(format!(
            "there is more than can be proved in {} seconds: `mcp-http audit verify` takes its time",
            PATIENCE.as_secs()
        )),
        Ok(Err(failure)) => Finding::CannotApply(failure.message().to_owned()),
        Ok(Ok(verified)) if verified.is_whole() => {
            Finding::Ok(format!("{} records are as they were written", verified.records))
        }
        Ok(Ok(verified)) => Finding::Failed(format!(
            "{} findings: what is recorded is not what was written; `mcp-http audit verify` names them",
            verified.findings.len() as u64 + verified.more
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clocks_that_are_apart_are_found() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for (theirs, expected) in [(10, "ok"), (11, "ok"), (13, "ok"), (14, "failed"), (7, "failed"), (8, "ok")] {
            assert_eq!(of_clock((at(10), at(11)), at(theirs)).as_str(), expected, "{theirs}");
        }
        assert!(of_clock((at(10), at(11)), at(71)).text().contains("60.0 s apart"));
    }

    #[test]
    fn a_backup_that_is_missing_or_too_old_is_found() {
        assert_eq!(of_backup(Some(BACKUP_AGE)), Ok("the newest backup is 26 hours old".to_owned()));
        assert!(of_backup(Some(BACKUP_AGE + Duration::from_secs(1))).unwrap_err().contains("timer"));
        assert!(of_backup(None).unwrap_err().contains("mcp-http backup"));
    }

    #[test]
    fn a_load_test_that_broke_a_promise_is_found() {
        let of = |p99: f64, errors: f64| of_load(&json!({"rate": 100.0, "p99_ms": p99, "error_rate": errors}));
        assert!(of(99.0, 0.001).is_ok());
        assert!(of(101.0, 0.0).unwrap_err().contains("101.0 ms"));
        assert!(of(9.0, 0.01).unwrap_err().contains("1.00 %"));
        assert!(of_load(&json!({"rate": 1.0, "error_rate": 1.0})).unwrap_err().contains("p99 was –"));
        assert!(of_load(&Value::Null).is_err());
    }
}
