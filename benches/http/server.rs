//! The two servers that are measured, each a process of its own.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use benches::echo::Echo;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Hello,
    Baseline,
}

impl Program {
    /// Starts it on this port of the loopback.
    pub fn command(self, port: u16) -> Command {
        let mut command = Command::new(match self {
            Self::Hello => env!("CARGO_BIN_EXE_hello"),
            Self::Baseline => env!("CARGO_BIN_EXE_baseline"),
        });
        command.env("PORT", port.to_string());
        command
    }

    /// What it must answer.
    pub fn answer(self, echo: &Echo) -> String {
        match self {
            Self::Hello => echo.answer(),
            Self::Baseline => echo.plain_answer(),
        }
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Asks a process that was started here to end.
pub fn terminate(child: &Child) -> io::Result<()> {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the server ended before it was told to")) }
}

/// A server as it is, which is killed when this is dropped.
pub struct Native(Child);

impl Native {
    pub fn start(program: Program, port: u16) -> io::Result<Self> {
        program.command(port).stdin(Stdio::null()).stdout(Stdio::null()).spawn().map(Self)
    }

    /// The processor time it has taken so far, in microseconds.
    pub fn processor_micros(&self) -> io::Result<u64> {
        benches::processor_micros(self.0.id())
    }

    /// The memory that is resident, in KiB.
    pub fn resident_kib(&self) -> io::Result<u64> {
        benches::resident_kib(self.0.id())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
