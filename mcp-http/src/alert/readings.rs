//! What rules read.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::alert::board::{Reading, Readings};
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, SampleKind};
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
    /// What a measure is at this moment.
    pub(super) async fn read(&self, measure: &str, stores: &Stores, clock: &dyn Clock) -> Readings {
        let one = |value: f64| vec![Reading { subject: None, value }];
        match measure {
            "error_rate" => {
                let counted = calls(stores, clock).await?;
                let (failed, all) = counted
                    .iter()
                    .fold((0, 0), |(failed, all), counted| (failed + counted.failed, all + counted.durations.count()));
                // Of no calls, none has failed.
                Some(if all == 0 { Vec::new() } else { one(failed as f64 / all as f64) })
            }
            "p99_seconds" => {
                let counted = calls(stores, clock).await?;
                let slow = counted.iter().filter_map(|counted| counted.durations.quantile(0.99)).max();
                Some(slow.map_or_else(Vec::new, |slow| one(slow.as_secs_f64())))
            }
            "dependency_down" => Some(
                self.dependencies
                    .are_down()
                    .map(|(name, is_down)| Reading {
                        subject: Some(name.to_owned()),
                        value: if is_down { 1.0 } else { 0.0 },
                    })
                    .collect(),
            ),
            name => {
                let samples = self.collectors.iter().flat_map(|collector| collector.collect());
                let of_name = samples.filter(|sample| sample.name == name && sample.kind == SampleKind::Gauge);
                let reading = of_name.map(|sample| {
                    let labels: Vec<_> = sample.labels.iter().map(|(_, value)| value.as_str()).collect();
                    Reading { subject: (!labels.is_empty()).then(|| labels.join(",")), value: sample.value }
                });
                Some(reading.collect())
            }
        }
    }
}

/// The calls of the last minutes, counted together.
async fn calls(stores: &Stores, clock: &dyn Clock) -> Option<Vec<Counted>> {
    let now = clock.now();
    let query =
        StatsQuery { from: now.before(MINUTE * WINDOW), to: now.after(MINUTE), minutes: WINDOW + 2, by: By::Nothing };
    // A store that hangs is none.
    match futures_util::future::select(stores.stats.calls(None, &query), clock.sleep(Duration::from_secs(5))).await {
        futures_util::future::Either::Left((counted, _)) => counted.ok(),
        futures_util::future::Either::Right(_) => None,
    }
}
