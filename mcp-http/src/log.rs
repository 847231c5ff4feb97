//! The log of the bundled server, on stdout.

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Installs the log for the whole process, as the configuration says. To be called by a `main`, once; without it, nothing is
/// logged. A process that has a log already keeps it.
pub fn init(config: &Config) {
    let level = if config.debug_mode {
        format!("{},mcp_core=debug,mcp_store=debug,mcp_http=debug", config.log_level)
    } else {
        config.log_level.clone()
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level));
    // An error means that the process has a log.
    let _ = match config.log_format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
