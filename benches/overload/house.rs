//! The server, as a process of its own.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use mcp_http::Config;

use crate::burn;

/// The word by which this program is the server.
pub(crate) const WORD: &str = "serve";

const TURNS: &str = "MCP_OVERLOAD_TURNS";

/// A server that runs until it is dropped.
pub(crate) struct House {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
}

/// Is the server.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let turns = std::env::var(TURNS)?.parse()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async { Ok(mcp_http::bundled(Config::load()?).await?.tool(burn::tool(turns)).run().await?) })
}

impl House {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WORD).current_dir(folder.path()).env_clear();
        command.env("PORT", "0").env(TURNS, burn::turns().to_string()).env("MAX_CONNECTIONS_PER_ADDRESS", "10000");
        command.envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        let mut line = String::new();
        while !line.starts_with("listening") {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                return Err("the server did not start".into());
            }
        }
        let address = line.trim().rsplit('/').next().unwrap_or_default().parse()?;
        Ok(Self { child, _stdout: stdout, _folder: folder, address })
    }

    /// The most that it has held in memory so far, in MiB; nothing, where that cannot be known.
    pub(crate) fn most_resident(&self) -> Result<u64, Box<dyn Error>> {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())) else { return Ok(0) };
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
