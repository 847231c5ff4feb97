use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::clock::Timestamp;
use crate::clock::simulated::SimulatedClock;
use crate::endpoint::answer::Refusal;
use crate::endpoint::head::Header;
use crate::store::StoreError;
use crate::store::api_keys::{ApiKey, KeyHolder, KeyId};
use crate::store::principals::{User, UserChange};
use crate::tokio_runtime::TokioSpawner;

/// The keys of a store that counts how often it is asked, and may be gone.
struct Asked {
    keys: Arc<dyn ApiKeys>,
    times: AtomicUsize,
    gone: AtomicBool,
}

#[async_trait]
impl ApiKeys for Asked {
    async fn create(&self, tenant: &Tenant, key: &ApiKey) -> Result<(), StoreError> {
        self.keys.create(tenant, key).await
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyHolder>, StoreError> {
        self.times.fetch_add(1, Ordering::Relaxed);
        if self.gone.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { store: "store of keys", source: None });
        }
        self.keys.find(hash).await
    }

    async fn keys(
        &self,
        tenant: &Tenant,
        principal: Option<&Principal>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.keys.keys(tenant, principal, after, limit).await
    }

    async fn revoke(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<bool, StoreError> {
        self.keys.revoke(tenant, id, at).await
    }

    async fn note_use(&self, tenant: &Tenant, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        self.keys.note_use(tenant, id, at).await
    }

    async fn remove(&self, tenant: &Tenant, id: KeyId) -> Result<bool, StoreError> {
        self.keys.remove(tenant, id).await
    }
}

/// A server's stores and one user in them, whose key may be made.
struct House {
    clock: Arc<SimulatedClock>,
    stores: Stores,
    asked: Arc<Asked>,
    keys: StoredKeys,
    tenant: Tenant,
    ada: Principal,
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl House {
    async fn new() -> Self {
        let clock = Arc::new(SimulatedClock::new());
        let mut stores = Stores::in_memory(clock.clone());
        let asked =
            Arc::new(Asked { keys: stores.api_keys.clone(), times: AtomicUsize::new(0), gone: AtomicBool::new(false) });
        stores.api_keys = asked.clone();
        let (tenant, ada) = (Tenant::from("acme"), Principal::from("ada"));
        let user = User {
            principal: ada.clone(),
            display_name: "Ada".to_owned(),
            disabled: false,
            created: clock.now(),
            roles: set(&["admin", "writer"]),
        };
        stores.principals.create(&tenant, &user).await.unwrap();
        let keys = Self::replica(&[[1; 32]], &stores, &clock);
        Self { clock, stores, asked, keys, tenant, ada }
    }

    /// What another server on the same stores lets in.
    fn replica(secret_keys: &[[u8; 32]], stores: &Stores, clock: &Arc<SimulatedClock>) -> StoredKeys {
        StoredKeys::new(secret_keys, stores, clock.clone(), Arc::new(TokioSpawner::current()))
    }

    async fn key(&self, id: u128, expires: Option<Timestamp>) -> KeySecret {
        let (secret, hash) = self.keys.draw().unwrap();
        let key = ApiKey {
            id: KeyId::from_u128(id),
            principal: self.ada.clone(),
            name: "ci".to_owned(),
            hash,
            scopes: set(&["notes:read"]),
            roles: set(&["writer", "operator"]),
            created: self.clock.now(),
            expires,
            revoked: None,
            used: None,
            replaces: None,
        };
        self.stores.api_keys.create(&self.tenant, &key).await.unwrap();
        secret
    }

    fn times(&self) -> usize {
        self.asked.times.load(Ordering::Relaxed)
    }
}

/// A request with this in `Authorization`, if anything.
struct Brings<'a>(Option<&'a str>);

impl Head for Brings<'_> {
    fn verb(&self) -> &str {
        "POST"
    }

    fn header(&self, name: &str) -> Header<'_> {
        match (name, self.0) {
            ("authorization", Some(value)) => Header::One(value),
            _ => Header::Absent,
        }
    }

    fn values(&self, _: &str) -> Vec<&[u8]> {
        Vec::new()
    }

    fn any_name(&self, _: &dyn Fn(&str) -> bool) -> bool {
        false
    }

    fn peer(&self) -> Option<IpAddr> {
        None
    }
}

async fn come(keys: &StoredKeys, secret: &KeySecret) -> Result<Caller, Challenge> {
    keys.authenticate(&Brings(Some(&format!("Bearer {}", secret.expose())))).await
}

/// Lets every task go on as far as it can by itself.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_key_lets_its_user_in_with_the_roles_that_both_have_and_the_scopes_of_the_key() {
    let house = House::new().await;
    let secret = house.key(1, None).await;
    let caller = come(&house.keys, &secret).await.unwrap();
    assert_eq!(caller, Caller::new("acme", "ada").with_role("writer").with_scope("notes:read"));
    assert!(matches!(house.keys.authenticate(&Brings(None)).await, Err(Challenge::Missing(_))));
}

#[tokio::test]
async fn what_cannot_be_a_key_costs_no_look_into_the_store() {
    let house = House::new().await;
    house.key(1, None).await;
    for value in ["Bearer wrong", "Bearer mcp_short", "Bearer eyJhbGciOiJub25lIn0.e30.", "Basic YTpi", "Bearer "] {
        assert_eq!(house.keys.authenticate(&Brings(Some(value))).await, Err(Challenge::Invalid), "{value}");
    }
    assert_eq!(house.times(), 0);
}

