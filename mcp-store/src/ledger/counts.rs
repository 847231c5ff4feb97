//! What the writer counts.

use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::measure::{Collector, Sample};

use super::QueuedLedger;

/// How commits ended, and what they cost.
#[derive(Default)]
pub(super) struct Counts {
    written: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    transactions: AtomicU64,
}

impl Counts {
    /// Counts a commit that the database has taken, or has not.
    pub(super) fn ended(&self, written: bool) {
        let count = if written { &self.written } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a commit, or a call, for which there was no room.
    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a transaction that was begun.
    pub(super) fn begun(&self) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }
}

impl Collector for QueuedLedger {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn collect(&self) -> Vec<Sample> {
        let commits = |outcome: &str, count: &AtomicU64| {
            let help = "Commits by how they ended: `written`, `failed` where the database did not take them, `rejected` where too much waited or the database was gone, also before the call.";
            let count = count.load(Ordering::Relaxed) as f64;
            Sample::counter("mcp_ledger_commits_total", help, count).with("outcome", outcome)
        };
        vec![
            commits("written", &self.state.counts.written),
            commits("failed", &self.state.counts.failed),
            commits("rejected", &self.state.counts.rejected),
            Sample::counter(
                "mcp_ledger_transactions_total",
                "Transactions in which commits were written, many in one; also those that failed.",
                self.state.counts.transactions.load(Ordering::Relaxed) as f64,
            ),
            Sample::gauge(
                "mcp_ledger_queued_commits",
                "Commits that wait or are being written.",
                self.state.waiting.load(Ordering::Relaxed) as f64,
            ),
            Sample::gauge(
                "mcp_ledger_queued_bytes",
                "What the entries take that wait or are being written.",
                self.state.bytes.load(Ordering::Relaxed) as f64,
            ),
        ]
    }
}
