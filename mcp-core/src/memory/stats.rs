//! How many calls there were, in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::caller::Tenant;
use crate::model::price::Money;
use crate::store::StoreError;
use crate::store::ledger::{CallRecord, Outcome};
use crate::store::stats::{Count, Counted, ModelUse, Stats, StatsQuery, Taken, begin, minute};

/// How many calls of a minute ended alike: at most [`MemoryStore::CAPACITY`] of such counts; of more, the oldest are forgotten.
#[derive(Default)]
pub(super) struct Counts {
    calls: BTreeMap<Key, (u64, Duration)>,
    /// What models took: as many at the most.
    models: BTreeMap<ModelKey, (u64, Money)>,
}

/// The minute, the tenant, the agent, and the model.
type ModelKey = (i64, Tenant, String, String);

/// The minute, the tenant, the tool, the outcome, and the bucket of the time it took.
type Key = (i64, Tenant, String, Outcome, usize);

impl Counts {
    pub(super) fn add(&mut self, call: &CallRecord) {
        let Count { minute, tool, outcome, bucket, calls, took } = Count::of(call);
        let key = (minute, call.tenant.clone(), tool, outcome, bucket);
        let (counted, time) = self.calls.entry(key).or_default();
        *counted += calls;
        *time += took;
        if self.calls.len() > MemoryStore::CAPACITY {
            self.calls.pop_first();
        }
    }

    pub(super) fn add_use(&mut self, tenant: Tenant, used: ModelUse) {
        let (tokens, cost) = self.models.entry((minute(used.at), tenant, used.agent, used.model)).or_default();
        (*tokens, *cost) = (tokens.saturating_add(used.tokens), cost.plus(used.cost));
        if self.models.len() > MemoryStore::CAPACITY {
            self.models.pop_first();
        }
    }
}

#[async_trait]
impl Stats for MemoryStore {
    async fn calls(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Counted>, StoreError> {
        let calls = lock(&self.calls);
        let wanted = calls.counts.calls.iter().filter(|((_, of, ..), _)| tenant.is_none_or(|tenant| tenant == of));
        query.gather(wanted.map(|((minute, _, tool, outcome, bucket), (calls, took))| Count {
            minute: *minute,
            tool: tool.clone(),
            outcome: *outcome,
            bucket: *bucket,
            calls: *calls,
            took: *took,
        }))
    }

    async fn models(&self, tenant: Option<&Tenant>, query: &StatsQuery) -> Result<Vec<Taken>, StoreError> {
        let calls = lock(&self.calls);
        let wanted = calls.counts.models.iter().filter(|((_, of, ..), _)| tenant.is_none_or(|tenant| tenant == of));
        query.gather_taken(wanted.map(|((minute, _, agent, model), (tokens, cost))| ModelUse {
            agent: agent.clone(),
            model: model.clone(),
            tokens: *tokens,
            cost: *cost,
            at: begin(*minute),
        }))
    }
}