#[tokio::test]
async fn the_store_is_asked_once_in_a_while_of_a_key_and_of_one_that_is_none() {
    let house = House::new().await;
    let (secret, (stranger, _)) = (house.key(1, None).await, house.keys.draw().unwrap());
    for round in 1..=3 {
        for _ in 0..5 {
            assert!(come(&house.keys, &secret).await.is_ok());
            assert_eq!(come(&house.keys, &stranger).await, Err(Challenge::Invalid));
        }
        assert_eq!(house.times(), 2 * round);
        house.clock.advance(LIFETIME);
    }
}

#[tokio::test]
async fn a_key_ends_on_its_moment_also_where_it_was_seen_a_moment_ago() {
    let house = House::new().await;
    let secret = house.key(1, Some(house.clock.now().after(Duration::from_secs(1)))).await;
    assert!(come(&house.keys, &secret).await.is_ok());
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(come(&house.keys, &secret).await, Err(Challenge::Invalid));
    assert_eq!(house.times(), 1);
}

#[tokio::test]
async fn what_is_done_counts_at_once_here_and_on_a_replica_that_follows_and_elsewhere_a_little_later() {
    let house = House::new().await;
    let secret = house.key(1, None).await;
    let [follower, other] = [(); 2].map(|()| House::replica(&[[1; 32]], &house.stores, &house.clock));
    follower.follow();
    settle().await;
    for keys in [&house.keys, &follower, &other] {
        assert!(come(keys, &secret).await.unwrap().has_role("writer"));
    }
    let no_roles = UserChange { roles: Some(BTreeSet::new()), ..UserChange::default() };
    house.stores.principals.change(&house.tenant, &house.ada, &no_roles).await.unwrap();
    house.keys.forget(&house.tenant, &house.ada).await;
    assert!(!come(&house.keys, &secret).await.unwrap().has_role("writer"));
    settle().await;
    assert!(!come(&follower, &secret).await.unwrap().has_role("writer"));
    house.stores.api_keys.revoke(&house.tenant, KeyId::from_u128(1), house.clock.now()).await.unwrap();
    assert!(come(&other, &secret).await.is_ok());
    house.clock.advance(LIFETIME);
    assert_eq!(come(&other, &secret).await, Err(Challenge::Invalid));
}

#[tokio::test]
async fn while_the_store_of_keys_is_gone_those_seen_a_moment_ago_go_on_and_none_is_said_to_be_wrong() {
    let house = House::new().await;
    let (seen, unseen) = (house.key(1, None).await, house.key(2, None).await);
    assert!(come(&house.keys, &seen).await.is_ok());
    house.asked.gone.store(true, Ordering::Relaxed);
    assert!(come(&house.keys, &seen).await.is_ok());
    let challenge = come(&house.keys, &unseen).await.unwrap_err();
    assert!(!challenge.to_string().contains(unseen.expose()));
    let answer = Refusal::from(challenge).into_answer();
    assert_eq!((answer.status, &answer.headers[..]), (503, &[("retry-after", "1".to_owned())][..]));
    house.clock.advance(LIFETIME);
    assert_eq!(come(&house.keys, &seen).await, Err(Challenge::Unavailable("the store of keys")));
    house.asked.gone.store(false, Ordering::Relaxed);
    for secret in [&seen, &unseen] {
        assert!(come(&house.keys, secret).await.is_ok());
    }
}

#[tokio::test]
async fn whether_there_is_a_key_is_told_of_each_tenant_and_one_that_has_ended_is_none() {
    let house = House::new().await;
    assert!(!house.keys.are_there(&house.tenant).await.unwrap());
    house.key(1, Some(house.clock.now().after(LIFETIME))).await;
    assert!(house.keys.are_there(&house.tenant).await.unwrap());
    assert!(!house.keys.are_there(&Tenant::from("another")).await.unwrap());
    house.clock.advance(LIFETIME);
    assert!(!house.keys.are_there(&house.tenant).await.unwrap());
}

#[tokio::test]
async fn a_key_from_before_the_secret_key_was_replaced_is_found() {
    let house = House::new().await;
    let secret = house.key(1, None).await;
    let rotated = House::replica(&[[2; 32], [1; 32]], &house.stores, &house.clock);
    assert!(come(&rotated, &secret).await.is_ok());
    let times = house.times();
    assert!(come(&rotated, &secret).await.is_ok());
    assert_eq!(house.times(), times);
    let without = House::replica(&[[2; 32]], &house.stores, &house.clock);
    assert_eq!(come(&without, &secret).await, Err(Challenge::Invalid));
}

#[tokio::test]
async fn use_is_noted_beside_the_request_and_by_the_minute() {
    let house = House::new().await;
    let secret = house.key(1, None).await;
    let used = async || {
        settle().await;
        house.stores.api_keys.keys(&house.tenant, None, None, 1).await.unwrap()[0].used
    };
    let first = house.clock.now();
    assert!(come(&house.keys, &secret).await.is_ok());
    assert_eq!(used().await, Some(first));
    house.clock.advance(Duration::from_secs(59));
    assert!(come(&house.keys, &secret).await.is_ok());
    assert_eq!(used().await, Some(first));
    house.clock.advance(Duration::from_secs(1));
    assert!(come(&house.keys, &secret).await.is_ok());
    assert_eq!(used().await, Some(house.clock.now()));
}
