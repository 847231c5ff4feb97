//! A Redis.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::authority::{Authority, Identity};
use super::process::{Process, folder, free_port};

/// A Redis of one's own. It writes each change into a file, so that a restart finds its data again.
pub struct RedisServer {
    process: Process,
    port: u16,
    tls: Option<u16>,
}

impl RedisServer {
    /// Starts one with nothing in it.
    pub fn start() -> Self {
        Self::start_in(folder(), None)
    }

    /// Starts one that has a second port, on which it speaks TLS, and shows a certificate for `name`.
    pub fn start_with_tls(authority: &Authority, name: &str) -> Self {
        let folder = folder();
        authority.vouch(name, &folder);
        Self::start_in(folder, Some(free_port()))
    }

    fn start_in(folder: PathBuf, tls: Option<u16>) -> Self {
        let port = free_port();
        let server = Self { process: Process::start(command(&folder, port, tls), folder), port, tls };
        server.wait();
        server
    }

    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where it is: `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it speaks TLS: `rediss://localhost:PORT`. Panics where it does not.
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls.expect("it was started with TLS"))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as its operator does.
    pub fn stop(&self) {
        self.process.end("-TERM");
    }

    /// Ends it in the middle of what it does.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port, with the data that it had.
    pub fn restart(&self) {
        self.process.restart(command(self.process.folder(), self.port, self.tls));
        self.wait();
    }

    /// Starts it again on the same port, with nothing in it.
    pub fn restart_empty(&self) {
        // What is not there is gone already.
        let _ = std::fs::remove_dir_all(self.process.folder().join("appendonlydir"));
        let _ = std::fs::remove_file(self.process.folder().join("appendonly.aof"));
        self.restart();
    }

    /// Stops it in the middle of what it does; its connections stay open.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on after [`RedisServer::freeze`].
    pub fn thaw(&self) {
        self.process.thaw();
    }

    fn wait(&self) {
        self.process.wait_until(|| self.answers().unwrap_or(false));
    }

    fn answers(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer == *b"+PONG")
    }
}

fn command(folder: &Path, port: u16, tls: Option<u16>) -> Command {
    let mut command = Command::new("redis-server");
    command.current_dir(folder).args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    // Where the disk is slow, "everysec" acknowledges what a kill loses; who writes and leaves the disk to itself loses nothing by one.
    command.args(["--appendonly", "yes", "--appendfsync", "no", "--daemonize", "no"]);
    if let Some(tls) = tls {
        let identity = Identity::of(folder);
        command.args(["--tls-port", &tls.to_string(), "--tls-auth-clients", "no"]);
        command.arg("--tls-cert-file").arg(&identity.certificate).arg("--tls-ca-cert-file").arg(&identity.certificate);
        command.arg("--tls-key-file").arg(&identity.key);
    }
    command
}
