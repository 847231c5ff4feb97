//! From a URL to stores.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::clock::Clock;
use mcp_core::presence::Presence;
use mcp_core::store::Books;
use mcp_core::store::audit::{Audit, ChainKey};
use mcp_core::store::blobs::Blobs;
use mcp_core::store::check::Check;
use mcp_core::store::files::Caps;
use mcp_core::store::history::History;
use mcp_core::store::idempotency;
use mcp_core::store::records::{FileRecords, KeyRecords, LinkRecords, RunRecords, SessionRecords};
use mcp_core::store::replicas::{Replica, Replicas};
use mcp_core::store::sessions::{SessionRoom, Sessions};
use mcp_core::tokio_runtime::TokioClock;
use sea_orm::{DatabaseConnection, DbBackend, DbErr};

use crate::blobs;
use crate::cache::LocalCache;
use crate::error::{OpenError, reason};
use crate::ledger::QueuedLedger;
use crate::progress::Progress;
use crate::redis;
use crate::sql::Database;
use crate::sql::audit::SqlAudit;
use crate::sql::calls::SqlCalls;
use crate::sql::chain::Linker;
use crate::sql::check::DatabaseCheck;
use crate::sql::content::Content;
use crate::sql::content::renewal::{Renewal, Renewed};
use crate::sql::files::{SqlFiles, Sweep};
use crate::sql::idempotency::SqlIdempotency;
use crate::sql::keys::{HouseKey, KeyId, Purpose};
use crate::sql::large::{self, LargeBytes, Mover};
use crate::sql::leases::SqlLeases;
use crate::sql::notes::SqlNotes;
use crate::sql::postgres::PostgresDatabase;
use crate::sql::principals::SqlPrincipals;
use crate::sql::principals::api_keys::SqlApiKeys;
use crate::sql::records::{CallRecords, NoteRecords, ThreadRecords};
use crate::sql::replicas::SqlReplicas;
use crate::sql::runs::SqlRuns;
use crate::sql::sessions::SqlSessions;
use crate::sql::settings::SqlSettings;
use crate::sql::sqlite::SqliteFile;
use crate::sql::sqlite::writer::SqliteWriter;
use crate::sql::stats::{CountRecords, SqlStats};
use crate::sql::threads::SqlThreads;

/// What to open.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreConfig {
    pub(crate) location: Location,
    /// Where replicas share results and keep sessions: `redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]`, or `rediss://` with TLS.
    /// Without it the cache is this process's own, and sessions are in the database.
    pub redis_url: Option<String>,
    /// A file with the certificate, in PEM, of the authority that alone vouches for Redis; without it those do that browsers trust.
    pub redis_ca: Option<PathBuf>,
    /// How long Redis may take to answer (150 ms); what takes longer is done without it.
    pub redis_deadline: Duration,
    /// Tells when a note was written, and when a cached value or a session is too old.
    pub clock: Arc<dyn Clock>,
    /// How many bytes the cache holds at the most (64 MiB).
    pub cache_bytes: u64,
    /// Secrets of the operator, the newest first, under which keys of the house are sealed in the database. Replicas have the same.
    /// Without any there are no such keys (none).
    pub secret_keys: Vec<[u8; 32]>,
    /// Whether what callers keep is sealed before it is written, under a key of the house, for which there must be
    /// [`StoreConfig::secret_keys`] (false). What was sealed is opened in any case.
    pub encrypt_content: bool,
    /// Whether the words of what is sealed are kept as they are, so that searches find it (false).
    pub index_plaintext: bool,
    /// How many keys of calls are remembered of one caller (100,000), roughly: of more, those that were answered first are forgotten.
    pub keys_per_caller: usize,
    /// How long this process may be silent before others take over what it was doing (10 s); what it is for is told by
    /// [`Presence`].
    pub replica_lease: Duration,
    /// Where the bytes of files are kept: `file:PATH`, or, with the feature `s3`, `s3://BUCKET/PREFIX`. Without it that is the folder
    /// `files` beside the file of SQLite, and on PostgreSQL, whose replicas share no folder, no files are kept. Without
    /// [`StoreConfig::secret_keys`] none are either.
    pub files_url: Option<String>,
    /// Who we are to the bucket that [`StoreConfig::files_url`] names, and where it is: what a client of S3 has in its environment, such
    /// as `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT_URL`, and `AWS_CA_BUNDLE` for a file with the
    /// authority that alone vouches for it, in PEM (none). The environment itself is not looked at: whoever wants that gives it here,
    /// where names that do not begin with `AWS_` are passed over.
    pub aws: Vec<(String, String)>,
    /// How many sessions of clients of the older era there may be (1,000 of a caller, and 10,000 in all). The name of their room is
    /// always that of [`SessionRoom::PROTOCOL`].
    pub protocol_sessions: SessionRoom,
    /// How large files may be (64 MiB, and 1 GiB for all of an owner's).
    pub file_caps: Caps,
    /// Where it is said how far [`backup`](crate::backup), [`migrate`] and [`renew_content`] are.
    pub progress: Progress,
}

