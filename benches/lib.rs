//! What the benches share: the requests that they send, and counting instructions.

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
