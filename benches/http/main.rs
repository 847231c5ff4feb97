//! End to end: what a call of `echo` costs over HTTP, beside the baseline that has no protocol.
//!
//! ```text
//! cargo bench -p benches --bench http                        instructions per request, under valgrind
//! cargo bench -p benches --bench http -- --at-most 1.25      the same; fails where a short call costs more than that
//! cargo bench -p benches --bench http -- --native            processor time per request and resident memory
//! ```

mod client;
mod server;

use std::io::{self, Write};
use std::process::ExitCode;

use benches::callgrind::{self, Callgrind};
use benches::echo::{Echo, Era};

use client::Client;
use server::{Native, Program};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let out = &mut io::stdout().lock();
    benches::ended(match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => instructions(out, f64::INFINITY),
        ["--at-most", ratio] => ratio.parse().map_err(io::Error::other).and_then(|ratio| instructions(out, ratio)),
        ["--native"] => native(out),
        _ => Err(io::Error::other("expected nothing, `--at-most RATIO` or `--native`")),
    })
}

/// Counts the instructions of both servers, and holds the ratio for a short text against the limit.
fn instructions(out: &mut impl Write, at_most: f64) -> io::Result<()> {
    writeln!(out, "{:<24} {:>10} {:>10} {:>7}", "instructions a request", "hello", "baseline", "ratio")?;
    for era in [Era::Modern, Era::Legacy] {
        let ratio = compare(out, "44 bytes", &Echo::short(era), 500, 2500)?;
        if ratio > at_most {
            return Err(io::Error::other(format!(
                "a call costs {ratio:.3} times the baseline, and may cost {at_most}"
            )));
        }
    }
    compare(out, "64 KiB", &Echo::long(Era::Modern), 50, 250)?;
    Ok(())
}

/// Writes one line of the table, and returns the ratio.
fn compare(out: &mut impl Write, text: &str, echo: &Echo, short: u64, long: u64) -> io::Result<f64> {
    let count = |program: Program| {
        callgrind::per_repetition(short, long, |requests| {
            let port = server::free_port()?;
            let mut process = Callgrind::start(&program.command(port))?;
            Client::connect(port, program, echo)?.repeat(requests)?;
            server::terminate(process.child())?;
            process.finish()
        })
    };
    let (hello, baseline) = (count(Program::Hello)?, count(Program::Baseline)?);
    let ratio = hello / baseline;
    writeln!(out, "{:<10}  {text:<12} {hello:>10.0} {baseline:>10.0} {ratio:>7.3}", echo.era)?;
    Ok(ratio)
}

/// Measures processor time and memory of both servers as they are. Times depend on the machine and on what else it does.
fn native(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<24} {:>10} {:>10} {:>12} {:>12}", "natively", "server", "µs CPU", "KiB at 1,000", "KiB at end")?;
    for (text, echo, requests) in [
        ("44 bytes", Echo::short(Era::Modern), 100_000),
        ("44 bytes", Echo::short(Era::Legacy), 100_000),
        ("64 KiB", Echo::long(Era::Modern), 10_000),
    ] {
        for program in [Program::Hello, Program::Baseline] {
            let port = server::free_port()?;
            let process = Native::start(program, port)?;
            Client::connect(port, program, &echo)?.repeat(1000)?;
            let (before, warm) = (process.processor_micros()?, process.resident_kib()?);
            Client::connect(port, program, &echo)?.repeat(requests)?;
            let (after, end) = (process.processor_micros()?, process.resident_kib()?);
            #[expect(clippy::cast_precision_loss, reason = "a bench does not run for 200 years")]
            let each = (after - before) as f64 / requests as f64;
            let name = format!("{program:?}").to_lowercase();
            writeln!(out, "{:<10}  {text:<12} {name:>10} {each:>10.1} {warm:>12} {end:>12}", echo.era)?;
        }
    }
    Ok(())
}
