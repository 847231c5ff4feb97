//! How many calls there were, in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::ledger::{CallRecord, Outcome};
use crate::store::stats::{Count, Counted, Stats, StatsQuery};

/// How many calls of a minute ended alike: at most [`MemoryStore::CAPACITY`] of such counts; of more, the oldest are forgotten.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<Key, (u64, Duration)>);

/// The minute, the tenant, the tool, the outcome, and the bucket of the time it took.
type Key = (i64, Tenant, String, Outcome, usize);

impl Counts {
    pub(super) fn add(&mut self, call: &CallRecord) {
        let Count { minute, tool, outcome, bucket, calls, took } = Count::of(call);
        let key = (minute, call.tenant.clone(), tool, outcome, bucket);
        let (counted, time) = self.0.entry(key).or_default();
        *counted += calls;
        *time += took;
        if self.0.len() > MemoryStore::CAPACITY {
            self.0.pop_first();
        }
    }
}

#[async_trait]
impl Stats for MemoryStore {
    async fn calls(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Counted>, StoreError> {
        let calls = lock(&self.calls);
        let wanted = calls.counts.0.iter().filter(|((_, of, ..), _)| tenant.is_none_or(|tenant| tenant == of));
        query.gather(wanted.map(|((minute, _, tool, outcome, bucket), (calls, took))| Count {
            minute: *minute,
            tool: tool.clone(),
            outcome: *outcome,
            bucket: *bucket,
            calls: *calls,
            took: *took,
        }))
    }
}
