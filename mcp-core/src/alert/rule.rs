//! What is a reason to wake somebody.

use std::time::Duration;

use super::Severity;

/// A measure, what of it is too much, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, which alerts bear.
    pub name: String,
    /// What is read; whoever reads knows the names.
    pub measure: String,
    /// What is wrong, in words that stand before the figure.
    pub about: String,
    /// On which side of the threshold it is wrong.
    pub comparison: Comparison,
    /// What is past this is wrong.
    pub threshold: f64,
    /// An alert is over once what is read is not past this; it lies on the sound side of the threshold, or is the threshold.
    pub clear: f64,
    /// For how long it must be wrong before the alert fires.
    pub hold: Duration,
    /// For how long it must be well again before the alert is over.
    pub clear_hold: Duration,
    /// How bad it is.
    pub severity: Severity,
}

/// On which side of a threshold it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl Comparison {
    fn is_past(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
        }
    }
}

impl Rule {
    /// A rule that fires where a measure is above `threshold` for `hold`, and is over once it has not been for a minute.
    pub fn above(name: &str, about: &str, measure: &str, threshold: f64, hold: Duration, severity: Severity) -> Self {
        Self {
            name: name.to_owned(),
            measure: measure.to_owned(),
            about: about.to_owned(),
            comparison: Comparison::Above,
            threshold,
            clear: threshold,
            hold,
            clear_hold: Duration::from_secs(60),
            severity,
        }
    }

    /// The same, but it is over only once what is read is not past `clear`.
    #[must_use]
    pub fn clear(mut self, clear: f64) -> Self {
        self.clear = clear;
        self
    }

    /// Whether this is wrong.
    pub fn is_breached_by(&self, value: f64) -> bool {
        self.comparison.is_past(value, self.threshold)
    }

    /// Whether this is well again, where an alert fires.
    pub fn is_cleared_by(&self, value: f64) -> bool {
        !self.comparison.is_past(value, self.clear)
    }
}
