//! What became of requests, and how long they took.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

/// The requests of one load, and how long each took.
#[derive(Default)]
pub struct Figures {
    accepted: Vec<Duration>,
    refused: Vec<Duration>,
    /// What else came, with its count.
    others: BTreeMap<String, usize>,
    extent: Duration,
}

impl Figures {
    /// Counts the status of an answer, or what went wrong.
    pub fn count(&mut self, ended: io::Result<u16>, took: Duration) {
        match ended {
            Ok(200) => self.accepted.push(took),
            Ok(503) => self.refused.push(took),
            Ok(status) => *self.others.entry(status.to_string()).or_default() += 1,
            Err(error) => *self.others.entry(error.to_string()).or_default() += 1,
        }
    }

    /// All that were sent in so long.
    pub fn over(mut self, extent: Duration) -> Self {
        self.accepted.sort_unstable();
        self.refused.sort_unstable();
        Self { extent, ..self }
    }

    /// How many were answered with 200.
    pub fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// How many were answered with 503.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// How many were answered with something else, or not at all.
    pub fn others(&self) -> usize {
        self.others.values().sum()
    }

    /// How many were answered with 200 a second.
    pub fn accepted_a_second(&self) -> f64 {
        self.accepted.len() as f64 / self.extent.as_secs_f64()
    }

    /// Within what time this part of those that were answered with 200 were.
    pub fn accepted_within(&self, part: f64) -> Duration {
        within(&self.accepted, part)
    }

    /// Within what time this part of those that were answered with 503 were.
    pub fn refused_within(&self, part: f64) -> Duration {
        within(&self.refused, part)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |what: &str, times: &[Duration]| {
            let a_second = times.len() as f64 / self.extent.as_secs_f64();
            let [half, most, last] = [0.5, 0.99, 1.0].map(|part| within(times, part));
            format!("{a_second:.0} {what} a second (p50 {half:.1?}, p99 {most:.1?}, longest {last:.1?})")
        };
        f.write_str(&of("accepted", &self.accepted))?;
        if !self.refused.is_empty() {
            write!(f, ", {}", of("refused", &self.refused))?;
        }
        if !self.others.is_empty() {
            write!(f, ", others {:?}", self.others)?;
        }
        Ok(())
    }
}

fn within(times: &[Duration], part: f64) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * part).ceil() as usize).copied().unwrap_or_default()
}
