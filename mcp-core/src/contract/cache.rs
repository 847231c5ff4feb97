//! What [`Cache`](crate::store::cache::Cache) promises.
//!
//! The cases that reach a bound store 80 MiB and use 20,000 tags: make caches that hold less.

use std::time::Duration;

use bytes::Bytes;

use super::{Fresh, tenant};
use crate::caller::Tenant;

/// One named test for each promise of [`Cache`](crate::store::cache::Cache), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! cache_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            cache, $fresh,
            a_stored_value_is_loaded,
            an_invalidated_tag_has_a_version_that_it_never_had,
            a_version_stays_until_it_is_invalidated,
            tenants_are_apart,
            the_cache_is_bounded,
        }
    };
}

const MINUTE: Duration = Duration::from_secs(60);
const TAGS: usize = 20_000;

async fn load(fresh: &Fresh, key: &str) -> Option<Bytes> {
    fresh.stores.cache.load(&tenant(), key).await.expect("the cache can be read")
}

async fn store(fresh: &Fresh, key: &str, value: &'static str, lifetime: Duration) {
    fresh
        .stores
        .cache
        .store(&tenant(), key, Bytes::from_static(value.as_bytes()), lifetime)
        .await
        .expect("it is stored");
}

async fn version(fresh: &Fresh, tag: &str) -> u64 {
    fresh.stores.cache.version(&tenant(), tag).await.expect("a tag has a version")
}

async fn invalidate(fresh: &Fresh, tag: &str) {
    fresh.stores.cache.invalidate(&tenant(), tag).await.expect("a tag is invalidated");
}

/// Until its lifetime is over, and not after; the latest under its key.
pub async fn a_stored_value_is_loaded(fresh: &Fresh) {
    assert_eq!(load(fresh, "key").await, None);
    store(fresh, "key", "value", MINUTE).await;
    store(fresh, "longer", "lives longer", MINUTE * 2).await;
    store(fresh, "never", "has no time", Duration::ZERO).await;
    fresh.pass(MINUTE / 2);
    assert_eq!(load(fresh, "key").await.as_deref(), Some(&b"value"[..]));
    assert_eq!(load(fresh, "Key").await, None);
    assert_eq!(load(fresh, "never").await, None);
    fresh.pass(MINUTE / 2);
    assert_eq!(load(fresh, "key").await, None, "its lifetime is over");
    assert_eq!(load(fresh, "longer").await.as_deref(), Some(&b"lives longer"[..]));
    store(fresh, "longer", "is replaced", MINUTE * 2).await;
    fresh.pass(MINUTE);
    assert_eq!(load(fresh, "longer").await.as_deref(), Some(&b"is replaced"[..]));
}

/// So does a tag that the cache forgot.
pub async fn an_invalidated_tag_has_a_version_that_it_never_had(fresh: &Fresh) {
    let mut had = vec![version(fresh, "tag").await];
    for round in 0..3 {
        invalidate(fresh, "tag").await;
        let new = version(fresh, "tag").await;
        assert!(!had.contains(&new), "round {round}: version {new} was there before");
        had.push(new);
        for n in 0..TAGS {
            version(fresh, &format!("{round} {n}")).await;
        }
        let later = version(fresh, "tag").await;
        assert!(later == new || !had.contains(&later), "round {round}: version {later} is back");
        had.push(later);
    }
}

/// Other tags, and values that come and go, do not change it.
pub async fn a_version_stays_until_it_is_invalidated(fresh: &Fresh) {
    let before = version(fresh, "tag").await;
    store(fresh, "tag", "value", MINUTE).await;
    invalidate(fresh, "another tag").await;
    fresh.pass(MINUTE * 60 * 24);
    assert_eq!(version(fresh, "tag").await, before);
}

/// Equal keys and tags of two tenants have nothing to do with each other.
pub async fn tenants_are_apart(fresh: &Fresh) {
    let cache = &fresh.stores.cache;
    let before = version(fresh, "tag").await;
    store(fresh, "key", "value", MINUTE).await;
    for other in ["another tenant", "", "a tenan", "A tenant"].map(Tenant::from) {
        assert_eq!(cache.load(&other, "key").await.expect("the cache can be read"), None, "{other:?}");
        cache.store(&other, "key", Bytes::from_static(b"theirs"), MINUTE).await.expect("it is stored");
        cache.invalidate(&other, "tag").await.expect("a tag is invalidated");
    }
    // The end of the tenant's name is the beginning of the key.
    assert_eq!(cache.load(&Tenant::from("a "), "tenantkey").await.expect("the cache can be read"), None);
    assert_eq!(load(fresh, "key").await.as_deref(), Some(&b"value"[..]));
    assert_eq!(version(fresh, "tag").await, before);
}

/// However many values and tags there are.
pub async fn the_cache_is_bounded(fresh: &Fresh) {
    const VALUES: usize = 5_000;
    // One piece of memory stands for all, so that the test itself stays small where a cache does not copy.
    let value = Bytes::from(vec![0; 16 * 1024]);
    for n in 0..VALUES {
        fresh.stores.cache.store(&tenant(), &n.to_string(), value.clone(), MINUTE).await.expect("it is stored");
    }
    let mut held = 0;
    for n in 0..VALUES {
        held += usize::from(load(fresh, &n.to_string()).await.is_some());
    }
    assert!(held < VALUES, "all {VALUES} values are held");

    let mut versions = Vec::with_capacity(TAGS);
    for n in 0..TAGS {
        versions.push(version(fresh, &n.to_string()).await);
    }
    let mut held = 0;
    for (n, before) in versions.into_iter().enumerate() {
        held += usize::from(version(fresh, &n.to_string()).await == before);
    }
    assert!(held < TAGS, "all {TAGS} tags are held");
}
