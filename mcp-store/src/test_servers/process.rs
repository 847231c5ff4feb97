//! A server that runs as a process, and can be made to fail as processes do.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The process, its folder, and what ends both when this process ends.
pub(super) struct Process {
    folder: PathBuf,
    child: Mutex<Child>,
    /// A shell that reads until its other end is gone, which is here, and then cleans up.
    undertaker: Child,
}

/// Where a process writes its number, in its folder.
pub(super) const PID_FILE: &str = "pid";

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(120);

impl Process {
    /// Runs `command` in `folder`, which is removed when this process ends.
    pub(super) fn start(mut command: Command, folder: PathBuf) -> Self {
        let child = Mutex::new(spawn(&mut command, &folder));
        // Also what was stopped in the middle ends. A quit is how PostgreSQL takes its own processes with it.
        let clean = "read -r _; pid=$(cat \"$1/pid\"); pkill -CONT -P \"$pid\"; kill -CONT \"$pid\"; kill -QUIT \"$pid\"; \
                     sleep 0.2; kill -KILL \"$pid\"; rm -rf \"$1\"";
        let undertaker = Command::new("sh")
            .args(["-c", clean, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("sh does not start: {error}"));
        let process = Self { folder, child, undertaker };
        process.note();
        process
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the command again, after the process has ended.
    pub(super) fn restart(&self, mut command: Command) {
        *self.child() = spawn(&mut command, &self.folder);
        self.note();
    }

    /// Sends a signal and waits until the process has ended.
    pub(super) fn end(&self, signal: &str) {
        self.signal(signal);
        let mut child = self.child();
        let begun = Instant::now();
        while child.try_wait().expect("a child can be waited for").is_none() {
            assert!(begun.elapsed() < PATIENCE, "the server does not end after {signal}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process and those that it started at once. They are stopped before, so that none begins anything over the end of
    /// another.
    pub(super) fn kill(&self) {
        self.freeze();
        self.signal_children("-KILL");
        self.end("-KILL");
    }

    /// Stops the process and those that it started in the middle of what they do.
    pub(super) fn freeze(&self) {
        self.signal("-STOP");
        self.signal_children("-STOP");
    }

    /// Lets them go on.
    pub(super) fn thaw(&self) {
        self.signal_children("-CONT");
        self.signal("-CONT");
    }

    /// Asks `is_ready` until it says yes.
    pub(super) fn wait_until(&self, is_ready: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_ready() {
            let ended = self.child().try_wait().expect("a child can be waited for");
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if let Some(status) = ended {
                panic!("the server ended with {status}: {}", log());
            }
            assert!(begun.elapsed() < PATIENCE, "the server is not ready: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) {
        run(Command::new("kill").arg(signal).arg(self.child().id().to_string()));
    }

    fn signal_children(&self, signal: &str) {
        // There may be none.
        let _ = Command::new("pkill").arg(signal).arg("-P").arg(self.child().id().to_string()).status();
    }

    fn note(&self) {
        let pid = self.child().id().to_string();
        std::fs::write(self.folder.join(PID_FILE), pid).expect("the folder can be written to");
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.undertaker.stdin.take());
        // It has no more to say than that it is done.
        let _ = self.undertaker.wait();
        let _ = self.child().wait();
    }
}

fn spawn(command: &mut Command, folder: &Path) -> Child {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log can be made");
    let errors = log.try_clone().expect("a file can be shared");
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()))
}

/// A folder that nobody removes but the undertaker.
pub(super) fn folder() -> PathBuf {
    tempfile::Builder::new().prefix("mcp-test-").tempdir().expect("a temporary folder can be made").keep()
}

/// A port where nothing listens. It is below those that the system gives out by itself: no other listener of a test is given it
/// while its server starts, and who still looks for a server that has ended finds nobody else there.
///
/// # Panics
/// Where none of 20,000 is free.
pub fn free_port() -> u16 {
    const LOWEST: u32 = 10_000;
    const PORTS: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin apart.
    let first = std::process::id().wrapping_mul(97);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let next =
        || u16::try_from(LOWEST + first.wrapping_add(TAKEN.fetch_add(1, Relaxed)) % PORTS).expect("it is a port");
    std::iter::repeat_with(next).take(PORTS as usize).find(is_free).expect("a port is free")
}

/// Runs a command to its end, and gives what it printed.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("{:?} is not installed; scripts/test installs it", command.get_program()),
        _ => panic!("{:?} does not start: {error}", command.get_program()),
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}
