//! The log of the bundled server, on stdout; on stderr where stdout is a client's.

mod json;
mod queue;

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Config, LogFormat};
use json::JsonLines;
use queue::Queue;

/// The log of a process. Dropping it waits a moment until the last lines are written.
#[must_use = "the last lines are written when it is dropped"]
pub struct Log(Option<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            queue.flush();
        }
    }
}

/// Installs the log for the whole process, as the configuration says. To be called by a `main`, once; without it, nothing is
/// logged. A process that has a log already keeps it.
///
/// Whoever logs waits for nobody: of a reader that is too slow the lines are dropped that find no room, and it is told how many.
pub fn init(config: &Config) -> Log {
    install(config, std::io::stdout(), std::io::stdout().is_terminal())
}

/// The same on stderr, for a process whose stdout is a client's.
pub fn init_on_stderr(config: &Config) -> Log {
    install(config, std::io::stderr(), std::io::stderr().is_terminal())
}

fn install(config: &Config, out: impl Write + Send + 'static, is_terminal: bool) -> Log {
    // Without a thread there is no log; the server can do without it.
    let Ok(queue) = Queue::start(out) else { return Log(None) };
    let lines = queue.clone();
    let writer = BoxMakeWriter::new(move || lines.clone());
    let (filter, handle) = reload::Layer::new(filter(config));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match config.log_format {
        LogFormat::Text => {
            let colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
            let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false).with_writer(writer);
            registry.with(lines).try_init()
        }
        LogFormat::Json => registry.with(JsonLines::new(writer)).try_init(),
    };
    // An error means that the process has a log, which stays as it is.
    if installed.is_ok() {
        let _ = FILTER.set(handle);
    }
    Log(Some(queue))
}

/// Which lines are written, where the log of the process is this one.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// From now on writes what `config` says, if the log of the process is this one.
pub(crate) fn change(config: &Config) {
    if let Some(handle) = FILTER.get() {
        // It fails only where the log is gone.
        let _ = handle.reload(filter(config));
    }
}

fn filter(config: &Config) -> EnvFilter {
    let mut filter = config.log_level.clone();
    if !filter.contains('=') {
        // The level is meant for this server; of the libraries below it, one hears what is wrong.
        filter.push_str(",sea_orm=warn,sea_orm_migration=warn,sqlx=warn,actix_server=warn,hyper=warn,rustls=warn");
    }
    if config.debug_mode {
        filter.push_str(",mcp_core=debug,mcp_store=debug,mcp_http=debug");
    }
    EnvFilter::new(filter)
}
