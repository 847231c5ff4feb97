//! The log of the bundled server, on stdout.

mod json;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};
use json::JsonLines;

/// Installs the log for the whole process, as the configuration says. To be called by a `main`, once; without it, nothing is
/// logged. A process that has a log already keeps it.
pub fn init(config: &Config) {
    let mut filter = config.log_level.clone();
    if !filter.contains('=') {
        // The level is meant for this server; of the libraries below it, one hears what is wrong.
        filter.push_str(",sea_orm=warn,sea_orm_migration=warn,sqlx=warn,actix_server=warn,hyper=warn,rustls=warn");
    }
    if config.debug_mode {
        filter.push_str(",mcp_core=debug,mcp_store=debug,mcp_http=debug");
    }
    let filter = EnvFilter::new(filter);
    // In both cases an error means that the process has a log.
    match config.log_format {
        LogFormat::Text => {
            let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_target(false);
            let _ = lines.try_init();
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::registry().with(filter).with(JsonLines::new(std::io::stdout));
            let _ = lines.try_init();
        }
    }
}
