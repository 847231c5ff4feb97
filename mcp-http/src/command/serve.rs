//! `serve`: the server itself.

use super::doctor;
use super::failure::Failure;
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http serve                                on 127.0.0.1:8000, with its data in ./data
  PORT=9000 LOG_LEVEL=debug mcp-http serve
  mcp-http serve --config production.json";

pub(super) fn run(config: Config) -> Result<(), Failure> {
    let _log = crate::log::init(&config)?;
    // One more than calls may hold: somebody must be there for everything else.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    Ok(runtime.block_on(async { crate::bundled(config).await?.doctor(doctor::examine).run().await })?)
}
