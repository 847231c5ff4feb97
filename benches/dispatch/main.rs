//! Bytes to bytes: what a request costs from its decoded head and its body to the bytes of its answer, with no I/O.
//!
//! ```text
//! cargo bench -p benches --bench dispatch                        times, by criterion
//! cargo bench -p benches --bench dispatch -- --instructions      instructions, under valgrind
//! ```

mod cases;

use std::hint::black_box;
use std::io::{self, Write};
use std::process::{Command, ExitCode};

use benches::callgrind::{self, Callgrind};
use criterion::Criterion;

use cases::Case;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    benches::ended(match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--instructions"] => instructions(&mut io::stdout().lock()),
        ["--repeat", times, name] => times.parse().map_err(io::Error::other).and_then(|times| repeat(name, times)),
        _ => {
            times();
            Ok(())
        }
    })
}

/// Times each case, by what the command line says to criterion.
fn times() {
    let mut criterion = Criterion::default().configure_from_args();
    for case in cases::all() {
        criterion.bench_function(case.name, |bencher| bencher.iter(|| black_box(case.run())));
    }
    criterion.final_summary();
}

/// Counts the instructions of each case, in processes of their own.
fn instructions(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<32} {:>12}", "instructions a request", "core")?;
    for Case { name, .. } in cases::all() {
        let each = callgrind::per_repetition(100, 1100, |times| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--repeat", &times.to_string(), name]);
            Callgrind::start(&command)?.finish()
        })?;
        writeln!(out, "{name:<32} {each:>12.0}")?;
    }
    Ok(())
}

/// Runs one case so often.
fn repeat(name: &str, times: u64) -> io::Result<()> {
    let case = cases::all().into_iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| io::Error::other(format!("there is no case {name:?}")))?;
    for _ in 0..times {
        black_box(case.run());
    }
    Ok(())
}
