//! The log of the bundled server, on stdout; on stderr where stdout is a client's; and in a file, where `LOG_FILE` names one.

mod file;
mod followed;
mod json;
mod queue;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use tracing::Subscriber;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Identity, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Config, ConfigError, LogFormat};
use file::RollingFile;
pub(crate) use followed::follow;
use json::JsonLines;
use queue::Queue;

use crate::traces::{self, Counts, Exporter};

/// The log of a process. Dropping it waits a moment until the last lines are written.
#[must_use = "the last lines are written when it is dropped"]
pub struct Log {
    lines: Lines,
    traces: Option<Exporter>,
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces {
            traces.flush();
        }
        for queue in self.lines.0.iter() {
            queue.flush();
        }
    }
}

/// Installs the log for the whole process, as the configuration says. To be called by a `main`, once; without it, nothing is
/// logged. A process that has a log already keeps it.
///
/// Whoever logs waits for nobody: of a reader that is too slow the lines are dropped that find no room, and it is told how many.
///
/// # Errors
/// [`ConfigError`] where `LOG_FILE` cannot be written.
pub fn init(config: &Config) -> Result<Log, ConfigError> {
    install(config, Queue::start("stdout", io::stdout()), io::stdout().is_terminal())
}

/// The same on stderr, for a process whose stdout is a client's.
///
/// # Errors
/// As [`init`].
pub fn init_on_stderr(config: &Config) -> Result<Log, ConfigError> {
    install(config, Queue::start("stderr", io::stderr()), io::stderr().is_terminal())
}

/// Where lines go; each reader has a queue of its own, and is too slow for itself alone.
#[derive(Clone)]
struct Lines(Arc<[Queue]>);

impl Write for Lines {
    /// Takes a whole line: whoever formats one writes it at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for queue in self.0.iter() {
            queue.push(line);
        }
        followed::tell(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn install(config: &Config, out: io::Result<Queue>, is_terminal: bool) -> Result<Log, ConfigError> {
    // Without a thread there is no log; the server can do without it.
    let mut all: Vec<_> = out.into_iter().collect();
    if let Some(path) = &config.log_file {
        let file = RollingFile::open(path, config.log_file_size, config.log_files).map_err(|error| {
            let path = path.display();
            let problem = format!("{path} cannot be written: {error}; name a file in a folder that is there, and in which the server may write");
            config.error("LOG_FILE", problem)
        })?;
        all.extend(Queue::start("file", file));
    }
    let queues = Lines(all.into());
    let (filter, handle) = reload::Layer::new(filter(config));
    let (installed, traces) = match traces::start(config) {
        Some((layer, exporter)) => {
            let lines = lines(config, queues.clone(), is_terminal).with_filter(filter);
            let registry = tracing_subscriber::registry().with(lines).with(layer.with_filter(traces::filter()));
            (registry.try_init(), Some(exporter))
        }
        None => {
            let registry = tracing_subscriber::registry().with(filter);
            (registry.with(lines(config, queues.clone(), is_terminal)).try_init(), None)
        }
    };
    // An error means that the process has a log, which stays as it is.
    if installed.is_ok() {
        let _ = FILTER.set(handle);
        if let Some(exporter) = &traces {
            let _ = TRACES.set(exporter.counts());
        }
    }
    Ok(Log { lines: queues, traces })
}

/// What writes lines.
fn lines<S>(config: &Config, queues: Lines, is_terminal: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    if queues.0.is_empty() {
        return Identity::new().boxed();
    }
    let writer = BoxMakeWriter::new(move || queues.clone());
    match config.log_format {
        LogFormat::Text => {
            // A file has the same lines, and wants none.
            let colours = is_terminal && config.log_file.is_none() && std::env::var_os("NO_COLOR").is_none();
            tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false).with_writer(writer).boxed()
        }
        LogFormat::Json => JsonLines::new(writer).boxed(),
    }
}

/// What is counted of the traces of the process, where this log has begun them.
static TRACES: OnceLock<Arc<Counts>> = OnceLock::new();

/// What is counted of the traces of the process, where there are any.
pub(crate) fn traces() -> Option<Arc<Counts>> {
    TRACES.get().cloned()
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
    // These are for traces alone.
    filter.push_str(",otel=off");
    if config.debug_mode {
        filter.push_str(",mcp_core=debug,mcp_store=debug,mcp_http=debug");
    }
    EnvFilter::new(filter)
}
