//! A PostgreSQL.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::authority::{Authority, Identity};
use super::process::{Process, folder, free_port, run};

/// A PostgreSQL of one's own, whose superuser `mcp` needs no password.
pub struct PostgresServer {
    process: Process,
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
}

/// The oldest that will do.
const OLDEST: u32 = 15;

impl PostgresServer {
    /// Starts one with an empty cluster. Where this process is root, it runs as the user `postgres`, or as `nobody`.
    pub fn start() -> Self {
        Self::start_in(folder())
    }

    /// Starts one that also speaks TLS, and shows a certificate for `name`.
    pub fn start_with_tls(authority: &Authority, name: &str) -> Self {
        let folder = folder();
        authority.vouch(name, &folder);
        Self::start_in(folder)
    }

    fn start_in(folder: PathBuf) -> Self {
        let (programs, port) = (programs(), free_port());
        let mut make = Command::new(programs.join("initdb"));
        make.args(["--username=mcp", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        run(unprivileged(make.arg(folder.join("data")), &folder));
        let process = Process::start(server(&programs, &folder, port), folder);
        let server = Self { process, programs, port, databases: AtomicU32::new(0) };
        server.wait();
        server
    }

    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Makes a new database, and gives its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of the database of that name.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://mcp@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL as the superuser, on a connection of its own; gives the rows, a line each, `|` between the columns.
    pub fn query(&self, database: &str, sql: &str) -> String {
        run(self.psql(database).args(["-c", sql]))
    }

    fn psql(&self, database: &str) -> Command {
        let port = self.port.to_string();
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-h", "127.0.0.1", "-U", "mcp", "-p", &port, "-d", database, "-XqAt", "-v", "ON_ERROR_STOP=1"]);
        psql
    }

    /// Runs SQL in a transaction that stays open until what is returned is dropped, and then ends well.
    pub fn hold(&self, database: &str, sql: &str) -> impl Drop + use<> {
        let mut child = self.psql(database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql starts");
        let mut input = child.stdin.take().expect("it is piped");
        writeln!(input, "BEGIN; {sql}; SELECT 'held';").expect("psql reads");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        assert!(said.any(|line| line.is_ok_and(|line| line == "held")), "{sql}: it is not held");
        Held { child, input: Some(input) }
    }

    /// Ends it as its operator does: connections are closed, and what was committed is kept.
    pub fn stop(&self) {
        self.process.end("-INT");
    }

    /// Ends all its processes in the middle of what they do.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port, with the data that it had.
    pub fn restart(&self) {
        // What was killed leaves its number behind, and that may be somebody else's by now.
        let _ = std::fs::remove_file(self.process.folder().join("data/postmaster.pid"));
        self.process.restart(server(&self.programs, self.process.folder(), self.port));
        self.wait();
    }

    /// Stops all its processes in the middle of what they do; connections stay open.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on after [`PostgresServer::freeze`].
    pub fn thaw(&self) {
        self.process.thaw();
    }

    fn wait(&self) {
        let port = self.port.to_string();
        self.process.wait_until(|| {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().is_ok_and(|status| status.success())
        });
    }
}

/// A transaction that is open.
struct Held {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut input) = self.input.take() {
            // Where psql has ended, so has the transaction.
            let _ = writeln!(input, "COMMIT;");
        }
        let _ = self.child.wait();
    }
}

fn server(programs: &Path, folder: &Path, port: u16) -> Command {
    let mut command = Command::new(programs.join("postgres"));
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    for setting in
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "log_min_messages=error"]
    {
        command.args(["-c", setting]);
    }
    let identity = Identity::of(folder);
    if identity.key.exists() {
        let set = |setting: &str, file: &Path| format!("{setting}={}", file.display());
        command.args(["-c", "ssl=on", "-c", &set("ssl_cert_file", &identity.certificate)]);
        command.args(["-c", &set("ssl_key_file", &identity.key)]);
    }
    unprivileged(&mut command, folder);
    command
}

/// PostgreSQL refuses to run as root, so there it runs as another user, to whom the folder is given.
fn unprivileged<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        use std::os::unix::process::CommandExt;
        let owner = folder.metadata().expect("the folder is there").uid();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = user(&users, "postgres").or_else(|| user(&users, "nobody")).unwrap_or((65_534, 65_534));
        if owner == 0 || owner == uid {
            let identity = Identity::of(folder);
            for path in [folder, &identity.certificate, &identity.key].into_iter().filter(|path| path.exists()) {
                chown(path, Some(uid), Some(gid)).expect("root may give away what is its own");
            }
            command.uid(uid).gid(gid);
        }
    }
    command.current_dir(folder)
}

fn user(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields =
        users.lines().map(|line| line.split(':')).find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
    Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The folder with `postgres` and what comes with it: the one on the PATH if it is new enough, else the newest of Debian's.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter_map(|folder| folder.join("postgres").canonicalize().ok());
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin/postgres")).filter(|program| program.exists());
    let found = on_path.chain(debian).map(|program| (version(&program), program));
    let newest = found.max_by_key(|(version, _)| *version).filter(|(version, _)| *version >= OLDEST);
    let (_, program) =
        newest.unwrap_or_else(|| panic!("there is no PostgreSQL {OLDEST} or newer; scripts/test installs it"));
    program.parent().expect("a program is in a folder").to_owned()
}

fn version(program: &Path) -> u32 {
    let said = run(Command::new(program).arg("--version"));
    said.split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty())
        .and_then(|major| major.parse().ok())
        .unwrap_or(0)
}