/// Where a database is.
#[derive(Clone)]
pub(crate) enum Location {
    Sqlite(SqliteFile),
    Postgres(Box<PostgresDatabase>),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => file.fmt(f),
            Self::Postgres(postgres) => postgres.fmt(f),
        }
    }
}

impl StoreConfig {
    /// The stores behind `url`, with a cache of 64 MiB: `sqlite:PATH`, such as `sqlite:./data/mcp.db` or
    /// `sqlite:///var/lib/mcp.db?mode=rw`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    ///
    /// # Errors
    /// [`OpenError::Unsupported`] and [`OpenError::Url`]; nothing is opened yet.
    pub fn new(url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let location = match url.split_once(':') {
            Some(("sqlite", _)) => Location::Sqlite(SqliteFile::parse(url)?),
            Some(("postgres" | "postgresql", _)) => Location::Postgres(Box::new(PostgresDatabase::parse(url)?)),
            Some((scheme, _)) => return Err(OpenError::Unsupported { scheme: scheme.to_owned() }),
            None => return Err(OpenError::Url { problem: "the database's URL has no scheme".to_owned() }),
        };
        Ok(Self::at(location, clock))
    }

    /// Stores in the database that a host has connected to, beside its own tables: all names begin with `mcp_`. They have
    /// connections of their own, made with the host's options: a transaction that a host has dropped while it began would
    /// otherwise take our rows with it.
    ///
    /// # Errors
    /// [`OpenError::Unsupported`] where it is neither PostgreSQL nor SQLite.
    pub fn beside(database: &DatabaseConnection) -> Result<Self, OpenError> {
        let location = match database.get_database_backend() {
            DbBackend::Postgres => {
                let options = database.get_postgres_connection_pool().connect_options();
                Location::Postgres(Box::new(PostgresDatabase::with(options.as_ref().clone())))
            }
            DbBackend::Sqlite => {
                let options = database.get_sqlite_connection_pool().connect_options();
                Location::Sqlite(SqliteFile::existing(options.get_filename()))
            }
            other => return Err(OpenError::Unsupported { scheme: format!("{other:?}") }),
        };
        Ok(Self::at(location, Arc::new(TokioClock::new())))
    }

    fn at(location: Location, clock: Arc<dyn Clock>) -> Self {
        let redis_deadline = Duration::from_millis(150);
        Self {
            location,
            redis_url: None,
            redis_ca: None,
            redis_deadline,
            clock,
            cache_bytes: 64 * 1024 * 1024,
            secret_keys: Vec::new(),
            encrypt_content: false,
            index_plaintext: false,
            keys_per_caller: idempotency::MOST,
            replica_lease: Presence::LEASE,
            files_url: None,
            aws: Vec::new(),
            protocol_sessions: SessionRoom::PROTOCOL,
            file_caps: Caps::default(),
            progress: Progress::default(),
        }
    }
}

impl StoreConfig {
    /// Where the bytes of files are kept, if anywhere.
    pub(crate) fn place_of_files(&self) -> Result<Option<blobs::Location>, OpenError> {
        match (&self.files_url, &self.location) {
            (Some(url), _) => blobs::Location::parse(url).map(Some),
            (None, Location::Sqlite(file)) => Ok(Some(blobs::Location::Folder(file.folder().join("files")))),
            (None, Location::Postgres(_)) => Ok(None),
        }
    }
}

impl StoreConfig {
    /// Connects to a database whose tables are there.
    pub(crate) async fn connect(&self) -> Result<Database, OpenError> {
        match &self.location {
            Location::Postgres(postgres) => postgres.connect().await,
            Location::Sqlite(file) => file.connect().await,
        }
    }

