//! Finding a few calls among many.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::Entry;

use crate::load::Load;

/// How many calls a page has.
const PAGE: u16 = 20;
/// How often each query is asked, for other callers and at other times.
const TIMES: u32 = 200;
/// The calls are as far apart as this.
const STEP: Duration = Duration::from_millis(20);
/// The first one's moment: 2026-01-01.
const BEGIN: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// Writes so many calls of a hundred callers, and a line for each kind of query.
pub async fn run(name: &str, stores: &Stores, rows: u32, out: &mut impl Write) -> io::Result<()> {
    let calls: Vec<_> = (0..rows).map(|n| Entry::Call(Load::call_at(u64::from(n), BEGIN.after(STEP * n)))).collect();
    for some in calls.chunks(5_000) {
        stores.ledger.commit(some.to_vec()).await.map_err(io::Error::other)?;
    }
    for (query, ask) in [
        ("the newest of a caller", newest as fn(u32, u32) -> CallQuery),
        ("of a caller, within an hour", within_an_hour),
        ("of a tool, before a call", before),
    ] {
        let mut took = Vec::new();
        for n in 0..TIMES {
            let begun = Instant::now();
            let found =
                stores.history.calls(&Tenant::from("a tenant"), &ask(n, rows)).await.map_err(io::Error::other)?;
            took.push(begun.elapsed());
            if found.len() != usize::from(PAGE) {
                return Err(io::Error::other(format!("{query}: {} calls were found", found.len())));
            }
        }
        took.sort_unstable();
        let millis = |percent: usize| took[took.len() * percent / 100].as_secs_f64() * 1_000.0;
        writeln!(out, "{name}, {rows} calls, {PAGE} {query}: p50 {:.2} ms, p99 {:.2} ms", millis(50), millis(99))?;
    }
    Ok(())
}

fn newest(n: u32, _: u32) -> CallQuery {
    CallQuery { principal: Some(Principal::from(format!("caller {}", n % 100))), limit: PAGE, ..CallQuery::default() }
}

fn within_an_hour(n: u32, rows: u32) -> CallQuery {
    // Somewhere in the middle, so that neither end helps.
    let from = BEGIN.after(STEP * (rows / 4 + rows / 2 / TIMES * n / 2));
    CallQuery { from: Some(from), to: Some(from.after(Duration::from_secs(60 * 60))), ..newest(n, rows) }
}

fn before(n: u32, rows: u32) -> CallQuery {
    let number = rows / 4 + rows / 2 / TIMES * n;
    let before = Load::call_at(u64::from(number), BEGIN.after(STEP * number)).id;
    CallQuery { tool: Some("echo".to_owned()), before: Some(before), limit: PAGE, ..CallQuery::default() }
}
