//! Traces of the bundled server, sent to whoever collects them (OTLP over HTTP, as JSON). docs/tracing.md says what is in them.

mod exporter;
mod layer;
mod otlp;

use std::time::Duration;

use mcp_core::measure::{Collector, Sample};
use mcp_core::tokio_runtime::TokioClock;
use secrecy::ExposeSecret;
use std::sync::Arc;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};

use crate::config::Config;
pub(crate) use exporter::Counts;
use exporter::Destination;
pub(crate) use exporter::Exporter;
pub(crate) use layer::Traces;

/// Begins to export, where the configuration asks for it.
pub(crate) fn start(config: &Config) -> Option<(Traces, Exporter)> {
    let endpoint = config.otel_exporter_otlp_endpoint.as_ref()?;
    let headers =
        config.otel_exporter_otlp_headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
    let destination = Destination {
        url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
        headers: headers.collect(),
        resource: otlp::resource(&config.otel_service_name, &config.otel_resource_attributes),
    };
    // Without a thread there are no traces; the server can do without them.
    let exporter = Exporter::start(destination).ok()?;
    let layer = Traces::new(exporter.clone(), Arc::new(TokioClock::new()), config.otel_traces_sampler_arg);
    Some((layer, exporter))
}

/// Which spans are in a trace: those that are for it alone, and those of agents and models.
pub(crate) fn filter() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    let is_followed: fn(&Metadata<'_>) -> bool = |metadata| {
        let is_for_traces = metadata.target() == mcp_core::spans::TARGET;
        metadata.is_span() && (is_for_traces || metadata.fields().field("gen_ai.operation.name").is_some())
    };
    filter_fn(is_followed).with_max_level_hint(LevelFilter::INFO)
}

impl Collector for Counts {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn collect(&self) -> Vec<Sample> {
        let (exported, dropped) = self.read();
        let spans = |result: &str, count: u64| {
            let help = "Spans that have ended, by what became of them: `exported`, or `dropped` since nobody took them in time.";
            Sample::counter("mcp_trace_spans_total", help, count as f64).with("result", result)
        };
        vec![spans("exported", exported), spans("dropped", dropped)]
    }
}

/// How long the last spans may take.
const PATIENCE: Duration = Duration::from_secs(2);
