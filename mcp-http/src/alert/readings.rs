//! What rules read.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::alert::board::{Reading, Readings};
use mcp_core::alert::rule::Rule;
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, Sample, SampleKind};
use mcp_core::store::stats::{By, Counted, MINUTE, StatsQuery};

use crate::health::Dependencies;

/// The calls of the last minutes are what their rate and their times are of.
const WINDOW: u32 = 5;

/// What is counted in this process; what is counted of calls is in the store, for all replicas.
pub(crate) struct Gauges {
    pub(crate) dependencies: Arc<Dependencies>,
    pub(crate) collectors: Vec<Arc<dyn Collector>>,
}

impl Gauges {
    /// What is read for each rule at this moment.
    pub(super) async fn read<'r>(
        &self,
        rules: &'r [Rule],
        stores: &Stores,
        clock: &dyn Clock,
    ) -> Vec<(&'r Rule, Readings)> {
        let is_of_calls = |rule: &Rule| matches!(&*rule.measure, "error_rate" | "p99_seconds");
        let calls = if rules.iter().any(is_of_calls) { calls(stores, clock).await } else { None };
        let samples: Vec<Sample> = self.collectors.iter().flat_map(|collector| collector.collect()).collect();
        rules.iter().map(|rule| (rule, self.of(&rule.measure, calls.as_ref(), &samples))).collect()
    }

    fn of(&self, measure: &str, calls: Option<&Calls>, samples: &[Sample]) -> Readings {
        let one = |value: Option<f64>| value.map(|value| Reading { subject: None, value }).into_iter().collect();
        match measure {
            // Of no calls, none has failed.
            "error_rate" => {
                calls.map(|calls| one(calls.as_ref().map(|calls| calls.failed as f64 / calls.durations.count() as f64)))
            }
            "p99_seconds" => calls.map(|calls| {
                let slow = calls.as_ref().and_then(|calls| calls.durations.quantile(0.99));
                one(slow.map(|slow| slow.as_secs_f64()))
            }),
            "dependency_down" => {
                let reading = |(name, is_down): (&str, bool)| Reading {
                    subject: Some(name.to_owned()),
                    value: if is_down { 1.0 } else { 0.0 },
                };
                Some(self.dependencies.are_down().map(reading).collect())
            }
            name => {
                let of_name = samples.iter().filter(|sample| sample.name == name && sample.kind == SampleKind::Gauge);
                let reading = of_name.map(|sample| {
                    let labels: Vec<_> = sample.labels.iter().map(|(_, value)| value.as_str()).collect();
                    Reading { subject: (!labels.is_empty()).then(|| labels.join(",")), value: sample.value }
                });
                Some(reading.collect())
            }
        }
    }
}

/// Calls that were counted together; nothing, where there were none.
type Calls = Option<Counted>;

/// The calls of the last minutes, counted together.
async fn calls(stores: &Stores, clock: &dyn Clock) -> Option<Calls> {
    let now = clock.now();
    let query =
        StatsQuery { from: now.before(MINUTE * WINDOW), to: now.after(MINUTE), minutes: WINDOW + 2, by: By::Nothing };
    // A store that hangs is none.
    match futures_util::future::select(stores.stats.calls(None, &query), clock.sleep(Duration::from_secs(5))).await {
        futures_util::future::Either::Left((counted, _)) => counted.ok().map(|counted| counted.into_iter().next()),
        futures_util::future::Either::Right(_) => None,
    }
}
