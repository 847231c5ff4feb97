//! The bundled server, a process of its own in a folder of its own.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    /// Read no further; while it is there, the server can write.
    _said: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Server {
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        Self::run(Command::new(env!("CARGO_BIN_EXE_bundled")), settings)
    }

    /// What does no more than to write: see [`bare`](crate::bare).
    pub fn start_bare() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare");
        Self::run(command, &[])
    }

    fn run(mut command: Command, settings: &[(&str, &str)]) -> io::Result<Self> {
        let folder = TempDir::new()?;
        command.current_dir(folder.path()).env_clear().env("PORT", "0");
        // All of the crowd come from one address, and are one caller.
        for most in ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS", "STREAMS_PER_CALLER"] {
            command.env(most, "20000");
        }
        command.envs(settings.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the server has no output"))?;
        let mut said = BufReader::new(stdout);
        let port = loop {
            let mut line = String::new();
            if said.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the server ended"));
            }
            if let Some(port) = line.strip_prefix("listening").and_then(|rest| rest.trim().rsplit(':').next()) {
                break port.parse().map_err(io::Error::other)?;
            }
        };
        Ok(Self { child, port, _said: said, _folder: folder })
    }

    /// The memory that is resident, in KiB.
    pub fn resident_kib(&self) -> io::Result<u64> {
        benches::resident_kib(self.child.id())
    }

    /// The processor time that it has taken so far, in microseconds.
    pub fn processor_micros(&self) -> io::Result<u64> {
        benches::processor_micros(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
