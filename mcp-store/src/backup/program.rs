//! PostgreSQL's own programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sea_orm::sqlx::ConnectOptions;

use super::error::BackupError;
use super::folder::blocking;
use crate::sql::postgres::PostgresDatabase;

/// A program that is there.
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
}

/// A program that is about to run on a database.
pub(super) struct Run {
    name: &'static str,
    command: Command,
}

/// Where Debian has a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

impl Program {
    /// The newest one of that name, on the PATH or where Debian has it: one that is older than the server refuses to work with it.
    pub(super) async fn find(name: &'static str) -> Result<Self, BackupError> {
        blocking(move || {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let on_path = std::env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>();
            let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
            let debian = debian.map(|version| version.path().join("bin").join(name));
            let found = on_path.into_iter().chain(debian).filter_map(|path| Some((version(&path)?, path)));
            let newest = found.max_by_key(|(version, _)| *version);
            let missing = || BackupError::Program {
                program: name,
                problem:
                    "is not on the PATH: install PostgreSQL's client programs, in the server's version or a newer one"
                        .to_owned(),
            };
            newest.map(|(_, path)| Self { name, path }).ok_or_else(missing)
        })
        .await
    }

    /// To be run on `database`: where that is and who we are is told by the environment, which other users do not see.
    pub(super) fn on(&self, database: &PostgresDatabase) -> Run {
        let (options, mut command) = (database.options(), Command::new(&self.path));
        for other in ["PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR", "PGPASSFILE", "PGAPPNAME"] {
            command.env_remove(other);
        }
        let host = options.get_socket().map_or(OsStr::new(options.get_host()), |socket| socket.as_os_str());
        command.env("PGHOST", host).env("PGPORT", options.get_port().to_string());
        command.env("PGUSER", options.get_username()).env("PGCONNECT_TIMEOUT", "10");
        command.env("PGOPTIONS", options.get_options().unwrap_or_default());
        if let Some(name) = options.get_database() {
            command.env("PGDATABASE", name);
        }
        let url = options.to_url_lossy();
        if let Some(password) = url.password() {
            command.env("PGPASSWORD", decoded(password));
        }
        let secured = ["sslmode", "sslrootcert", "sslcert", "sslkey"];
        for (key, value) in url.query_pairs().filter(|(key, _)| secured.contains(&&**key)) {
            command.env(format!("PG{}", key.to_ascii_uppercase()), &*value);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Run { name: self.name, command }
    }
}

impl Run {
    pub(super) fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    pub(super) fn args(&mut self, arguments: impl IntoIterator<Item = &'static str>) -> &mut Self {
        self.command.args(arguments);
        self
    }

    /// Runs it to its end, also where nobody waits for that.
    pub(super) async fn run(mut self) -> Result<(), BackupError> {
        blocking(move || {
            let problem = match self.command.output() {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    let error = said.lines().find_map(|line| Some(line.split_once("error: ")?.1));
                    format!("failed: {}", error.or(said.lines().next()).unwrap_or("it says nothing"))
                }
                Err(error) => format!("does not start: {error}"),
            };
            Err(BackupError::Program { program: self.name, problem })
        })
        .await
    }
}

/// The version of a program, if it is one that runs.
fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    said.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
}

/// A text from a URL as it was.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
