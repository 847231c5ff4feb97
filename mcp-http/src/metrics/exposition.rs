//! The text format of Prometheus, version 0.0.4.

use std::fmt::{self, Display, Write};

use mcp_core::measure::Distribution;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text in the making.
#[derive(Default)]
pub(super) struct Exposition(String);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family; its samples follow at once.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = Escaped { text: help, quotes: false };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.line(format_args!("{name}{} {value}", Braces(labels)));
    }

    /// The samples of one distribution.
    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, times: &Distribution) {
        let count = times.count();
        let buckets = times.at_most().map(|(bound, count)| (bound.as_secs_f64().to_string(), count));
        for (bound, count) in buckets.chain([("+Inf".to_owned(), count)]) {
            let labels = [labels, &[("le", &bound)]].concat();
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        self.sample(&format!("{name}_sum"), labels, times.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, count);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // A `String` takes all that is written.
        let _ = writeln!(self.0, "{line}");
    }
}

struct Braces<'a>(Labels<'a>);

impl Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, value)) in self.0.iter().enumerate() {
            let value = Escaped { text: value, quotes: true };
            write!(f, "{}{name}=\"{value}\"", if n == 0 { '{' } else { ',' })?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "}" })
    }
}

struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.quotes => f.write_str("\\\""),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_core::measure::Histogram;

    use super::*;

    #[test]
    fn it_is_written_as_the_format_says() {
        let mut text = Exposition::default();
        text.family("a_total", "counter", "A \\ \"b\"\nc.");
        text.sample("a_total", &[], 1);
        text.sample("a_total", &[("x", "1\\ \"2\"\n3"), ("y", "")], 0.5);
        let expected = [
            "# HELP a_total A \\\\ \"b\"\\nc.",
            "# TYPE a_total counter",
            "a_total 1",
            "a_total{x=\"1\\\\ \\\"2\\\"\\n3\",y=\"\"} 0.5\n",
        ];
        assert_eq!(text.into_text(), expected.join("\n"));
    }

    #[test]
    fn buckets_grow_up_to_the_count() {
        let histogram = Histogram::default();
        for millis in [1, 3, 120_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut text = Exposition::default();
        text.histogram("t_seconds", &[("a", "b")], &histogram.read());
        let text = text.into_text();
        for line in [
            "t_seconds_bucket{a=\"b\",le=\"0.0005\"} 0",
            "t_seconds_bucket{a=\"b\",le=\"0.001\"} 1",
            "t_seconds_bucket{a=\"b\",le=\"60\"} 2",
            "t_seconds_bucket{a=\"b\",le=\"+Inf\"} 3",
            "t_seconds_sum{a=\"b\"} 120.004",
            "t_seconds_count{a=\"b\"} 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in:\n{text}");
        }
    }
}
