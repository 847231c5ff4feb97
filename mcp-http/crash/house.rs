//! The servers, what they stand on, and what befalls them.

use std::error::Error;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_store::test_servers::{PostgresServer, PowerCut, RedisServer};
use tempfile::TempDir;

use super::options::Options;
use super::{random, server, wait};

/// All that runs; it ends with this.
pub struct House {
    servers: Arc<Servers>,
    processes: Vec<Process>,
    settings: Vec<(&'static str, String)>,
    power: Option<PowerCut>,
    folder: TempDir,
    lives: usize,
    strikes: Strikes,
    database: Option<String>,
    _stands_on: Option<(PostgresServer, RedisServer)>,
}

/// Where the servers are that can be called.
#[derive(Default)]
pub struct Servers(Mutex<Vec<Option<String>>>);

/// A process that serves.
struct Process(Child);

/// What befalls servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strikes {
    Kills,
    Stops,
    Both,
}

/// How long a replica may be silent before others take over what it was doing.
const LEASE: Duration = Duration::from_secs(2);

impl House {
    pub fn build(options: &Options, witness: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let mut settings = vec![
            ("PORT", "0".to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
            ("REPLICA_LEASE", format!("{}s", LEASE.as_secs())),
            ("RUN_LEASE", format!("{}s", LEASE.as_secs())),
            (server::WITNESS, witness.to_string()),
        ];
        settings.extend(options.sabotage.clone().map(|name| (server::SABOTAGE, name)));
        let stands_on = (!options.sqlite).then(|| (PostgresServer::start(), RedisServer::start()));
        let mut database = None;
        if let Some((postgres, redis)) = &stands_on {
            let url = postgres.database();
            settings.push(("DATABASE_URL", url.clone()));
            settings.push(("REDIS_URL", redis.url()));
            settings.push(("SECRET_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()));
            database = Some(url);
        }
        let mut house = Self {
            servers: Arc::default(),
            processes: Vec::new(),
            settings,
            power: None,
            folder: TempDir::new()?,
            lives: 0,
            strikes: match options.sabotage.as_deref() {
                _ if options.sqlite => Strikes::Kills,
                // What is stopped in the middle goes on, and loses nothing; what is killed never comes back to what others have.
                Some("early-ack") => Strikes::Kills,
                Some("no-fence") => Strikes::Stops,
                _ => Strikes::Both,
            },
            database,
            _stands_on: stands_on,
        };
        std::fs::create_dir(house.life())?;
        if options.power_cut {
            house.power = Some(PowerCut::of(&house.life()));
        }
        for number in 0..if options.sqlite { 1 } else { 3 } {
            house.servers.lock().push(None);
            let process = house.start(number)?;
            house.processes.push(process);
        }
        Ok(house)
    }

    pub fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// The URL of what the servers write into.
    pub fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite://{}/data/mcp.db?mode=rw", self.life().display()))
    }

    /// Where servers run: another folder after each power cut.
    fn life(&self) -> PathBuf {
        self.folder.path().join(format!("life-{}", self.lives))
    }

    /// Kills a server and starts it again, or stops it for longer than its lease. Tells which.
    pub fn strike(&mut self) -> Result<String, Box<dyn Error>> {
        let number = random(self.processes.len());
        let kills = match self.strikes {
            Strikes::Kills => true,
            Strikes::Stops => false,
            Strikes::Both => random(2) == 0,
        };
        if kills {
            self.processes[number].kill()?;
            self.servers.lock()[number] = None;
            self.cut_power()?;
            self.processes[number] = self.start(number)?;
            return Ok(format!(
                "server {number} was {}",
                if self.power.is_some() { "without power" } else { "killed" }
            ));
        }
        self.processes[number].signal("-STOP")?;
        // What it was last heard of may have been a moment before, and whoever takes over looks a moment later.
        std::thread::sleep(LEASE * 3 / 2 + Duration::from_millis(random(1_000) as u64));
        self.processes[number].signal("-CONT")?;
        Ok(format!("server {number} was stopped"))
    }

    /// Whether the audit chains are whole, as the server's own command finds.
    pub fn verifies(&self) -> io::Result<bool> {
        let mut command = self.command()?;
        Ok(command.args([server::AUDIT, "verify"]).stdin(Stdio::null()).status()?.success())
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.current_dir(self.life()).envs(self.settings.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }

    fn cut_power(&mut self) -> io::Result<()> {
        if let Some(power) = self.power.take() {
            self.lives += 1;
            power.leave(&self.life());
            self.power = Some(PowerCut::of(&self.life()));
        }
        Ok(())
    }

    /// Starts a server, and waits until it serves.
    fn start(&self, number: usize) -> Result<Process, Box<dyn Error>> {
        let said = self.folder.path().join(format!("said-{number}"));
        let errors =
            File::options().create(true).append(true).open(self.folder.path().join(format!("log-{number}")))?;
        let mut command = self.command()?;
        command.arg(server::WORD);
        command.stdin(Stdio::piped()).stdout(File::create(&said)?).stderr(errors);
        if let Some(power) = &self.power {
            power.befalls(&mut command);
        }
        let process = Process(command.spawn()?);
        wait("a server serves", || address(&said).is_some()).map_err(|error| {
            let log = std::fs::read_to_string(self.folder.path().join(format!("log-{number}"))).unwrap_or_default();
            format!("{error}: {log}")
        })?;
        self.servers.lock()[number] = address(&said);
        Ok(process)
    }
}

/// What a server says first: `listening  URL`, on a whole line.
fn address(said: &Path) -> Option<String> {
    let said = std::fs::read_to_string(said).ok()?;
    let (line, _) = said.split_once('\n')?;
    line.strip_prefix("listening").map(|url| url.trim().to_owned())
}

impl Servers {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL of one of them, if there is one.
    pub fn any(&self, random: impl Fn(usize) -> usize) -> Option<String> {
        let servers = self.lock();
        servers.get(random(servers.len()))?.clone()
    }
}

impl Process {
    fn signal(&self, signal: &str) -> io::Result<()> {
        let sent = Command::new("kill").arg(signal).arg(self.0.id().to_string()).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other(format!("kill {signal}: {sent}"))) }
    }

    /// Ends it in the middle of what it does.
    fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}
