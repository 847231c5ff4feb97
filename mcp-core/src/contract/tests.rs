//! The suites are tested as well: each promise has a case, and each case fails on a store that breaks its promise.

mod broken_api_keys;
mod broken_audit;
mod broken_blobs;
mod broken_cache;
mod broken_events;
mod broken_files;
mod broken_idempotency;
mod broken_leases;
mod broken_ledger;
mod broken_limits;
mod broken_notes;
mod broken_principals;
mod broken_records;
mod broken_replicas;
mod broken_runs;
mod broken_sessions;
mod broken_settings;
mod broken_stats;
mod broken_threads;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Whether a case notices what is wrong.
async fn fails(case: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(case).catch_unwind().await.is_err()
}

/// One test per promise: its case fails on a store with each of these flaws.
macro_rules! each_case_fails {
    ($suite:ident, $make:path, $($case:ident: [$($flaw:expr),+ $(,)?],)+) => {$(
        #[tokio::test]
        async fn $case() {
            for flaw in [$($flaw),+] {
                let noticed = $crate::contract::tests::fails($crate::contract::$suite::$case(&$make(flaw))).await;
                assert!(noticed, "{flaw:?} is not noticed");
            }
        }
    )+};
}
use each_case_fails;

#[test]
fn every_promise_has_its_case() {
    let suites = [
        (include_str!("../store/ledger.rs"), include_str!("ledger.rs"), include_str!("tests/broken_ledger.rs")),
        (include_str!("../store/history.rs"), include_str!("history.rs"), include_str!("tests/broken_ledger.rs")),
        (include_str!("../store/stats.rs"), include_str!("stats.rs"), include_str!("tests/broken_stats.rs")),
        (include_str!("../store/audit.rs"), include_str!("audit.rs"), include_str!("tests/broken_audit.rs")),
        (
            include_str!("../store/idempotency.rs"),
            include_str!("idempotency.rs"),
            include_str!("tests/broken_idempotency.rs"),
        ),
        (include_str!("../store/notes.rs"), include_str!("notes.rs"), include_str!("tests/broken_notes.rs")),
        (include_str!("../store/threads.rs"), include_str!("threads.rs"), include_str!("tests/broken_threads.rs")),
        (
            include_str!("../store/principals.rs"),
            include_str!("principals.rs"),
            include_str!("tests/broken_principals.rs"),
        ),
        (include_str!("../store/api_keys.rs"), include_str!("api_keys.rs"), include_str!("tests/broken_api_keys.rs")),
        (include_str!("../store/records.rs"), include_str!("records.rs"), include_str!("tests/broken_records.rs")),
        (include_str!("../store/cache.rs"), include_str!("cache.rs"), include_str!("tests/broken_cache.rs")),
        (include_str!("../store/events.rs"), include_str!("events.rs"), include_str!("tests/broken_events.rs")),
        (include_str!("../store/leases.rs"), include_str!("leases.rs"), include_str!("tests/broken_leases.rs")),
        (include_str!("../store/replicas.rs"), include_str!("replicas.rs"), include_str!("tests/broken_replicas.rs")),
        (include_str!("../store/settings.rs"), include_str!("settings.rs"), include_str!("tests/broken_settings.rs")),
        (include_str!("../store/limits.rs"), include_str!("limits.rs"), include_str!("tests/broken_limits.rs")),
        (include_str!("../store/sessions.rs"), include_str!("sessions.rs"), include_str!("tests/broken_sessions.rs")),
        (include_str!("../store/runs.rs"), include_str!("runs.rs"), include_str!("tests/broken_runs.rs")),
        (include_str!("../store/blobs.rs"), include_str!("blobs.rs"), include_str!("tests/broken_blobs.rs")),
        (include_str!("../store/files.rs"), include_str!("files.rs"), include_str!("tests/broken_files.rs")),
    ];
    for (seam, suite, broken) in suites {
        let promises: Vec<String> = seam
            .lines()
            .filter_map(|line| line.strip_prefix("/// - **")?.split_once("**"))
            .map(|(promise, _)| promise.replace(' ', "_"))
            .collect();
        let cases = suite.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('('));
        assert_eq!(promises, cases.map(|(case, _)| case).collect::<Vec<_>>());
        for promise in promises {
            assert!(suite.contains(&format!("            {promise},\n")), "{promise} is not in the suite's macro");
            assert!(broken.contains(&format!("    {promise}: [")), "{promise} has no broken store");
        }
    }
}
