//! What recording costs: calls through each ledger, beside the same rows by the bare driver, one by one and in batches of the same
//! size; and what it costs to find a few among a million of them.
//!
//! ```text
//! cargo bench -p benches --features store --bench store              both tables: some minutes
//! cargo bench -p benches --features store --bench store -- --short   to try it; its figures say nothing
//! ```

mod load;
mod queries;
mod raw;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::store::ledger::Entry;
use mcp_core::tokio_runtime::TokioClock;
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use tempfile::TempDir;

use load::{Figures, Load};
use raw::Raw;

/// How much is measured.
struct Extent {
    rounds: usize,
    time: Duration,
    /// How many calls there are when they are searched.
    rows: u32,
}

const WRITERS: [usize; 3] = [1, 32, 256];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let extent = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Extent { rounds: 3, time: Duration::from_secs(3), rows: 1_000_000 }),
        ["--short"] => Ok(Extent { rounds: 1, time: Duration::from_millis(300), rows: 20_000 }),
        _ => Err(io::Error::other("expected nothing or `--short`")),
    };
    benches::ended(extent.and_then(|extent| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(run(&extent, &mut io::stdout().lock()))
    }))
}

async fn run(extent: &Extent, out: &mut impl Write) -> io::Result<()> {
    let folder = TempDir::new()?;
    let sqlite = format!("sqlite:{}/mcp.db", folder.path().display());
    let server = PostgresServer::start();
    let postgres = server.database();
    let memory = Stores::in_memory(Arc::new(TokioClock::new()));
    let stores = [
        ("memory", memory, None),
        ("SQLite", open(&sqlite).await?, Some(Raw::open(&sqlite).await?)),
        ("PostgreSQL", open(&postgres).await?, Some(Raw::open(&postgres).await?)),
    ];
    writeln!(
        out,
        "| | writers | calls/s | p50 ms | p99 ms | µs of our CPU a call | calls a transaction | one by one/s | batches/s | ledger / batches | ledger / one by one |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    let load = Load::default();
    for (name, stores, raw) in &stores {
        for writers in WRITERS {
            let line = compare(extent, &load, stores, raw.as_ref(), writers).await?;
            writeln!(out, "| {name} | {writers} | {line} |")?;
        }
    }
    writeln!(out)?;
    for (name, stores, _) in &stores[1..] {
        queries::run(name, stores, extent.rows, out).await?;
    }
    Ok(())
}

/// Secret keys are given, as the bundled server gives them: then each record is in the audit chain as well.
async fn open(url: &str) -> io::Result<Stores> {
    let mut config = StoreConfig::new(url, Arc::new(TokioClock::new())).map_err(io::Error::other)?;
    config.secret_keys = vec![[1; 32]];
    mcp_store::open(&config).await.map_err(io::Error::other)
}

/// The three ways in turn, in each round; the median of each figure.
async fn compare(
    extent: &Extent,
    load: &Load,
    stores: &Stores,
    raw: Option<&Raw>,
    writers: usize,
) -> io::Result<String> {
    let (mut ours, mut one_by_one, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        let before = transactions(stores);
        let figures = load.run(writers, extent.time, |call| stores.ledger.commit(vec![Entry::Call(call)])).await?;
        let batch = (figures.rows / (transactions(stores) - before).max(1.0)).max(1.0);
        if let Some(raw) = raw {
            one_by_one.push(load.run(writers, extent.time, |call| raw.insert(call)).await?.per_second());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 512")]
            batches.push(raw.batches(load, batch.round() as usize, extent.time).await?);
        }
        ours.push((figures, batch));
    }
    let figure = |of: fn(&(Figures, f64)) -> f64| median(ours.iter().map(of).collect());
    let rate = figure(|(figures, _)| figures.per_second());
    let own = format!(
        "{rate:.0} | {:.2} | {:.2} | {:.1} | {:.1}",
        figure(|(figures, _)| figures.p50_ms),
        figure(|(figures, _)| figures.p99_ms),
        figure(|(figures, _)| figures.cpu_micros / figures.rows),
        figure(|(_, batch)| *batch),
    );
    if raw.is_none() {
        return Ok(format!("{own} | | | |"));
    }
    let (one_by_one, batches) = (median(one_by_one), median(batches));
    Ok(format!("{own} | {one_by_one:.0} | {batches:.0} | {:.2} | {:.2}", rate / batches, rate / one_by_one))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many transactions the ledger has made so far; none, in memory.
fn transactions(stores: &Stores) -> f64 {
    let samples = stores.collectors.iter().flat_map(|collector| collector.collect());
    samples.filter(|sample| sample.name == "mcp_ledger_transactions_total").map(|sample| sample.value).sum()
}
