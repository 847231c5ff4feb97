//! One flat JSON object a line. docs/logging.md lists its fields.

use std::fmt;
use std::io::Write;

use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use serde::Serializer;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Writes each event with its own fields and those of the spans that it is in. Where a name is there more than once, the innermost
/// is written.
pub(super) struct JsonLines<W> {
    writer: W,
    clock: TokioClock,
}

impl<W> JsonLines<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, clock: TokioClock::new() }
    }
}

/// The fields of a span or an event, in the order in which they came; each name is there once.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.0.push((name, value.into())),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        self.set(field.name(), causes.fold(error.to_string(), |chain, cause| format!("{chain}: {cause}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }
}

impl<W, S> Layer<S> for JsonLines<W>
where
    W: for<'w> MakeWriter<'w> + 'static,
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.0.iter().position(|(name, _)| *name == "message").map(|place| own.0.remove(place).1);
        let mut line = vec![
            ("timestamp", self.clock.now().to_string().into()),
            ("level", metadata.level().as_str().into()),
            ("target", metadata.target().into()),
            ("message", message.unwrap_or_else(|| "".into())),
        ];
        add(&mut line, own);
        let mut span = context.event_span(event);
        while let Some(inner) = span {
            if let Some(Fields(fields)) = inner.extensions().get::<Fields>() {
                add(&mut line, Fields(fields.clone()));
            }
            span = inner.parent();
        }
        let mut text = Vec::with_capacity(512);
        let written = serde_json::Serializer::new(&mut text).collect_map(line);
        text.push(b'\n');
        if written.is_ok() {
            // There is nobody to tell that the log cannot be written.
            let _ = self.writer.make_writer_for(metadata).write_all(&text);
        }
    }
}

/// Adds what the line does not have yet.
fn add(line: &mut Vec<(&'static str, Value)>, fields: Fields) {
    for (name, value) in fields.0 {
        if line.iter().all(|(known, _)| *known != name) {
            line.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the lines say, without their times.
    fn lines(act: impl FnOnce()) -> Vec<Value> {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().parse::<mcp_core::clock::Timestamp>().is_ok(), "{time}");
            line
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn a_line_has_its_own_fields_and_those_of_its_spans_each_once() {
        let lines = lines(|| {
            let empty = tracing::field::Empty;
            let outer = tracing::info_span!("outer", request_id = "r", tool = empty, call = "outer", left_out = empty);
            let _outer = outer.enter();
            let inner = tracing::info_span!("inner", call = "inner", n = 1).entered();
            outer.record("tool", "first");
            outer.record("tool", "second");
            tracing::warn!(level = "mine", n = 2, f = 0.5, yes = true, quoted = ?"a\n\"b\"", "two\nlines {}", 7);
            drop(inner);
            let cause: std::num::ParseIntError = "x".parse::<i32>().unwrap_err();
            let error = mcp_core::store::StoreError::Unavailable { store: "ledger", source: Some(Arc::new(cause)) };
            tracing::info!(target: "elsewhere", i = -1, error = &error as &dyn std::error::Error);
        });
        let module = module_path!();
        assert_eq!(
            lines,
            [
                json!({
                    "level": "WARN", "target": module, "message": "two\nlines 7", "n": 2, "f": 0.5, "yes": true,
                    "quoted": "\"a\\n\\\"b\\\"\"", "call": "inner", "request_id": "r", "tool": "second",
                }),
                json!({
                    "level": "INFO", "target": "elsewhere", "message": "", "i": -1, "error": "the ledger is unavailable: invalid digit found in string", "request_id": "r",
                    "tool": "second", "call": "outer",
                }),
            ]
        );
    }
}
