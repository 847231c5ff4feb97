//! What goes, goes as a whole, and is proved to be gone.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::retention::forget;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Outcome};
use mcp_core::store::records::Keep;
use mcp_core::store::threads::{Message, MessageId, Thread, ThreadId};
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tempfile::TempDir;

use super::url;

/// Stores with an audit chain, their clock, and a way past them.
struct House {
    stores: Stores,
    clock: SimulatedClock,
    past: DatabaseConnection,
}

const MANY: u32 = 60;

fn tenant() -> Tenant {
    Tenant::from("a")
}

impl House {
    async fn open(url: &str) -> Self {
        let clock = SimulatedClock::new();
        let mut config = StoreConfig::new(url, Arc::new(clock.clone())).unwrap();
        config.secret_keys = vec![[7; 32]];
        let stores = mcp_store::open(&config).await.unwrap();
        Self { stores, clock, past: sea_orm::Database::connect(url).await.unwrap() }
    }

    /// Gives somebody many records of each kind.
    async fn fill(&self, name: &str) {
        let (stores, owner, at) = (&self.stores, Principal::from(name), self.clock.now());
        let thread = ThreadId::from_u128(1);
        let made = Thread { id: thread, title: String::new(), created: at };
        stores.threads.create(&tenant(), &owner, &made).await.unwrap();
        for n in 0..MANY {
            let bits = u128::from(n) << 8 | u128::from(name.as_bytes()[0]);
            let millis = u128::from(at.as_micros().unsigned_abs() / 1_000);
            let call = CallRecord {
                id: CallId::from_u128(millis << 80 | bits),
                parent: None,
                address: None,
                tenant: tenant(),
                principal: owner.clone(),
                tool: "t".to_owned(),
                arguments: Bytes::from_static(b"{}"),
                outcome: Outcome::Ok,
                result: Bytes::from_static(b"{}"),
                at,
                duration: Duration::ZERO,
                waited: Duration::ZERO,
            };
            stores.ledger.commit(vec![Entry::Call(call)]).await.unwrap();
            let message =
                Message { id: MessageId::from_u128(bits), role: "user".to_owned(), text: format!("said {n}"), at };
            assert!(stores.threads.append(&tenant(), &owner, thread, &message).await.unwrap());
            stores.notes.write(&tenant(), &owner, &n.to_string(), "written").await.unwrap();
        }
        for sessions in [&stores.sessions, &stores.protocol_sessions] {
            sessions.create(&tenant(), &owner, "{}".into(), Duration::from_secs(60)).await.unwrap();
        }
    }

    async fn count(&self, sql: &str) -> i64 {
        let count = Statement::from_string(self.past.get_database_backend(), sql);
        self.past.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    /// How many records of somebody are there, once each is whole: what was begun and left may still be on its way.
    async fn whole(&self, name: &str) -> [usize; 3] {
        for _ in 0..1_000 {
            let [calls, messages, found, notes] = self.seen(name).await;
            if messages == found {
                return [calls, messages, notes];
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a message of {name} is there and not found, or the other way round");
    }

    /// Calls, messages, messages that are found by a word, and notes.
    async fn seen(&self, name: &str) -> [usize; 4] {
        let (stores, owner) = (&self.stores, Principal::from(name));
        let (thread, query) = (
            ThreadId::from_u128(1),
            CallQuery { principal: Some(owner.clone()), limit: u16::MAX, ..CallQuery::default() },
        );
        [
            stores.history.calls(&tenant(), &query).await.unwrap().len(),
            stores.threads.messages(&tenant(), &owner, thread, None, u16::MAX).await.unwrap().len(),
            stores.threads.search(&tenant(), &owner, "said", None, u16::MAX).await.unwrap().len(),
            stores.notes.search(&tenant(), &owner, "written", u16::MAX).await.unwrap().len(),
        ]
    }

    async fn verify(&self) -> (u64, u64) {
        let verified = self.stores.audit.verify().await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        (verified.records, verified.removed)
    }
}

async fn on_both(case: impl AsyncFn(House)) {
    let folder = TempDir::new().unwrap();
    for url in [url(&folder), PostgresServer::shared().database()] {
        case(House::open(&url).await).await;
    }
}

#[tokio::test]
async fn somebody_is_forgotten_and_the_audit_chain_proves_it() {
    on_both(async |house| {
        house.fill("ada").await;
        house.fill("bob").await;
        let forgotten = forget(&house.stores, &tenant(), &Principal::from("ada")).await.unwrap();
        let many = u64::from(MANY);
        // A thread with its messages.
        let some: Vec<_> = forgotten.into_iter().filter(|(_, count)| *count > 0).collect();
        let sessions = [("sessions", 1), ("protocol_sessions", 1)];
        assert_eq!(some, [&[("calls", many), ("messages", many + 1), ("notes", many)][..], &sessions].concat());
        assert_eq!(house.whole("ada").await, [0; 3]);
        assert_eq!(house.whole("bob").await, [MANY as usize; 3]);
        assert_eq!(house.verify().await, (many, many));
        for table in ["mcp_threads", "mcp_sessions", "mcp_protocol_sessions"] {
            assert_eq!(house.count(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
        }
        let again = forget(&house.stores, &tenant(), &Principal::from("ada")).await.unwrap();
        assert!(again.iter().all(|(_, count)| *count == 0), "{again:?}");
    })
    .await;
}

/// Whoever removes is gone after so many steps, and the next goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_the_middle_leaves_whole_records() {
    on_both(async |house| {
        house.fill("ada").await;
        house.clock.advance(Duration::from_secs(3_600));
        house.fill("bob").await;
        let keep = Keep { since: Some(house.clock.now()), most: None };
        let mut left = usize::MAX;
        for steps in (1..90_u32).step_by(2) {
            for records in &house.stores.records {
                let mut removing = pin!(records.expire(keep, 7));
                for _ in 0..steps {
                    let ended = poll_fn(|task| Poll::Ready(removing.as_mut().poll(task).is_ready())).await;
                    if ended {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            let now = house.whole("ada").await;
            assert_eq!(house.whole("bob").await, [MANY as usize; 3], "nothing younger goes");
            let sum = now.iter().sum();
            assert!(sum <= left, "{now:?}");
            left = sum;
        }
        for records in &house.stores.records {
            while records.expire(keep, 500).await.unwrap() > 0 {}
        }
        assert_eq!(house.whole("ada").await, [0; 3]);
        // What was left is written all the same: some may be told to be gone twice.
        let (records, removed) = house.verify().await;
        assert!(records == u64::from(MANY) && removed >= u64::from(MANY), "{records}, {removed}");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_has_ended_goes_and_others_stay() {
    on_both(async |house| {
        house.fill("ada").await;
        house.clock.advance(Duration::from_secs(60));
        house.fill("bob").await;
        // Whoever begins one removes a few that have ended.
        let rooms = ["sessions", "protocol_sessions"];
        let count = async |room: &str| house.count(&format!("SELECT count(*) FROM mcp_{room}")).await;
        let expire = async |room: &str| {
            let sessions = house.stores.records.iter().find(|records| records.kind() == room).unwrap();
            sessions.expire(Keep::default(), 500).await.unwrap()
        };
        house.clock.advance(Duration::from_secs(59));
        for room in rooms {
            assert_eq!((count(room).await, expire(room).await), (1, 0), "{room}");
        }
        house.clock.advance(Duration::from_secs(1));
        for room in rooms {
            assert_eq!((expire(room).await, count(room).await), (1, 0), "{room}");
        }
    })
    .await;
}
