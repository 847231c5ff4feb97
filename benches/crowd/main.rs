//! What many clients cost that do next to nothing: sessions that are begun and never ended, and streams on which changes are told.
//!
//! ```text
//! cargo bench -p benches --features bundled,store --bench crowd                a quarter of an hour
//! cargo bench -p benches --features bundled,store --bench crowd -- listeners   a minute: these alone
//! cargo bench -p benches --features bundled,store --bench crowd -- --short     to try it; its figures say nothing
//! ```

mod bare;
mod client;
mod listeners;
mod server;
mod sessions;

use std::io::{self, Write};
use std::process::ExitCode;

use mcp_store::test_servers::{PostgresServer, RedisServer};

use server::Server;

/// How many there are.
struct Extent {
    /// The caps of sessions.
    cap: usize,
    /// How many are begun.
    sessions: usize,
    listeners: usize,
    /// How often they are told something.
    changes: usize,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("bare") {
        return benches::ended(bare::serve());
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let extent = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Extent { cap: 10_000, sessions: 100_000, listeners: 10_000, changes: 20 }),
        ["listeners"] => Ok(Extent { cap: 10_000, sessions: 0, listeners: 10_000, changes: 20 }),
        ["--short"] => Ok(Extent { cap: 500, sessions: 5_000, listeners: 500, changes: 4 }),
        _ => Err(io::Error::other("expected nothing, `listeners` or `--short`")),
    };
    benches::ended(extent.and_then(|extent| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(&extent, &mut io::stdout().lock()))
    }))
}

async fn run(extent: &Extent, out: &mut impl Write) -> io::Result<()> {
    listeners::measure("a bare loop", &Server::start_bare()?, extent.listeners, extent.changes, out).await?;
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let database = postgres.database();
    for (name, database, redis) in
        [("SQLite", None, None), ("PostgreSQL and Redis", Some(&database), Some(redis.url()))]
    {
        let cap = extent.cap.to_string();
        let mut settings = vec![("PROTOCOL_SESSIONS", cap.as_str()), ("PROTOCOL_SESSIONS_PER_CALLER", cap.as_str())];
        settings.extend(database.map(|url| ("DATABASE_URL", url.as_str())));
        settings.extend(redis.as_deref().map(|url| ("REDIS_URL", url)));
        settings.extend(database.map(|_| ("SECRET_KEYS", SECRET_KEYS)));
        if extent.sessions > 0 {
            sessions::measure(name, &Server::start(&settings)?, extent.cap, extent.sessions, out).await?;
        }
        listeners::measure(name, &Server::start(&settings)?, extent.listeners, extent.changes, out).await?;
    }
    Ok(())
}

/// A key of no secret.
const SECRET_KEYS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