    /// This process, before it has joined the others. What replicas share is on Redis: without it, there can be but one on PostgreSQL.
    fn presence(&self, replicas: Arc<dyn Replicas>) -> Presence {
        let mut replica = Replica::new(host(), env!("CARGO_PKG_VERSION"), self.clock.now());
        replica.alone = matches!(self.location, Location::Postgres(_)) && self.redis_url.is_none();
        Presence::new(replica, self.replica_lease, replicas, self.clock.clone())
    }
}

/// The name of this machine, for people to read.
fn host() -> String {
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let known = known.or_else(|| std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok());
    known.map_or_else(|| "an unnamed machine".to_owned(), |name| name.trim().to_owned())
}

impl fmt::Debug for StoreConfig {
    /// Without a password or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("location", &format_args!("{}", self.location))
            .field("redis_url", &self.redis_url.as_ref().map(|_| format_args!("…")))
            .field("redis_ca", &self.redis_ca)
            .field("redis_deadline", &self.redis_deadline)
            .field("cache_bytes", &self.cache_bytes)
            .field("encrypt_content", &self.encrypt_content)
            .field("index_plaintext", &self.index_plaintext)
            .field("keys_per_caller", &self.keys_per_caller)
            .field("replica_lease", &self.replica_lease)
            .field("protocol_sessions", &self.protocol_sessions)
            .field("file_caps", &self.file_caps)
            .finish_non_exhaustive()
    }
}

/// Opens the stores, makes what is missing (the file of SQLite and its folder, the tables), and brings the tables to this version.
///
/// To be called on the tokio runtime that is to write: it stops writing when that runtime ends. An empty
/// [`commit`](mcp_core::store::ledger::Ledger::commit) waits until all is written. Who serves from them joins the other replicas by
/// [`Server::join`](mcp_core::Server::join); who only works on them does not.
///
/// # Errors
/// [`OpenError`], in one line that names what is wrong and how to mend it.
pub async fn open(config: &StoreConfig) -> Result<Stores, OpenError> {
    let place = config.place_of_files()?;
    migrate(config).await?;
    let database = config.connect().await?;
    let files_key = HouseKey::load(&database, &config.secret_keys, Purpose::Files).await?;
    let place = match place.filter(|_| files_key.is_some()) {
        Some(place) => Some(place.open(&config.aws).await?),
        None => None,
    };
    let audit_key = HouseKey::load(&database, &config.secret_keys, Purpose::Audit).await?;
    let seals = (config.encrypt_content, config.index_plaintext);
    let content = Content::load(&database, &config.secret_keys, audit_key.as_ref(), seals).await?;
    let large = LargeBytes::new(place.as_ref().map(|place| place.blobs.clone())).opening(content.clone());
    let key = audit_key.as_ref().map(chain_key);
    let linker = Linker::new(key.clone(), config.clock.clone()).sealing(content.clone());
    let ledger = Arc::new(match &config.location {
        Location::Postgres(postgres) => QueuedLedger::start(postgres.writer(linker).sealing(content.clone())),
        Location::Sqlite(_) => {
            let writer = SqliteWriter::new(database.clone(), linker).clock(config.clock.clone());
            QueuedLedger::start(writer.sealing(content.clone()))
        }
    });
    let audit = SqlAudit::new(database.clone(), key, large.clone(), Some(ledger.clone()));
    let cache = Arc::new(LocalCache::new(config.clock.clone(), config.cache_bytes));
    let mut stores = Stores::new(
        Books {
            ledger: ledger.clone(),
            history: Arc::new(SqlCalls::new(database.clone(), large.clone())),
            stats: Arc::new(SqlStats::new(database.clone())),
            audit: Arc::new(audit),
            idempotency: Arc::new(
                SqlIdempotency::new(database.clone(), config.clock.clone(), config.keys_per_caller)
                    .sealing(content.clone()),
            ),
            runs: Arc::new(SqlRuns::new(database.clone(), config.clock.clone(), large)),
            replicas: Arc::new(SqlReplicas::new(database.clone(), config.clock.clone())),
        },
        Arc::new(SqlNotes::new(database.clone(), config.clock.clone()).sealing(content.clone())),
        cache.clone(),
        config.clock.clone(),
    );
    stores.threads = Arc::new(SqlThreads::new(database.clone()).sealing(content.clone()));
    stores.principals = Arc::new(SqlPrincipals::new(database.clone()));
    stores.api_keys = Arc::new(SqlApiKeys::new(database.clone()));
    let protocol = SessionRoom { name: SessionRoom::PROTOCOL.name, ..config.protocol_sessions };
    let room = |room| SqlSessions::new(database.clone(), config.clock.clone(), room).sealing(content.clone());
    let sessions = Arc::new(room(SessionRoom::APPLICATION));
    // One process at a time serves clients of the older era out of a database; a tool's sessions belong to those over stdio as well.
    let protocol_sessions = Arc::new(room(protocol).remembering());
    stores.sessions = sessions.clone();
    stores.protocol_sessions = protocol_sessions.clone();
    stores.settings = Arc::new(SqlSettings::new(database.clone()));
    stores.leases = Arc::new(SqlLeases::new(database.clone(), config.clock.clone()));
    stores.presence = config.presence(stores.replicas.clone());
    stores.records = vec![
        Arc::new(CallRecords::new(database.clone(), ledger.clone())),
        Arc::new(ThreadRecords::new(database.clone())),
        Arc::new(NoteRecords::new(database.clone())),
        Arc::new(RunRecords { runs: stores.runs.clone(), ledger: ledger.clone() }),
        Arc::new(KeyRecords { keys: stores.idempotency.clone(), clock: config.clock.clone() }),
        Arc::new(LinkRecords(stores.audit.clone())),
        Arc::new(CountRecords::new(database.clone(), config.clock.clone())),
    ];
    if let (Some(place), Some(key)) = (place, files_key) {
        keep_files(&mut stores, config, &database, place, (&key, &content));
    }
    if let Some(files) = &stores.files {
        stores.records.push(Arc::new(FileRecords(files.clone())));
    }
    stores.collectors.push(Arc::new(database.clone()));
    stores.checks.push(Arc::new(DatabaseCheck::new(database, ledger.clone())));
    stores.checks.extend(stores.blobs.clone().map(|blobs| Arc::new(blobs::BlobCheck(blobs)) as Arc<dyn Check>));
    stores.collectors.push(ledger);
    if let Some(url) = &config.redis_url {
        let url = (url.as_str(), config.redis_ca.as_deref());
        redis::share(&mut stores, url, config.redis_deadline, cache, protocol, &config.clock, &content).await?;
        let records =
            |sessions: &Arc<dyn Sessions>, room| Arc::new(SessionRecords { sessions: sessions.clone(), room });
        stores.records.push(records(&stores.sessions, SessionRoom::APPLICATION));
        stores.records.push(records(&stores.protocol_sessions, protocol));
    } else {
        stores.records.push(sessions);
        stores.records.push(protocol_sessions);
    }
    Ok(stores)
}

