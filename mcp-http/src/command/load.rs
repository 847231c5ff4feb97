//! `load`: requests at a steady rate, and what became of them.

mod bounds;
mod generator;
mod machine;
mod page;
mod request;
mod tally;
mod times;
mod watched;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use serde_json::{Value, json};

use super::act;
use super::call;
use super::client::{Client, escape};
use super::failure::{Failure, Kind};
use super::keys::time;
use super::output::{Output, table};
use super::progress::Progress;
use super::target::is_url;
use crate::config::Config;
use crate::metrics::process::Process;
use bounds::{Bound, Percent};
use generator::Plan;
use request::Asker;
use tally::percentiles;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http load --rate 200 --for 30s --report load.html
  mcp-http load --tool notes.search query=milk --rate 50
  mcp-http load https://mcp.example.com --for 5m --fail-above p99=100ms,errors=0.1%";

#[derive(Args)]
pub(super) struct Load {
    /// [URL], then arguments of the tool as of `call`
    #[arg(value_name = "[URL] [ARGUMENT]...")]
    words: Vec<String>,
    /// Which tool is called
    #[arg(long, default_value = "time.now", value_name = "NAME")]
    tool: String,
    /// Requests a second
    #[arg(long, default_value = "100", value_parser = rate)]
    rate: f64,
    /// How long: up to 24h
    #[arg(long = "for", default_value = "30s", value_name = "TIME", value_parser = extent)]
    extent: Duration,
    /// How many are under way at the most, each on a connection; one more is counted as dropped
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How long an answer is waited for: up to 5m
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = patience)]
    timeout: Duration,
    /// Write a page with plots into this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Fail above this: p50, p90, p99, p99.9 or max with a time, errors with a part
    #[arg(long, value_name = "p99=TIME,errors=PART", value_delimiter = ',')]
    fail_above: Vec<Bound>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.01..=200_000.0).contains(rate));
    rate.ok_or_else(|| "expected a number from 0.01 to 200000".to_owned())
}

fn extent(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(86_400))
}

fn patience(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(300))
}

fn between(text: &str, most: Duration) -> Result<Duration, String> {
    let found = time(text)?;
    if found.is_zero() || found > most {
        return Err(format!("expected a time from 1s to {}s", most.as_secs()));
    }
    Ok(found)
}

