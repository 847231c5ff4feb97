//! What the benches share: the requests that they send, counting instructions, and what a process holds.

pub mod callgrind;
pub mod echo;

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