/// Puts a place for files into `stores`.
fn keep_files(
    stores: &mut Stores,
    config: &StoreConfig,
    database: &Database,
    place: blobs::Opened,
    (key, content): (&HouseKey, &Content),
) {
    let blobs::Opened { blobs, folder } = place;
    let sweep = Arc::new(Sweep {
        database: database.clone(),
        blobs: blobs.clone(),
        folder,
        leases: stores.leases.clone(),
        clock: config.clock.clone(),
    });
    sweep.start();
    let mover = Arc::new(Mover {
        database: database.clone(),
        blobs: blobs.clone(),
        leases: stores.leases.clone(),
        clock: config.clock.clone(),
    });
    mover.start();
    let clock = config.clock.clone();
    let files = SqlFiles::new(database.clone(), blobs.clone(), key, config.file_caps, clock, sweep, mover)
        .sealing(content.clone());
    stores.files = Some(Arc::new(files));
    stores.blobs = Some(blobs);
}

/// Opens stores in the database that a host has connected to, as [`StoreConfig::beside`] describes.
///
/// ```no_run
/// # async fn open(db: sea_orm::DatabaseConnection) -> Result<(), mcp_store::OpenError> {
/// let stores = mcp_store::beside(&db).await?;
/// # let _ = stores;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`open`].
pub async fn beside(database: &DatabaseConnection) -> Result<Stores, OpenError> {
    open(&StoreConfig::beside(database)?).await
}

fn chain_key(key: &HouseKey) -> ChainKey {
    ChainKey::new(key.bytes())
}

/// What was recorded, and what proves it.
#[non_exhaustive]
pub struct Recorded {
    /// The chains.
    pub audit: Arc<dyn Audit>,
    /// The calls.
    pub history: Arc<dyn History>,
}

