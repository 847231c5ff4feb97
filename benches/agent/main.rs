//! What a step of an agent costs: a team of four workers who make so many steps each, every step a call of a tool with 200 bytes, which
//! is recorded before the next; on each kind of store, for several runs at once.
//!
//! ```text
//! cargo bench -p benches --features store --bench agent              the tables: some minutes
//! cargo bench -p benches --features store --bench agent -- first     the second one alone: how soon a first delta is heard
//! cargo bench -p benches --features store --bench agent -- --short   to try it; its figures say nothing
//! cargo bench -p benches --features store --bench agent -- --beside "$(scripts/tools langgraph)" PROGRAM
//! ```
//!
//! With `--beside` the programs of these paths do the same afterwards, on the same databases: a Python in LangGraph, and another one by itself.

mod first;
mod team;

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_core::Stores;
use mcp_core::tokio_runtime::TokioClock;
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use tempfile::TempDir;

/// As in the servers that are shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many runs there are at once, and how many steps each worker of them makes.
type Case = (usize, u32);

const CASES: [Case; 5] = [(1, 20), (1, 100), (1, 500), (32, 20), (256, 20)];
const SHORT: [Case; 2] = [(1, 5), (4, 5)];

/// Of how many runs the first delta is heard.
const FIRST: usize = 1_024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let asked = match words[..] {
        [] => Ok((&CASES[..], FIRST, &[][..])),
        ["first"] => Ok((&[][..], FIRST, &[][..])),
        ["--short"] => Ok((&SHORT[..], 64, &[][..])),
        ["--beside", ref others @ ..] if !others.is_empty() => Ok((&CASES[..], 64, others)),
        _ => Err(io::Error::other(
            "expected nothing, `first`, `--short`, or `--beside` and the programs that do the same",
        )),
    };
    benches::ended(asked.and_then(|(cases, first, others)| {
        let (folder, server) = (TempDir::new()?, PostgresServer::start());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(run(cases, first, (&folder, &server), &mut io::stdout().lock()))?;
        others.iter().try_for_each(|other| beside(other, &folder, &server))
    }))
}

/// Has another do the same; it writes rows of the first table.
fn beside(other: &str, folder: &TempDir, server: &PostgresServer) -> io::Result<()> {
    let mut command = Command::new(other);
    if Path::new(other).file_name().is_some_and(|name| name.to_string_lossy().starts_with("python")) {
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/agent/langgraph_team.py"));
    }
    let ended = command.arg(folder.path()).arg(server.database()).status()?;
    if ended.success() { Ok(()) } else { Err(io::Error::other(format!("{other}: {ended}"))) }
}

async fn run(
    cases: &[Case],
    first: usize,
    (folder, server): (&TempDir, &PostgresServer),
    out: &mut impl Write,
) -> io::Result<()> {
    let stores = [
        ("memory", Stores::in_memory(Arc::new(TokioClock::new()))),
        ("SQLite", open(&format!("sqlite:{}/mcp.db", folder.path().display())).await?),
        ("PostgreSQL", open(&server.database()).await?),
    ];
    if !cases.is_empty() {
        steps(&stores, cases, out).await?;
    }
    deltas(&stores, first, out).await
}

/// How late first deltas of so many runs are.
async fn deltas(stores: &[(&str, Stores)], runs: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| | runs at once | p50 µs | p99 µs | worst µs |")?;
    writeln!(out, "|---|--:|--:|--:|--:|")?;
    for (name, stores) in stores {
        let house = first::House::open(stores.clone())?;
        house.run(32, 32).await?;
        for at_once in [1, 32] {
            let took = house.run(runs, at_once).await?;
            let [p50, p99, worst] =
                [50, 99, 100].map(|part| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64() * 1e6);
            writeln!(out, "| {name} | {at_once} | {p50:.0} | {p99:.0} | {worst:.0} |")?;
        }
        house.close(Duration::from_secs(5)).await;
    }
    Ok(())
}

async fn steps(stores: &[(&str, Stores)], cases: &[Case], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| | runs at once | steps a worker | steps/s | µs of our CPU a step | ms a step |")?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|")?;
    for (name, stores) in stores {
        let house = team::House::open(stores.clone())?;
        // Caches and pools are filled.
        house.run(1, 5).await?;
        for &(runs, steps) in cases {
            let (begun, before) = (Instant::now(), benches::processor_micros(std::process::id())?);
            house.run(runs, steps).await?;
            let (took, after) = (begun.elapsed(), benches::processor_micros(std::process::id())?);
            let all = (runs * team::WORKERS) as f64 * f64::from(steps);
            writeln!(
                out,
                "| {name} | {runs} | {steps} | {:.0} | {:.1} | {:.2} |",
                all / took.as_secs_f64(),
                (after - before) as f64 / all,
                took.as_secs_f64() * 1e3 / f64::from(steps),
            )?;
        }
        house.close(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// Secret keys are given, as the bundled server gives them: then each record is in the audit chain as well.
async fn open(url: &str) -> io::Result<Stores> {
    let mut config = StoreConfig::new(url, Arc::new(TokioClock::new())).map_err(io::Error::other)?;
    config.secret_keys = vec![[1; 32]];
    mcp_store::open(&config).await.map_err(io::Error::other)
}
