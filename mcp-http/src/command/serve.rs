//! `serve`: the server itself.

use super::failure::Failure;
use crate::config::Config;

pub(super) fn run(config: Config) -> Result<(), Failure> {
    let _log = crate::log::init(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(async { crate::bundled(config).await?.run().await })?)
}
