//! How far long work is: a bar on a terminal, a line now and then elsewhere; on stderr, and nothing where results are JSON.

use std::io::{IsTerminal, Write, stderr};
use std::pin::pin;
use std::time::{Duration, Instant};

use mcp_store::{Step, Unit};

use super::output::Output;

/// Work that takes a while. It says nothing in its first second.
pub(super) struct Progress {
    what: &'static str,
    begun: Instant,
    told: Duration,
    every: Duration,
    on_terminal: bool,
    is_silent: bool,
    /// Whether there is a bar to be wiped away.
    shown: bool,
    /// The part that is being done, and since when.
    part: Option<(&'static str, Duration)>,
}

/// From when on anything is said.
const SILENT: Duration = Duration::from_secs(1);

/// How often it is said on a terminal.
const OFTEN: Duration = Duration::from_millis(200);

/// How often it is said elsewhere.
const SELDOM: Duration = Duration::from_secs(10);

/// Of how many characters a bar is, where there is room; and where there is not for that many, there is none.
const WIDTH: usize = 30;
const NARROWEST: usize = 8;

impl Progress {
    pub(super) fn new(what: &'static str, output: &Output) -> Self {
        let on_terminal = stderr().is_terminal();
        let every = if on_terminal { OFTEN } else { SELDOM };
        let (begun, told, is_silent) = (Instant::now(), Duration::ZERO, output.is_json());
        Self { what, begun, told, every, on_terminal, is_silent, shown: false, part: None }
    }

    /// So much is done, of all that there is, if that is known.
    pub(super) fn at(&mut self, done: u64, all: Option<u64>) {
        self.tell(|elapsed| Told { what: String::new(), done, all, unit: "", elapsed });
    }

    /// So far is a part of it.
    fn step(&mut self, step: Step) {
        let elapsed = self.begun.elapsed();
        let since = match self.part {
            Some((name, since)) if name == step.name => since,
            _ => {
                self.part = Some((step.name, elapsed));
                elapsed
            }
        };
        let (divisor, unit) = match step.unit {
            Unit::Bytes => (1024 * 1024, " MiB"),
            Unit::Rows => (1, " rows"),
            _ => (1, ""),
        };
        let (done, all) = (step.done / divisor, step.all.map(|all| all.div_ceil(divisor)));
        self.tell(|elapsed| Told { what: format!(": {}", step.name), done, all, unit, elapsed: elapsed - since });
    }

    /// Does the work, and shows how far it is by `progress`.
    pub(super) async fn follow<T>(mut self, progress: &mcp_store::Progress, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut each = tokio::time::interval(OFTEN);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = each.tick() => progress.step().into_iter().for_each(|step| self.step(step)),
            }
        }
    }

    fn tell(&mut self, told: impl FnOnce(Duration) -> Told) {
        let elapsed = self.begun.elapsed();
        if self.is_silent || elapsed < SILENT || elapsed - self.told < self.every {
            return;
        }
        self.told = elapsed;
        let told = told(elapsed);
        // That nobody sees it stops no work.
        let _ = match self.on_terminal {
            true => {
                write!(stderr(), "\r{}{}\x1b[K", self.what, told.bar(columns().saturating_sub(1 + self.what.len())))
            }
            false => writeln!(stderr(), "{}{}", self.what, told.text("")),
        };
        let _ = stderr().flush();
        self.shown = self.on_terminal;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// How wide the terminal is.
fn columns() -> usize {
    rustix::termios::tcgetwinsize(stderr())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 20)
        .unwrap_or(80)
}

/// What is said.
struct Told {
    what: String,
    done: u64,
    all: Option<u64>,
    unit: &'static str,
    elapsed: Duration,
}

impl Told {
    #[expect(clippy::cast_precision_loss, reason = "it is shown to people")]
    fn text(&self, bar: &str) -> String {
        let Self { what, done, unit, .. } = self;
        let elapsed = self.elapsed.as_secs_f64();
        let rate = *done as f64 / elapsed.max(0.001);
        match self.all.filter(|all| *all > 0) {
            // Some work says nothing until it is done.
            None if *done == 0 => format!("{what}: {elapsed:.0} s"),
            None => format!("{what}: {done}{unit}, {rate:.0} a second"),
            Some(all) => {
                let left = match rate > 0.0 {
                    true => format!("{:.0} s left", all.saturating_sub(*done) as f64 / rate),
                    false => "–".to_owned(),
                };
                let part = self.part().unwrap_or_default() * 100.0;
                format!("{what}: {bar}{part:.0} %, {done} of {all}{unit}, {rate:.0} a second, {left}")
            }
        }
    }

    /// The same on a terminal, with a bar where there is room for one: what is wider than the terminal could not be wiped away.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a small number"
    )]
    fn bar(&self, columns: usize) -> String {
        let text = self.text("");
        let room = columns.saturating_sub(text.chars().count() + "[] ".len()).min(WIDTH);
        match self.part().filter(|_| room >= NARROWEST) {
            None => text.chars().take(columns).collect(),
            Some(part) => {
                let full = (part * room as f64) as usize;
                self.text(&format!("[{}{}] ", "#".repeat(full), "-".repeat(room - full)))
            }
        }
    }

    /// Which part is done, where that is known.
    #[expect(clippy::cast_precision_loss, reason = "it is shown to people")]
    fn part(&self) -> Option<f64> {
        self.all.filter(|all| *all > 0).map(|all| (self.done as f64 / all as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(done: u64, all: Option<u64>) -> Told {
        Told { what: String::new(), done, all, unit: "", elapsed: Duration::from_secs(10) }
    }

    #[test]
    fn a_line_says_the_rate_and_what_is_left() {
        assert_eq!(told(500, Some(2_000)).text(""), ": 25 %, 500 of 2000, 50 a second, 30 s left");
        assert_eq!(told(0, Some(2_000)).text(""), ": 0 %, 0 of 2000, 0 a second, –");
        assert_eq!(told(500, None).text(""), ": 500, 50 a second");
        assert_eq!(told(0, None).text(""), ": 10 s");
        let copying = Told { what: ": copying files".to_owned(), unit: " MiB", ..told(500, Some(250)) };
        assert_eq!(copying.text(""), ": copying files: 100 %, 500 of 250 MiB, 50 a second, 0 s left");
    }

    #[test]
    fn a_bar_is_as_wide_as_there_is_room() {
        let half = told(1_000, Some(2_000));
        assert!(half.bar(78).starts_with(": [###############---------------] 50 %"), "{}", half.bar(78));
        for columns in 0..100 {
            assert!(half.bar(columns).chars().count() <= columns, "{columns}: {}", half.bar(columns));
        }
        assert!(
            half.bar(56).contains("[####----]") && !half.bar(55).contains('['),
            "{} {}",
            half.bar(56),
            half.bar(55)
        );
    }
}
