//! What became of requests, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

/// The requests of one load.
#[derive(Default)]
pub(crate) struct Figures {
    accepted: Vec<Duration>,
    refused: Vec<Duration>,
    /// What else came, with its count.
    others: BTreeMap<String, usize>,
    pub(crate) extent: Duration,
}

/// What is to be so.
pub(crate) struct Promise {
    pub(crate) what: &'static str,
    pub(crate) is_kept: bool,
    /// Whether it depends on how fast the machine is, and on what else that does.
    pub(crate) is_timed: bool,
}

impl Promise {
    pub(crate) fn of(what: &'static str, is_kept: bool) -> Self {
        Self { what, is_kept, is_timed: false }
    }

    pub(crate) fn timed(what: &'static str, is_kept: bool) -> Self {
        Self { what, is_kept, is_timed: true }
    }
}

impl Figures {
    /// Counts an answer by its status, or an error.
    pub(crate) fn count(&mut self, ended: Result<u16, String>, took: Duration) {
        match ended {
            Ok(200) => self.accepted.push(took),
            Ok(503) => self.refused.push(took),
            Ok(status) => *self.others.entry(status.to_string()).or_default() += 1,
            Err(error) => *self.others.entry(error).or_default() += 1,
        }
    }

    pub(crate) fn sort(mut self, extent: Duration) -> Self {
        self.accepted.sort_unstable();
        self.refused.sort_unstable();
        Self { extent, ..self }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.len()
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.len()
    }

    pub(crate) fn others(&self) -> usize {
        self.others.values().sum()
    }

    pub(crate) fn accepted_a_second(&self) -> f64 {
        self.accepted.len() as f64 / self.extent.as_secs_f64()
    }

    pub(crate) fn accepted_within(&self, part: f64) -> Duration {
        within(&self.accepted, part)
    }

    pub(crate) fn refused_within(&self, part: f64) -> Duration {
        within(&self.refused, part)
    }

    pub(crate) fn show(&self) -> String {
        let of = |what: &str, times: &[Duration]| {
            let a_second = times.len() as f64 / self.extent.as_secs_f64();
            let [half, most, last] = [0.5, 0.99, 1.0].map(|part| within(times, part));
            format!("{a_second:.0} {what} a second (p50 {half:.1?}, p99 {most:.1?}, longest {last:.1?})")
        };
        let mut shown = of("accepted", &self.accepted);
        if !self.refused.is_empty() {
            shown = format!("{shown}, {}", of("refused", &self.refused));
        }
        if self.others.is_empty() { shown } else { format!("{shown}, others {:?}", self.others) }
    }
}

/// Within what time this part of them ended.
fn within(times: &[Duration], part: f64) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * part).ceil() as usize).copied().unwrap_or_default()
}
