//! Starts a PostgreSQL and a Redis of their own for a script, prints their URLs as one line of JSON, and ends them when its standard
//! input ends.

use std::io::{Read, Write, stdin, stdout};

use mcp_store::test_servers::{PostgresServer, RedisServer};

fn main() -> std::io::Result<()> {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    writeln!(stdout(), r#"{{"DATABASE_URL":"{}","REDIS_URL":"{}"}}"#, postgres.database(), redis.url())?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
