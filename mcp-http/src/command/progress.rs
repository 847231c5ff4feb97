//! How far long work is: a bar on a terminal, a line now and then elsewhere; on stderr.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Work that takes a while. It says nothing in its first second.
pub(super) struct Progress {
    what: &'static str,
    begun: Instant,
    told: Duration,
    every: Duration,
    on_terminal: bool,
    /// Whether there is a bar to be wiped away.
    shown: bool,
}

/// From when on anything is said.
const SILENT: Duration = Duration::from_secs(1);

/// Of how many characters a bar is.
const WIDTH: usize = 30;

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let on_terminal = stderr().is_terminal();
        let every = if on_terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
        Self { what, begun: Instant::now(), told: Duration::ZERO, every, on_terminal, shown: false }
    }

    /// So much is done, of all that there is, if that is known.
    pub(super) fn at(&mut self, done: u64, all: Option<u64>) {
        let elapsed = self.begun.elapsed();
        if elapsed < SILENT || elapsed - self.told < self.every {
            return;
        }
        self.told = elapsed;
        let line = line(self.what, done, all, elapsed, self.on_terminal);
        // That nobody sees it stops no work.
        let _ = if self.on_terminal { write!(stderr(), "\r{line}\x1b[K") } else { writeln!(stderr(), "{line}") };
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

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is shown to people"
)]
fn line(what: &str, done: u64, all: Option<u64>, elapsed: Duration, bar: bool) -> String {
    let rate = done as f64 / elapsed.as_secs_f64();
    let Some(all) = all.filter(|all| *all > 0) else { return format!("{what}: {done}, {rate:.0} a second") };
    let part = (done as f64 / all as f64).min(1.0);
    let left =
        if rate > 0.0 { format!("{:.0} s left", (all.saturating_sub(done)) as f64 / rate) } else { "–".to_owned() };
    let full = (part * WIDTH as f64) as usize;
    let bar = if bar { format!("[{}{}] ", "#".repeat(full), "-".repeat(WIDTH - full)) } else { String::new() };
    format!("{what}: {bar}{:.0} %, {done} of {all}, {rate:.0} a second, {left}", part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_rate_and_what_is_left() {
        let second = Duration::from_secs(10);
        assert_eq!(line("load", 500, Some(2_000), second, false), "load: 25 %, 500 of 2000, 50 a second, 30 s left");
        assert_eq!(line("load", 0, Some(2_000), second, false), "load: 0 %, 0 of 2000, 0 a second, –");
        assert_eq!(line("backup", 500, None, second, true), "backup: 500, 50 a second");
        let bar = line("load", 1_000, Some(2_000), second, true);
        assert!(bar.starts_with("load: [###############---------------] 50 %"), "{bar}");
    }
}
