//! What the benches share: the requests that they send, by the clock or in turn, counting instructions, and what a process holds.

pub mod callgrind;
pub mod echo;
#[cfg(feature = "bundled")]
pub mod load;

use std::io::{self, Write};
use std::process::ExitCode;

/// How a bench ends: where it failed, with one line that says why.
pub fn ended(result: io::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Where nothing can be written, the exit code says it alone.
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::FAILURE
}

/// The memory of a process that is resident, in KiB.
///
/// # Errors
/// Where there is no such process, or the kernel does not say.
pub fn resident_kib(process: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    line.and_then(|kib| kib.parse().ok()).ok_or_else(|| io::Error::other("the kernel does not say what is resident"))
}

/// The processor time that a process has taken so far, in microseconds.
///
/// # Errors
/// As [`resident_kib`].
pub fn processor_micros(process: u32) -> io::Result<u64> {
    /// The kernel tells times in hundredths of a second (proc(5), `sysconf(_SC_CLK_TCK)`).
    const TICK_MICROS: u64 = 10_000;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces; `utime` and `stime` are the 12th and 13th fields behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_MICROS)
}
