//! What callers keep, encrypted.

mod contract;
mod everything;
mod renewed;
mod searched;
mod swapped;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::tokio_runtime::TokioClock;
use mcp_store::test_servers::{PostgresServer, RedisServer};
use mcp_store::{OpenError, StoreConfig};
use sea_orm::{ConnectionTrait, Database, Statement};
use tempfile::TempDir;

use super::url;
use everything::Everything;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// A place for stores, which outlives them.
struct Place {
    folder: TempDir,
    url: String,
    secrets: Vec<[u8; 32]>,
    encrypt: bool,
    index: bool,
    redis: Option<String>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = url(&folder);
        Self { folder, url, secrets: vec![OLD], encrypt: true, index: false, redis: None }
    }

    fn postgres() -> Self {
        Self { url: PostgresServer::shared().database(), ..Self::sqlite() }
    }

    fn config(&self) -> StoreConfig {
        let mut config = StoreConfig::new(&self.url, Arc::new(TokioClock::new())).unwrap();
        config.secret_keys = self.secrets.clone();
        config.encrypt_content = self.encrypt;
        config.index_plaintext = self.index;
        config.redis_url = self.redis.clone();
        // Machines that run tests are slow at times.
        config.redis_deadline = Duration::from_secs(5);
        config.files_url = Some(format!("file:{}/files", self.folder.path().display()));
        config
    }

    async fn open(&self) -> Stores {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<Stores, OpenError> {
        mcp_store::open(&self.config()).await
    }

    /// Runs a statement past the stores, and tells how many rows that concerned.
    async fn run(&self, sql: &str) -> u64 {
        let database = Database::connect(&self.url).await.unwrap();
        let done = database.execute_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
        database.close().await.unwrap();
        done.rows_affected()
    }

    /// All bytes that are on the disk, in the database and in blobs.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = files_under(self.folder.path());
        if self.url.starts_with("postgres") {
            let (server, database) = (PostgresServer::shared(), self.url.rsplit('/').next().unwrap());
            let tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'";
            for table in server.query(database, tables).split_whitespace() {
                let rows = format!("SELECT string_agg(t::text, ' ') FROM {table} AS t");
                bytes.extend(server.query(database, &rows).into_bytes());
            }
        }
        bytes
    }

    /// Whether these bytes are anywhere; PostgreSQL shows bytes as digits.
    fn holds(&self, part: &[u8]) -> bool {
        let (bytes, digits) = (self.bytes(), part.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        holds(part) || holds(digits.as_bytes())
    }
}

fn files_under(folder: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { files_under(&path) } else { std::fs::read(&path).unwrap_or_default() });
    }
    bytes
}

#[tokio::test]
async fn nothing_of_what_is_kept_is_readable_in_databases_and_blobs() {
    for place in [Place::sqlite(), Place::postgres()] {
        let stores = place.open().await;
        let everything = Everything::new();
        everything.write(&stores).await;
        everything.is_kept(&stores).await;
        assert!(stores.audit.verify().await.unwrap().is_whole());
        for (what, bytes) in everything.traces() {
            assert!(!place.holds(&bytes), "{what}");
        }
        // It can be found, where it is there.
        let plain = Place {
            encrypt: false,
            ..if place.url.starts_with("postgres") { Place::postgres() } else { Place::sqlite() }
        };
        let stores = plain.open().await;
        everything.write(&stores).await;
        everything.is_kept(&stores).await;
        for (what, bytes) in everything.traces() {
            assert!(plain.holds(&bytes), "{what}");
        }
    }
}

#[tokio::test]
async fn stores_do_not_open_without_the_key() {
    for mut place in [Place::sqlite(), Place::postgres()] {
        drop(place.open().await);
        place.secrets = vec![NEW];
        let refused = place.try_open().await.err().expect("it is refused").to_string();
        assert!(refused.contains("SECRET_KEYS") && !refused.contains('\n'), "{refused}");
        // Also where only what callers keep is under another key.
        place.secrets = vec![NEW, OLD];
        drop(place.open().await);
        place.run("DELETE FROM mcp_keys WHERE purpose NOT LIKE 'content %'").await;
        place.secrets = vec![[3; 32]];
        let refused = place.try_open().await.err().expect("it is refused").to_string();
        assert!(refused.contains("for content") && refused.contains("SECRET_KEYS"), "{refused}");
        place.secrets = Vec::new();
        place.encrypt = false;
        let refused = place.try_open().await.err().expect("it is refused").to_string();
        assert!(refused.contains("for content") && refused.contains("SECRET_KEYS"), "{refused}");
    }
    let keyless = Place { secrets: Vec::new(), ..Place::sqlite() };
    let refused = keyless.try_open().await.err().expect("it is refused").to_string();
    assert!(refused.contains("SECRET_KEYS"), "{refused}");
}

#[tokio::test]
async fn nothing_of_what_is_kept_is_readable_on_redis() {
    for encrypt in [true, false] {
        let server = RedisServer::start();
        let place = Place { encrypt, redis: Some(server.url()), ..Place::sqlite() };
        let (one, other) = (place.open().await, place.open().await);
        let (tenant, owner, value) = (Tenant::from("a"), Principal::from("ada"), Bytes::from(everything::MARKER));
        let name = "result of quicksand";
        one.cache.store(&tenant, name, value.clone(), everything::HOUR).await.unwrap();
        assert_eq!(other.cache.load(&tenant, name).await.unwrap(), Some(value.clone()));
        for (here, there) in [(&one.sessions, &other.sessions), (&one.protocol_sessions, &other.protocol_sessions)] {
            // One stays as it was created, and one is saved.
            here.create(&tenant, &owner, value.clone(), everything::HOUR).await.unwrap();
            let session = here.create(&tenant, &owner, value.clone(), everything::HOUR).await.unwrap();
            let found = there.load(&tenant, &owner, &session.handle).await.unwrap().unwrap();
            assert_eq!(found.value, value);
            there.save(&tenant, &owner, &session.handle, found.version, value.clone()).await.unwrap();
            assert_eq!(here.load(&tenant, &owner, &session.handle).await.unwrap().unwrap().value, value);
            assert_eq!(here.list(&tenant, &owner).await.unwrap()[0].bytes, value.len());
        }
        const ALL: &str = "
            local all = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
                all[#all + 1] = key
                local kind = redis.call('TYPE', key).ok
                if kind == 'string' then all[#all + 1] = redis.call('GET', key) end
                if kind == 'hash' then all[#all + 1] = table.concat(redis.call('HVALS', key), ' ') end
            end
            return table.concat(all, ' ')";
        let mut past = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
        let all: Vec<u8> = redis::Script::new(ALL).invoke(&mut past).unwrap();
        let holds = |part: &str| all.windows(part.len()).any(|window| window == part.as_bytes());
        assert_eq!((holds(everything::MARKER), holds("quicksand")), (!encrypt, !encrypt));
    }
}
