//! The seams to what is kept: one trait a file, each with its promises, which [`contract`](crate::contract) turns into tests.
//!
//! Every method that serves a caller takes a tenant, and finds nothing of another one.

pub mod api_keys;
pub mod audit;
pub mod blobs;
pub mod cache;
pub mod check;
pub mod events;
pub mod files;
pub mod hex;
pub mod history;
pub(crate) mod id;
pub mod idempotency;
pub mod key;
pub mod leases;
pub mod ledger;
pub mod limits;
pub mod notes;
pub mod principals;
pub mod records;
pub mod replicas;
pub mod runs;
pub mod sessions;
pub mod settings;
pub mod stats;
pub mod threads;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::measure::Collector;
use crate::memory::records::{CallRecords, NoteRecords};
use crate::memory::{
    MemoryBlobs, MemoryCache, MemoryEvents, MemoryFiles, MemoryLeases, MemoryLimits, MemoryPrincipals, MemorySessions,
    MemorySettings, MemoryStore, MemoryThreads,
};
use crate::presence::Presence;
use api_keys::ApiKeys;
use audit::Audit;
use blobs::Blobs;
use cache::Cache;
use check::Check;
use events::Events;
use files::{Caps, Files};
use history::History;
use idempotency::Idempotency;
use leases::Leases;
use ledger::Ledger;
use limits::Limits;
use notes::Notes;
use principals::Principals;
use records::{FileRecords, KeyRecords, Records, RunRecords, SessionRecords};
use replicas::{Replica, Replicas};
use runs::Runs;
use sessions::{SessionRoom, Sessions};
use settings::Settings;
use stats::Stats;
use threads::Threads;

/// One implementation of each storage trait; an embedder may replace any of them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Stores {
    /// The one door through which calls and steps of runs are written.
    pub ledger: Arc<dyn Ledger>,
    /// The calls that were written through it.
    pub history: Arc<dyn History>,
    /// How many of them there were.
    pub stats: Arc<dyn Stats>,
    /// The proof that it is as it was written.
    pub audit: Arc<dyn Audit>,
    /// Calls that may be sent twice.
    pub idempotency: Arc<dyn Idempotency>,
    /// The runs whose steps were written through it.
    pub runs: Arc<dyn Runs>,
    /// Callers' notes.
    pub notes: Arc<dyn Notes>,
    /// What callers said, in order.
    pub threads: Arc<dyn Threads>,
    /// Who may call.
    pub principals: Arc<dyn Principals>,
    /// With what they may.
    pub api_keys: Arc<dyn ApiKeys>,
    /// Results that may be used again.
    pub cache: Arc<dyn Cache>,
    /// Small state that callers come back to.
    pub sessions: Arc<dyn Sessions>,
    /// What clients of the older era have opened, in a room of its own.
    pub protocol_sessions: Arc<dyn Sessions>,
    /// Who is told that something happened.
    pub events: Arc<dyn Events>,
    /// Who does the house's own work.
    pub leases: Arc<dyn Leases>,
    /// Which processes serve from these.
    pub replicas: Arc<dyn Replicas>,
    /// This process among them.
    pub presence: Presence,
    /// How often somebody may do something.
    pub limits: Arc<dyn Limits>,
    /// Small values that somebody set.
    pub settings: Arc<dyn Settings>,
    /// Bytes that are too many for a row; nothing, where there is no place for them.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// Callers' files; nothing, where there is no place for them.
    pub files: Option<Arc<dyn Files>>,
    /// How what they keep goes again, one for each kind of record.
    pub records: Vec<Arc<dyn Records>>,
    /// Whether what they stand on is there, one for each dependency.
    pub checks: Vec<Arc<dyn Check>>,
    /// What they count.
    pub collectors: Vec<Arc<dyn Collector>>,
}

/// The parts of one store that is written through one door: what is read is what its own ledger wrote.
#[derive(Clone)]
pub struct Books {
    /// The door.
    pub ledger: Arc<dyn Ledger>,
    /// The calls that were written through it.
    pub history: Arc<dyn History>,
    /// How many of them there were.
    pub stats: Arc<dyn Stats>,
    /// The links that were written through it.
    pub audit: Arc<dyn Audit>,
    /// The keys of calls that are answered through it.
    pub idempotency: Arc<dyn Idempotency>,
    /// The runs whose steps were written through it.
    pub runs: Arc<dyn Runs>,
    /// The replicas that it takes for alive.
    pub replicas: Arc<dyn Replicas>,
}

