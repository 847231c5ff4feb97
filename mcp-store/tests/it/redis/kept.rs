//! Sessions that replicas share.

use mcp_core::caller::Principal;
use mcp_core::store::sessions::{LARGEST, Saved, StoredSession};

use super::outages::until;
use super::*;

fn caller() -> (Tenant, Principal) {
    (Tenant::from("a"), Principal::from("ada"))
}

impl Replica {
    async fn create(&self, idle: Duration) -> StoredSession {
        let (tenant, owner) = caller();
        self.stores.sessions.create(&tenant, &owner, "{}".into(), idle).await.unwrap()
    }

    async fn load(&self, handle: &str) -> Result<Option<StoredSession>, StoreError> {
        let (tenant, owner) = caller();
        self.stores.sessions.load(&tenant, &owner, handle).await
    }

    async fn save(&self, session: &StoredSession, value: &'static str) -> Result<Saved, StoreError> {
        let (tenant, owner) = caller();
        self.stores.sessions.save(&tenant, &owner, &session.handle, session.version, value.into()).await
    }

    async fn remove(&self, handle: &str) -> Result<bool, StoreError> {
        let (tenant, owner) = caller();
        self.stores.sessions.remove(&tenant, &owner, handle).await
    }

    async fn handles(&self) -> Result<Vec<String>, StoreError> {
        let (tenant, owner) = caller();
        let listed = self.stores.sessions.list(&tenant, &owner).await?;
        Ok(listed.into_iter().map(|info| info.handle).collect())
    }

    /// Whether all that is asked of sessions is answered by this alone, that the store is away.
    async fn says_that_sessions_are_away(&self, session: &StoredSession) {
        fn is_away<T>(answer: Result<T, StoreError>) -> bool {
            matches!(answer, Err(StoreError::Unavailable { store: "store of sessions", .. }))
        }
        let (tenant, owner) = caller();
        assert!(is_away(self.stores.sessions.create(&tenant, &owner, "{}".into(), LONG).await));
        assert!(is_away(self.load(&session.handle).await));
        assert!(is_away(self.load("none").await));
        assert!(is_away(self.save(session, "lost").await));
        assert!(is_away(self.handles().await));
        assert!(is_away(self.remove("none").await));
    }
}

#[tokio::test]
async fn a_session_of_one_replica_is_one_of_the_other() {
    let server = RedisServer::start();
    let (one, other) = (Replica::on(&server).await, Replica::on(&server).await);
    let session = one.create(LONG).await;
    assert_eq!(other.load(&session.handle).await.unwrap().as_ref(), Some(&session));
    let Saved::As(version) = other.save(&session, "theirs").await.unwrap() else { panic!("it is not saved") };
    assert_eq!(one.save(&session, "mine").await.unwrap(), Saved::Conflict);
    let session = one.load(&session.handle).await.unwrap().unwrap();
    assert_eq!((session.version, &*session.value), (version, &b"theirs"[..]));
    assert!(other.remove(&session.handle).await.unwrap());
    assert_eq!(one.load(&session.handle).await.unwrap(), None);
}

#[tokio::test]
async fn while_redis_is_away_no_session_is_said_to_be_gone_and_then_it_is_there_again() {
    type Step = fn(&RedisServer);
    let outages: [(Step, Step); 3] = [
        (RedisServer::stop, RedisServer::restart),
        (RedisServer::kill, RedisServer::restart),
        (RedisServer::freeze, RedisServer::thaw),
    ];
    for (begins, ends) in outages {
        let server = RedisServer::start();
        let replica = Replica::hasty(&server).await;
        let mut session = None;
        let idle = Duration::from_secs(60 * 60);
        until("a session is created", async || {
            let (tenant, owner) = caller();
            session = replica.stores.sessions.create(&tenant, &owner, "{}".into(), idle).await.ok();
            session.is_some()
        })
        .await;
        let session = session.unwrap();
        begins(&server);
        // Before it is noticed, and after.
        replica.says_that_sessions_are_away(&session).await;
        replica.notices().await;
        replica.says_that_sessions_are_away(&session).await;
        ends(&server);
        let mut found = None;
        until("it is asked again", async || match replica.load(&session.handle).await {
            Ok(answer) => {
                found = answer;
                true
            }
            Err(_) => false,
        })
        .await;
        assert_eq!(found.map(|found| found.handle), Some(session.handle));
    }
}

#[tokio::test]
async fn a_list_that_was_put_out_is_made_again_as_its_sessions_are_used() {
    let server = RedisServer::start();
    let replica = Replica::on(&server).await;
    let (one, other) = (replica.create(LONG).await, replica.create(LONG).await);
    let mut past = commands(&server.url());
    let deleted: usize = redis::cmd("DEL").arg("mcp:session:list:1:a:3:ada:").query(&mut past).unwrap();
    assert_eq!(deleted, 1);
    assert_eq!(replica.handles().await.unwrap(), [""; 0]);
    assert!(replica.load(&one.handle).await.unwrap().is_some());
    assert_eq!(replica.handles().await.unwrap(), [&*one.handle]);
    replica.clock.advance(Duration::from_secs(1));
    assert!(matches!(replica.save(&other, "saved").await.unwrap(), Saved::As(_)));
    assert_eq!(replica.handles().await.unwrap(), [other.handle, one.handle]);
}

#[tokio::test]
async fn no_session_is_idle_for_ever() {
    let server = RedisServer::start();
    let replica = Replica::on(&server).await;
    let session = replica.create(Duration::MAX).await;
    let mut past = commands(&server.url());
    for key in [format!("mcp:session:value:1:a:3:ada:{}", session.handle), "mcp:session:list:1:a:3:ada:".to_owned()] {
        let seconds: i64 = redis::cmd("TTL").arg(&key).query(&mut past).unwrap();
        assert!((364 * 24 * 60 * 60..=365 * 24 * 60 * 60).contains(&seconds), "{key}: {seconds}");
    }
}

#[tokio::test]
async fn what_a_redis_has_lost_is_gone_and_no_error() {
    let server = RedisServer::start();
    let replica = Replica::on(&server).await;
    let session = replica.create(LONG).await;
    server.kill();
    server.restart_empty();
    until("it is asked again", async || replica.load(&session.handle).await.is_ok()).await;
    assert_eq!(replica.load(&session.handle).await.unwrap(), None);
    assert_eq!(replica.save(&session, "late").await.unwrap(), Saved::Gone);
    assert_eq!(replica.handles().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_redis_that_is_full_puts_out_sessions_and_takes_new_ones() {
    let server = RedisServer::start();
    let replica = Replica::on(&server).await;
    let mut past = commands(&server.url());
    for (setting, value) in [("maxmemory-policy", "volatile-lru"), ("maxmemory", "4mb")] {
        redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec(&mut past).unwrap();
    }
    let (tenant, owner) = caller();
    let mut handles = Vec::new();
    for _ in 0..90 {
        let largest = vec![7; LARGEST].into();
        handles.push(replica.stores.sessions.create(&tenant, &owner, largest, LONG).await.unwrap().handle);
    }
    let mut there = 0;
    for handle in &handles {
        there += usize::from(replica.load(handle).await.unwrap().is_some());
    }
    assert!((1..handles.len()).contains(&there), "{there} of {} are there", handles.len());
}
