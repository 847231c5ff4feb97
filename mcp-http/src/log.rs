//! The log of the bundled server, on stdout; on stderr where stdout is a client's.

mod json;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};
use json::JsonLines;

/// Installs the log for the whole process, as the configuration says. To be called by a `main`, once; without it, nothing is
/// logged. A process that has a log already keeps it.
pub fn init(config: &Config) {
    install(config, BoxMakeWriter::new(std::io::stdout), std::io::stdout().is_terminal());
}

/// The same on stderr, for a process whose stdout is a client's.
pub fn init_on_stderr(config: &Config) {
    install(config, BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal());
}

fn install(config: &Config, writer: BoxMakeWriter, is_terminal: bool) {
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
            let colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
            let lines = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_ansi(colours)
                .with_target(false)
                .with_writer(writer);
            let _ = lines.try_init();
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::registry().with(filter).with(JsonLines::new(writer));
            let _ = lines.try_init();
        }
    }
}