impl Books {
    /// One store that is all of them, and takes these replicas for alive.
    pub fn from_one(
        store: Arc<impl Ledger + History + Stats + Audit + Idempotency + Runs>,
        replicas: Arc<dyn Replicas>,
    ) -> Self {
        Self {
            ledger: store.clone(),
            history: store.clone(),
            stats: store.clone(),
            audit: store.clone(),
            idempotency: store.clone(),
            runs: store,
            replicas,
        }
    }
}

impl Stores {
    /// Bundles these; files and blobs are kept nowhere, all others are in this process, on `clock`. Nothing checks or counts, and what
    /// is bundled is kept: see [`Stores::records`].
    pub fn new(books: Books, notes: Arc<dyn Notes>, cache: Arc<dyn Cache>, clock: Arc<dyn Clock>) -> Self {
        let principals = Arc::new(MemoryPrincipals::default());
        let threads = Arc::new(MemoryThreads::default());
        let sessions = Arc::new(MemorySessions::new(clock.clone()));
        let protocol_sessions = Arc::new(MemorySessions::new(clock.clone()).of(SessionRoom::PROTOCOL));
        let runs = Arc::new(RunRecords { runs: books.runs.clone(), ledger: books.ledger.clone() });
        let keys = Arc::new(KeyRecords { keys: books.idempotency.clone(), clock: clock.clone() });
        let this = Replica::new("this process", env!("CARGO_PKG_VERSION"), clock.now());
        Self {
            ledger: books.ledger,
            history: books.history,
            stats: books.stats,
            audit: books.audit,
            idempotency: books.idempotency,
            runs: books.runs,
            notes,
            threads: threads.clone(),
            principals: principals.clone(),
            api_keys: principals,
            cache,
            events: Arc::new(MemoryEvents::default()),
            leases: Arc::new(MemoryLeases::new(clock.clone())),
            limits: Arc::new(MemoryLimits::new(clock.clone())),
            // Nobody else could take over, and so nobody needs to hear of it.
            presence: Presence::new(this, Duration::MAX, books.replicas.clone(), clock.clone()),
            replicas: books.replicas,
            sessions: sessions.clone(),
            protocol_sessions: protocol_sessions.clone(),
            settings: Arc::new(MemorySettings::default()),
            blobs: None,
            files: None,
            records: vec![
                threads,
                Arc::new(SessionRecords { sessions, room: SessionRoom::APPLICATION }),
                Arc::new(SessionRecords { sessions: protocol_sessions, room: SessionRoom::PROTOCOL }),
                runs,
                keys,
            ],
            checks: Vec::new(),
            collectors: Vec::new(),
        }
    }

    /// Keeps everything in this process, bounded, and loses it with the process.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let cache = Arc::new(MemoryCache::new(clock.clone()));
        let replicas = store.replicas();
        let mut stores = Self::new(Books::from_one(store.clone(), replicas), store.clone(), cache, clock.clone());
        let files = Arc::new(MemoryFiles::new(clock.clone(), Caps::default()));
        stores.blobs = Some(Arc::new(MemoryBlobs::new(clock)));
        stores.files = Some(files.clone());
        stores.records.extend([
            Arc::new(CallRecords(store.clone())) as Arc<dyn Records>,
            Arc::new(NoteRecords(store)),
            Arc::new(FileRecords(files)),
        ]);
        stores
    }
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or takes no more at the moment; trying again later may help.
    #[error("the {store} is unavailable")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// What the driver said, for the log.
        #[source]
        source: Option<Cause>,
    },
    /// The store refused this piece of data, or holds one that it cannot read; trying again does not help.
    #[error("the {store} refused the data")]
    Refused {
        /// Which store.
        store: &'static str,
        /// What the driver said, for the log.
        #[source]
        source: Option<Cause>,
    },
    /// The data is not what the caller has seen: somebody changed it meanwhile. Nothing was done; whoever reads it again may try
    /// again.
    #[error("what was seen of the {store} has changed: read it again")]
    Conflict {
        /// Which store.
        store: &'static str,
    },
}

/// The cause of an error, shared between those whom it meets.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;