/// What was recorded in a database of this version, to be read and verified beside those who write it: nothing is made or migrated.
///
/// # Errors
/// As [`open`]; [`OpenError::Sealed`] also where none of [`StoreConfig::secret_keys`] opens the key of the chain.
pub async fn recorded(config: &StoreConfig) -> Result<Recorded, OpenError> {
    let database = config.connect().await?;
    // The place is not asked, nor made, unless something is there that is proven.
    let unreadable =
        |error: DbErr| OpenError::Migration { place: config.location.to_string(), source: error.to_string().into() };
    let place = if large::is_used(&database).await.map_err(unreadable)? { config.place_of_files()? } else { None };
    let blobs = match place {
        Some(place) => Some(place.open(&config.aws).await?.blobs),
        None => None,
    };
    let (audit, large) = audit_of(config, database.clone(), blobs).await?;
    Ok(Recorded { audit, history: Arc::new(SqlCalls::new(database, large)) })
}

/// The chains in a database, large records of which are in `blobs`, and what opens the records.
pub(crate) async fn audit_of(
    config: &StoreConfig,
    database: Database,
    blobs: Option<Arc<dyn Blobs>>,
) -> Result<(Arc<dyn Audit>, LargeBytes), OpenError> {
    let key = HouseKey::existing(&database, &config.secret_keys, Purpose::Audit).await?;
    let content = Content::existing(&database, &config.secret_keys, key.as_ref()).await?;
    let large = LargeBytes::new(blobs).opening(content);
    Ok((Arc::new(SqlAudit::new(database, key.as_ref().map(chain_key), large.clone(), None)), large))
}

/// Brings what callers keep in the database and in blobs to how `config` says: sealed under the newest key where
/// [`StoreConfig::encrypt_content`] is set, and plain where it is not; with the words of texts kept for searches, or without. Tells how
/// many rows of which tables were not so. Where `only_counts` is set, that is all it does.
///
/// It may be done beside those who serve, and as often as one likes. What is cached, and sessions on Redis, are not looked at: they end
/// by themselves.
///
/// # Errors
/// As [`open`]; [`OpenError::Content`] where something cannot be opened or written.
pub async fn renew_content(config: &StoreConfig, only_counts: bool) -> Result<Vec<Renewed>, OpenError> {
    let database = config.connect().await?;
    let secrets = &config.secret_keys;
    let key = HouseKey::load(&database, secrets, Purpose::Audit).await?;
    let seals = (config.encrypt_content, config.index_plaintext);
    let content = Content::load(&database, secrets, key.as_ref(), seals).await?;
    let blobs = match config.place_of_files()?.filter(|_| key.is_some()) {
        Some(place) => Some(place.open(&config.aws).await?.blobs),
        None => None,
    };
    let leases = Arc::new(SqlLeases::new(database.clone(), config.clock.clone()));
    let (clock, progress) = (config.clock.clone(), config.progress.clone());
    let renewal = Renewal { database, content, blobs, leases, clock, only_counts, progress };
    renewal.run().await.map_err(|error| OpenError::Content { source: reason(&error).into() })
}

/// Brings the tables to this version, and tells which migrations that took. [`open`] does the same.
///
/// # Errors
/// As [`open`].
pub async fn migrate(config: &StoreConfig) -> Result<Vec<String>, OpenError> {
    match &config.location {
        Location::Postgres(postgres) => postgres.migrate(&config.progress).await,
        Location::Sqlite(file) => file.migrate(&config.progress).await,
    }
}

/// Which migrations [`migrate`] would run. It changes nothing, and makes no file.
///
/// # Errors
/// As [`open`].
pub async fn pending_migrations(config: &StoreConfig) -> Result<Vec<String>, OpenError> {
    match &config.location {
        Location::Postgres(postgres) => postgres.pending_migrations().await,
        Location::Sqlite(file) => file.pending_migrations().await,
    }
}

/// Which keys the house keeps in the database, and which of [`StoreConfig::secret_keys`] each is sealed under: whoever uses a copy
/// of the database needs those.
///
/// # Errors
/// As [`open`].
pub async fn key_ids(config: &StoreConfig) -> Result<Vec<KeyId>, OpenError> {
    let database = config.connect().await?;
    let unreadable =
        |error: DbErr| OpenError::Migration { place: config.location.to_string(), source: error.to_string().into() };
    KeyId::all(database.readers()).await.map_err(unreadable)
}
