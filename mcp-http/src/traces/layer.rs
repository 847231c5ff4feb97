//! From spans of `tracing` to those of a trace: where each belongs, what it is called, how long it took.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::{Clock, Timestamp};
use serde_json::Value;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::exporter::Exporter;
use crate::telemetry::correlation::TraceParent;

/// Follows spans, and gives those that have ended to the exporter.
pub(crate) struct Traces {
    exporter: Exporter,
    clock: Arc<dyn Clock>,
    /// Which part of the traces that begin here is kept, from 0 to 1.
    kept: f64,
}

impl Traces {
    pub(super) fn new(exporter: Exporter, clock: Arc<dyn Clock>, kept: f64) -> Self {
        Self { exporter, clock, kept }
    }

    /// Begins a trace, which has this id if it has one already.
    fn root(&self, trace: Option<u128>) -> Place {
        let trace = trace.unwrap_or_else(|| u128::from_be_bytes(random()));
        // By the half of the id that is random in any case, so that whoever else keeps a part keeps the same.
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "it is a part of all")]
        let drawn = (trace as u64) as f64 / u64::MAX as f64;
        Place { trace, span: new_span(), is_kept: drawn < self.kept || self.kept >= 1.0 }
    }
}

/// Where a span stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) trace: u128,
    pub(super) span: u64,
    is_kept: bool,
}

/// A span, and later what is known of it at its end.
pub(super) struct Ended {
    pub(super) place: Place,
    pub(super) parent: Option<u64>,
    /// Where it was begun, if that is not where it belongs.
    pub(super) link: Option<Place>,
    pub(super) word: &'static str,
    pub(super) began: Timestamp,
    started: Duration,
    pub(super) took: Duration,
    pub(super) fields: Fields,
}

/// What is told of a span.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    trace_id: Option<String>,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

impl Fields {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.as_str())
    }

    fn set(&mut self, field: &Field, value: Value) {
        let place = match field.name() {
            "otel.name" => &mut self.name,
            "otel.kind" => &mut self.kind,
            "traceparent" => &mut self.traceparent,
            "tracestate" => &mut self.tracestate,
            "trace_id" => &mut self.trace_id,
            name => {
                match self.attributes.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => self.attributes.push((name, value)),
                }
                return;
            }
        };
        *place = value.as_str().map(str::to_owned);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let around = span.parent().and_then(|parent| parent.extensions().get::<Ended>().map(|around| around.place));
        let far = fields.traceparent.as_deref().and_then(TraceParent::parse);
        let (place, parent, link) = match (far, around) {
            (Some(far), around) => {
                (Place { trace: far.trace, span: new_span(), is_kept: far.is_sampled }, Some(far.parent), around)
            }
            (None, Some(around)) => (Place { span: new_span(), ..around }, Some(around.span), None),
            (None, None) => {
                let trace = fields.trace_id.as_deref().and_then(|id| u128::from_str_radix(id, 16).ok());
                (self.root(trace), None, None)
            }
        };
        let (began, started) = (self.clock.now(), self.clock.monotonic());
        let word = attributes.metadata().name();
        span.extensions_mut().insert(Ended { place, parent, link, word, began, started, took: Duration::ZERO, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(ended) = span.extensions_mut().get_mut::<Ended>() {
            values.record(&mut ended.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let ended = span.extensions_mut().remove::<Ended>();
        if let Some(mut ended) = ended.filter(|ended| ended.place.is_kept) {
            ended.took = self.clock.monotonic().saturating_sub(ended.started);
            self.exporter.push(ended);
        }
    }
}

/// An id that no other span has; zero would be none.
fn new_span() -> u64 {
    u64::from_be_bytes(random()).max(1)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness ids are alike, and the traces are of no use; nothing else is lost.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

#[cfg(test)]
impl Ended {
    /// One that says nothing.
    pub(super) fn test() -> Self {
        Self {
            place: Place { trace: 1, span: 1, is_kept: true },
            parent: None,
            link: None,
            word: "test",
            began: Timestamp::default(),
            started: Duration::ZERO,
            took: Duration::ZERO,
            fields: Fields::default(),
        }
    }
}
