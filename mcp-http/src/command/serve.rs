//! `serve`: the server itself.

use super::failure::Failure;
use crate::config::Config;

pub(super) fn run(config: Config) -> Result<(), Failure> {
    let _log = crate::log::init(&config);
    // One more than calls may hold: somebody must be there for everything else.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    Ok(runtime.block_on(async { crate::bundled(config).await?.run().await })?)
}