pub(super) fn run(config: &Config, load: &Load, output: &mut Output) -> Result<(), Failure> {
    let (target, words) = match load.words.split_first() {
        Some((url, rest)) if is_url(url) => (Some(url.as_str()), rest),
        _ => (None, load.words.as_slice()),
    };
    let client = Client::new(config, target);
    // A name or an argument that is wrong is told before anything is sent by the thousand.
    let described = call::known(&load.tool, client.get(&format!("/api/v1/tools/{}", escape(&load.tool)))?)?;
    let arguments = call::arguments(words, &described["inputSchema"])?;
    // A page that cannot be written is told before as well.
    let report = load.report.as_ref().map(|path| std::fs::File::create(path).map(|file| (file, path))).transpose()?;

    let (base, key) = client.place();
    let metrics = format!("{}/metrics", Client::of_operator(config, target).place().0);
    let most = usize::from(load.connections);
    let begun = TokioClock::new().now().to_string();
    let before = Process::read().map_or(0.0, |process| process.cpu_seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (tally, sent_for, interrupted) = runtime.block_on(async {
        let asker = Asker::new(base, key, &load.tool, &arguments, load.timeout, most)?;
        let plan = Plan { asker, metrics, rate: load.rate, extent: load.extent, most, patience: load.timeout };
        Ok::<_, Failure>(plan.carry_out(Progress::new("load", output)).await)
    })?;
    runtime.shutdown_background();

    let seconds = sent_for.as_secs_f64();
    let all = &tally.all;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let a_second = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
    let timeline: Vec<Value> = tally.seconds.iter().enumerate().map(|(n, second)| second.json(n)).collect();
    let dropped = all.errors.get("dropped").copied().unwrap_or(0);
    let found = json!({
        "url": base, "tool": load.tool, "begun": begun, "seconds": (seconds * 1e3).round() / 1e3,
        "rate": load.rate, "connections": load.connections, "machine": machine::read(),
        "due": all.due, "sent": all.due - dropped, "ok": all.ok, "failed": all.failed(), "errors": all.errors,
        "error_rate": all.error_rate(), "ok_a_second": a_second(all.ok), "sent_a_second": a_second(all.due - dropped),
        "latency_ms": percentiles(&all.times), "lag_ms": percentiles(&tally.lag),
        "server": watched::used(&tally.seconds),
        "own_cpu_seconds": Process::read().map(|process| ((process.cpu_seconds - before) * 100.0).round() / 100.0),
        "timeline": timeline,
    });
    if let Some((mut file, path)) = report {
        let written = std::io::Write::write_all(&mut file, page::page(&found).as_bytes());
        written
            .map_err(|error| Failure::new(Kind::Failed, format!("{} cannot be written: {error}", path.display())))?;
    }
    output.write(&found, || text(&found))?;
    if target.is_none() {
        let told = json!({
            "tool": load.tool, "rate": load.rate, "seconds": found["seconds"], "sent": found["sent"],
            "p99_ms": found["latency_ms"]["p99"], "error_rate": found["error_rate"],
        });
        // It is told to whoever looks later. Where the database is not at hand nobody is, and the figures are what they are.
        let _ = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?
            .block_on(act::record(config, "load", told, Ok(())));
    }
    let broken: Vec<String> = load.fail_above.iter().filter_map(|bound| bound.broken_by(all)).collect();
    match (interrupted, broken.is_empty()) {
        (true, _) => Err(Failure::new(Kind::Interrupted, "interrupted: the figures are those until then")),
        (_, false) => Err(Failure::new(Kind::Failed, broken.join("; "))),
        _ if all.ok == 0 => Err(Failure::new(Kind::Failed, "no request went well")),
        _ => Ok(()),
    }
}

/// The figures as people read them.
fn text(found: &Value) -> String {
    table(&figures(found).into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>())
}

/// The figures, each with its name, for people.
fn figures(found: &Value) -> Vec<(&'static str, String)> {
    let times = |times: &Value| match times.as_object() {
        Some(times) => {
            let names = ["p50", "p90", "p99", "p99.9", "max"];
            names.map(|name| format!("{name} {:.1} ms", times[name].as_f64().unwrap_or(0.0))).join("   ")
        }
        None => "–".to_owned(),
    };
    let errors: Vec<String> =
        found["errors"].as_object().into_iter().flatten().map(|(kind, n)| format!("{n} {kind}")).collect();
    let rate = found["error_rate"].as_f64().map_or("–".to_owned(), |rate| Percent(rate).to_string());
    let mib = |bytes: &Value| format!("{:.1}", bytes.as_f64().unwrap_or(0.0) / 1_048_576.0);
    let server = match &found["server"] {
        Value::Null => "– (it does not tell: /metrics takes the role monitor)".to_owned(),
        server => format!(
            "{} s of CPU, {} to {} MiB (most {}), {} files at the most",
            server["cpu_seconds"],
            mib(&server["resident_bytes"]["first"]),
            mib(&server["resident_bytes"]["last"]),
            mib(&server["resident_bytes"]["most"]),
            server["open_files"]["most"]
        ),
    };
    let own = found["own_cpu_seconds"].as_f64().map_or("–".to_owned(), |cpu| format!("{cpu} s of CPU"));
    vec![
        (
            "load",
            format!(
                "{} at {}, {} a second for {} s",
                word(&found["tool"]),
                word(&found["url"]),
                found["rate"],
                found["seconds"]
            ),
        ),
        (
            "requests",
            format!(
                "{} due, {} sent, {} went well: {} a second",
                found["due"], found["sent"], found["ok"], found["ok_a_second"]
            ),
        ),
        ("errors", if errors.is_empty() { rate } else { format!("{rate}: {}", errors.join(", ")) }),
        ("took", times(&found["latency_ms"])),
        ("sent late by", times(&found["lag_ms"])),
        ("server", server),
        ("this command", own),
        ("machine", word(&found["machine"]).to_owned()),
    ]
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}
