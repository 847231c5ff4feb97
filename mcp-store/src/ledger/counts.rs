//! What the writer counts.

use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::measure::{Collector, Sample, SampleKind};

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
        let sample =
            |name, help, kind, value: usize| Sample { name, help, kind, labels: Vec::new(), value: value as f64 };
        let commits = |outcome: &str, count: &AtomicU64| Sample {
            name: "mcp_ledger_commits_total",
            help: "Commits by how they ended: `written`, `failed` where the database did not take them, `rejected` where too much waited or the database was gone, also before the call.",
            kind: SampleKind::Counter,
            labels: vec![("outcome", outcome.to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        };
        let transactions =
            usize::try_from(self.state.counts.transactions.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        vec![
            commits("written", &self.state.counts.written),
            commits("failed", &self.state.counts.failed),
            commits("rejected", &self.state.counts.rejected),
            sample(
                "mcp_ledger_transactions_total",
                "Transactions in which commits were written, many in one; also those that failed.",
                SampleKind::Counter,
                transactions,
            ),
            sample(
                "mcp_ledger_queued_commits",
                "Commits that wait or are being written.",
                SampleKind::Gauge,
                self.state.waiting.load(Ordering::Relaxed),
            ),
            sample(
                "mcp_ledger_queued_bytes",
                "What the entries take that wait or are being written.",
                SampleKind::Gauge,
                self.state.bytes.load(Ordering::Relaxed),
            ),
        ]
    }
}
