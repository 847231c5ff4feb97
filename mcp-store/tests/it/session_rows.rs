//! What sessions leave behind in a database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::sessions::SessionRoom;
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tempfile::TempDir;

use super::url;

const MOST: u32 = SessionRoom::APPLICATION.of_owner;
const MINUTE: Duration = Duration::from_secs(60);

/// Stores, their clock, and a way past them.
struct Opened {
    stores: Stores,
    clock: SimulatedClock,
    past: DatabaseConnection,
}

impl Opened {
    async fn new(url: &str) -> Self {
        let clock = SimulatedClock::new();
        let stores = mcp_store::open(&StoreConfig::new(url, Arc::new(clock.clone())).unwrap()).await.unwrap();
        let past = sea_orm::Database::connect(url).await.unwrap();
        Self { stores, clock, past }
    }

    async fn create(&self, owner: &str) -> String {
        let (tenant, owner) = (Tenant::from("a"), Principal::from(owner));
        self.stores.sessions.create(&tenant, &owner, "{}".into(), MINUTE).await.unwrap().handle
    }

    async fn rows(&self) -> i64 {
        let count = "SELECT count(*) FROM mcp_sessions";
        let count = Statement::from_string(self.past.get_database_backend(), count);
        self.past.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }
}

#[tokio::test]
async fn what_has_ended_is_removed_in_small_batches_when_something_is_created() {
    let folder = TempDir::new().unwrap();
    for url in [url(&folder), PostgresServer::shared().database()] {
        let opened = Opened::new(&url).await;
        for n in 0..25 {
            opened.create(&n.to_string()).await;
        }
        opened.clock.advance(MINUTE);
        for left in [25 - 10 + 1, 5 + 2, 3] {
            opened.create("another").await;
            assert_eq!(opened.rows().await, left, "{url}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_one_owner_creates_at_once_no_more_stay_than_may() {
    const MANY: usize = 160;
    let folder = TempDir::new().unwrap();
    for url in [url(&folder), PostgresServer::shared().database()] {
        let opened = Opened::new(&url).await;
        for _ in 0..MOST {
            opened.create("ada").await;
        }
        opened.create("bob").await;
        opened.clock.advance(Duration::from_secs(1));
        let created = join_all((0..MANY).map(|_| opened.create("ada"))).await;
        assert_eq!(created.len(), MANY);
        // Two that are created at the same moment may each put out the other, so that there is room for one more.
        let (tenant, most) = (Tenant::from("a"), MOST as usize);
        let of = async |owner: &str| opened.stores.sessions.list(&tenant, &Principal::from(owner)).await.unwrap().len();
        let (adas, bobs, rows) = (of("ada").await, of("bob").await, opened.rows().await);
        assert_eq!((bobs, rows), (1, i64::try_from(adas).unwrap() + 1), "{url}");
        assert!((most - 10..=most).contains(&adas), "{url}: {adas}");
    }
}
