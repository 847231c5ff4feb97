//! A Redis.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::{Process, folder, free_port};

/// A Redis of one's own. It writes each change into a file, so that a restart finds its data again.
pub struct RedisServer {
    process: Process,
    port: u16,
}

impl RedisServer {
    /// Starts one with nothing in it.
    pub fn start() -> Self {
        let (folder, port) = (folder(), free_port());
        let mut command = Command::new("redis-server");
        command.current_dir(&folder);
        let server = Self { process: Process::start(with_options(command, port), folder), port };
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
        self.process.end("-KILL");
    }

    /// Starts it again on the same port, with the data that it had.
    pub fn restart(&self) {
        let mut command = Command::new("redis-server");
        command.current_dir(self.process.folder());
        self.process.restart(with_options(command, self.port));
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

fn with_options(mut command: Command, port: u16) -> Command {
    let port = port.to_string();
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--daemonize", "no"]);
    command
}
