//! Above what a load has failed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::tally::Counts;

/// One bound: `p99=100ms`, or `errors=0.1%`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    /// Within what time this part of those that went well must be over.
    Within { name: String, part: f64, time: Duration },
    /// Which part of all may fail.
    Errors(f64),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?}: expected p50, p90, p99, p99.9 or max with a time, such as p99=100ms, or errors=0.1%");
        let (name, value) = text.split_once('=').ok_or_else(bad)?;
        let number =
            |text: &str| text.parse::<f64>().ok().filter(|number| *number >= 0.0 && *number <= 1e9).ok_or_else(bad);
        if name == "errors" {
            return Ok(Self::Errors(number(value.strip_suffix('%').ok_or_else(bad)?)? / 100.0));
        }
        let part = match name {
            "max" => 1.0,
            "p50" | "p90" | "p99" | "p99.9" => number(&name[1..])? / 100.0,
            _ => return Err(bad()),
        };
        let millis = match value.strip_suffix("ms") {
            Some(millis) => number(millis)?,
            None => number(value.strip_suffix('s').ok_or_else(bad)?)? * 1e3,
        };
        Ok(Self::Within { name: name.to_owned(), part, time: Duration::from_secs_f64(millis / 1e3) })
    }
}

impl Bound {
    /// Why it does not hold.
    pub(super) fn broken_by(&self, counts: &Counts) -> Option<String> {
        match self {
            Self::Within { name, part, time } => match counts.times.within(*part) {
                Some(found) if found <= *time => None,
                Some(found) => Some(format!("{name} is {found:.1?}, and not below {time:?}")),
                None => Some(format!("nothing went well, so that there is no {name}")),
            },
            Self::Errors(most) => match counts.error_rate() {
                Some(found) if found <= *most => None,
                Some(found) => Some(format!("{} failed, and not below {}", Percent(found), Percent(*most))),
                None => Some("nothing was sent".to_owned()),
            },
        }
    }
}

/// A part as people read it.
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0 * 100.0);
        write!(f, "{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn a_bound_is_a_time_or_a_part() {
        assert_eq!("errors=0.1%".parse(), Ok(Bound::Errors(0.001)));
        let p99 = Bound::Within { name: "p99".to_owned(), part: 0.99, time: Duration::from_millis(100) };
        assert_eq!("p99=100ms".parse(), Ok(p99.clone()));
        assert_eq!("p99=0.1s".parse(), Ok(p99));
        for bad in ["", "p99", "p98=1ms", "p99=1", "p99=-1ms", "errors=1", "errors=x%", "max=ms", "p=1ms"] {
            assert!(bad.parse::<Bound>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_above_and_what_never_happened_break_a_bound() {
        let mut tally = Tally::default();
        let broken = |bound: &str, tally: &Tally| bound.parse::<Bound>().unwrap().broken_by(&tally.all);
        assert!(broken("p99=1s", &tally).is_some() && broken("errors=0%", &tally).is_some());
        for n in 0..1_000 {
            tally.end(0, &if n == 0 { Err("http 503".to_owned()) } else { Ok(()) }, Duration::from_millis(50));
        }
        assert_eq!(broken("p99=50ms", &tally), None);
        assert!(broken("p99=49ms", &tally).unwrap().contains("p99 is 50.0ms"));
        assert_eq!(broken("errors=0.1%", &tally), None);
        assert_eq!(broken("errors=0.09%", &tally).unwrap(), "0.1 % failed, and not below 0.09 %");
    }
}
