//! What the server says of itself while it is under load.

use serde_json::{Value, json};

use super::request::Asker;
use super::tally::Second;

/// The figures of its process at one moment, as `/metrics` tells them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) open_files: f64,
}

impl Seen {
    /// Asks for them; nothing, where it does not answer, or does not tell them.
    pub(super) async fn ask(asker: &Asker, metrics: &str) -> Option<Self> {
        Self::read(&asker.get(metrics).await?)
    }

    fn read(text: &str) -> Option<Self> {
        let figure = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok())
        };
        Some(Self {
            cpu_seconds: figure("process_cpu_seconds_total")?,
            resident_bytes: figure("process_resident_memory_bytes")?,
            open_files: figure("process_open_fds")?,
        })
    }
}

/// What it used in all; nothing, where it has told nothing.
pub(super) fn used(seconds: &[Second]) -> Value {
    let seen: Vec<Seen> = seconds.iter().filter_map(|second| second.server).collect();
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Value::Null };
    // A server that was started anew, or another replica, counts from its own beginning.
    let cpu: f64 = seen.windows(2).map(|two| two[1].cpu_seconds - two[0].cpu_seconds).filter(|used| *used > 0.0).sum();
    let most = |figure: fn(&Seen) -> f64| seen.iter().map(figure).fold(0.0, f64::max);
    json!({
        "cpu_seconds": (cpu * 100.0).round() / 100.0,
        "resident_bytes": {"first": first.resident_bytes, "last": last.resident_bytes, "most": most(|seen| seen.resident_bytes)},
        "open_files": {"first": first.open_files, "last": last.open_files, "most": most(|seen| seen.open_files)},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_process_are_read_or_there_are_none() {
        let text =
            "# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1048576\nprocess_open_fds 12\n";
        let seen = Seen { cpu_seconds: 1.5, resident_bytes: 1_048_576.0, open_files: 12.0 };
        assert_eq!(Seen::read(text), Some(seen));
        assert_eq!(Seen::read("process_open_fds 12\n"), None);
    }
}
