//! What [`ApiKeys`](crate::store::api_keys::ApiKeys) promises.

use std::time::Duration;

use super::principals::{create as create_user, user};
use super::{Fresh, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::api_keys::{ApiKey, KeyHash, KeyHolder, KeyId, Replaced};
use crate::store::principals::{User, UserChange};

/// One named test for each promise of [`ApiKeys`](crate::store::api_keys::ApiKeys), on stores from `$fresh`: an async function or
/// closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! api_keys_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            api_keys, $fresh,
            a_created_key_is_found_by_its_hash,
            a_key_belongs_to_a_user,
            the_same_key_twice_is_one_key,
            a_key_is_revoked_for_good,
            use_is_noted_by_the_minute,
            keys_are_listed_in_the_order_of_their_ids,
            a_removed_key_is_gone,
            tenants_are_apart,
        }
    };
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000).after(Duration::from_secs(seconds))
}

fn id(bits: u128) -> KeyId {
    KeyId::from_u128(bits)
}

/// The `n`th key.
pub(super) fn key(n: u8, principal: &str) -> ApiKey {
    ApiKey {
        id: id(n.into()),
        principal: Principal::from(principal),
        name: format!("key {n}"),
        hash: KeyHash([n; 32]),
        scopes: ["notes:read", "notes:write"].map(str::to_owned).into(),
        roles: ["reader"].map(str::to_owned).into(),
        created: at(0),
        expires: None,
        revoked: None,
        used: None,
        replaces: None,
    }
}

async fn create(fresh: &Fresh, tenant: &Tenant, key: &ApiKey) {
    fresh.stores.api_keys.create(tenant, key).await.expect("a key is created");
}

async fn refusal(fresh: &Fresh, key: &ApiKey) -> StoreError {
    fresh.stores.api_keys.create(&tenant(), key).await.expect_err("it is not created")
}

async fn holder(fresh: &Fresh, key: &ApiKey) -> Option<KeyHolder> {
    fresh.stores.api_keys.find(&key.hash).await.expect("keys can be read")
}

async fn found(fresh: &Fresh, key: &ApiKey) -> Option<ApiKey> {
    holder(fresh, key).await.map(|holder| holder.key)
}

async fn listed(fresh: &Fresh, tenant: &Tenant, principal: Option<&str>) -> Vec<ApiKey> {
    let principal = principal.map(Principal::from);
    fresh.stores.api_keys.keys(tenant, principal.as_ref(), None, 100).await.expect("keys can be listed")
}

async fn revoke(fresh: &Fresh, tenant: &Tenant, key: &ApiKey, moment: Timestamp) -> bool {
    fresh.stores.api_keys.revoke(tenant, key.id, moment).await.expect("a key can be revoked")
}

async fn note_use(fresh: &Fresh, tenant: &Tenant, key: &ApiKey, moment: Timestamp) {
    fresh.stores.api_keys.note_use(tenant, key.id, moment).await.expect("a use can be noted");
}

async fn remove(fresh: &Fresh, tenant: &Tenant, key: &ApiKey) -> bool {
    fresh.stores.api_keys.remove(tenant, key.id).await.expect("a key can be removed")
}

/// Whatever its tenant, to the last byte, with its user as they are now.
pub async fn a_created_key_is_found_by_its_hash(fresh: &Fresh) {
    let odd = "it's \"odd\" %_\\ \0\u{1}0 e\u{301} 🦀";
    let (first, second) = (tenant(), Tenant::from(odd));
    create_user(fresh, &first, &user("ada")).await;
    create_user(fresh, &second, &User { roles: Default::default(), ..user(odd) }).await;
    let mut every_byte = KeyHash([0; 32]);
    every_byte.0.iter_mut().zip(224..=255).for_each(|(byte, value)| *byte = value);
    let plain = key(1, "ada");
    let full = ApiKey {
        id: id(u128::MAX),
        name: odd.to_owned(),
        hash: every_byte,
        scopes: [odd, "", "a b", "a", "b"].map(str::to_owned).into(),
        roles: Default::default(),
        created: Timestamp::from_micros(-1),
        expires: Some(at(2)),
        revoked: Some(at(3)),
        used: Some(at(1)),
        replaces: Some(Replaced { key: id(1), ends: at(4) }),
        ..key(2, odd)
    };
    create(fresh, &first, &plain).await;
    create(fresh, &second, &full).await;
    let expected = KeyHolder { tenant: first, user: user("ada"), key: plain.clone() };
    assert_eq!(holder(fresh, &plain).await, Some(expected.clone()));
    let odd_one = User { roles: Default::default(), ..user(odd) };
    assert_eq!(holder(fresh, &full).await, Some(KeyHolder { tenant: second, user: odd_one, key: full }));
    assert_eq!(holder(fresh, &key(3, "ada")).await, None);

    let change = UserChange { disabled: Some(true), roles: Some(["new".to_owned()].into()), ..UserChange::default() };
    let principal = Principal::from("ada");
    let changed = fresh.stores.principals.change(&tenant(), &principal, &change).await.expect("a user is changed");
    let changed = changed.expect("she is there");
    assert_eq!(holder(fresh, &plain).await, Some(KeyHolder { user: changed, ..expected }));
}

/// That of nobody is refused, and when its user is removed it is gone.
pub async fn a_key_belongs_to_a_user(fresh: &Fresh) {
    create_user(fresh, &tenant(), &user("ada")).await;
    create_user(fresh, &Tenant::from("another tenant"), &user("bob")).await;
    for nobody in ["", "Ada", "bob"] {
        let refused = refusal(fresh, &key(1, nobody)).await;
        assert!(matches!(refused, StoreError::Refused { .. }), "{nobody:?}: {refused:?}");
    }
    create(fresh, &tenant(), &key(1, "ada")).await;
    fresh.stores.principals.remove(&tenant(), &Principal::from("ada")).await.expect("a user is removed");
    assert_eq!(found(fresh, &key(1, "ada")).await, None);
    assert_eq!(listed(fresh, &tenant(), None).await, []);
}

/// What is there stays as it is; another key under its id, or with its hash, is a conflict.
pub async fn the_same_key_twice_is_one_key(fresh: &Fresh) {
    create_user(fresh, &tenant(), &user("ada")).await;
    create_user(fresh, &tenant(), &user("bob")).await;
    let first = key(1, "ada");
    create(fresh, &tenant(), &first).await;
    note_use(fresh, &tenant(), &first, at(0)).await;
    create(fresh, &tenant(), &ApiKey { name: "again".to_owned(), ..first.clone() }).await;
    let kept = ApiKey { used: Some(at(0)), ..first.clone() };
    assert_eq!(listed(fresh, &tenant(), None).await, std::slice::from_ref(&kept));
    for other in [
        ApiKey { hash: KeyHash([9; 32]), ..first.clone() },
        ApiKey { id: id(9), ..first.clone() },
        ApiKey { principal: Principal::from("bob"), ..first.clone() },
    ] {
        let conflict = refusal(fresh, &other).await;
        assert!(matches!(conflict, StoreError::Conflict { .. }), "{other:?}: {conflict:?}");
    }
    assert_eq!(listed(fresh, &tenant(), None).await, [kept]);
}

/// From the moment that is named, or from an earlier one that was named before.
pub async fn a_key_is_revoked_for_good(fresh: &Fresh) {
    create_user(fresh, &tenant(), &user("ada")).await;
    let (old, new) = (key(1, "ada"), key(2, "ada"));
    create(fresh, &tenant(), &old).await;
    create(fresh, &tenant(), &new).await;
    // Both are good for a while.
    for (moment, expected) in [(100, 100), (200, 100), (50, 50), (60, 50)] {
        assert!(revoke(fresh, &tenant(), &old, at(moment)).await);
        assert_eq!(found(fresh, &old).await, Some(ApiKey { revoked: Some(at(expected)), ..old.clone() }));
    }
    assert_eq!(found(fresh, &new).await.as_ref(), Some(&new));
    assert!(!revoke(fresh, &tenant(), &key(3, "ada"), at(1)).await);
    assert_eq!(listed(fresh, &tenant(), None).await.len(), 2);
}

/// A moment is noted if it is a minute or more after the one that was noted last.
pub async fn use_is_noted_by_the_minute(fresh: &Fresh) {
    create_user(fresh, &tenant(), &user("ada")).await;
    let (one, other) = (key(1, "ada"), key(2, "ada"));
    create(fresh, &tenant(), &one).await;
    create(fresh, &tenant(), &other).await;
    for (moment, expected) in [(10, 10), (11, 10), (69, 10), (70, 70), (5, 70), (129, 70), (1_000, 1_000)] {
        note_use(fresh, &tenant(), &one, at(moment)).await;
        assert_eq!(found(fresh, &one).await, Some(ApiKey { used: Some(at(expected)), ..one.clone() }), "{moment}");
    }
    assert_eq!(found(fresh, &other).await.as_ref(), Some(&other));
    note_use(fresh, &tenant(), &key(3, "ada"), at(1)).await;
    assert_eq!(listed(fresh, &tenant(), None).await.len(), 2);
}

/// All of a tenant or of one user, a page at a time.
pub async fn keys_are_listed_in_the_order_of_their_ids(fresh: &Fresh) {
    for principal in ["ada", "bob"] {
        create_user(fresh, &tenant(), &user(principal)).await;
    }
    // The first and the last bytes differ, so that comparing the wrong way round is noticed.
    let ids = [2 << 120 | 1, 1 << 120 | 2, 5, u128::MAX, 1 << 127, 256, 255, 0];
    let owner = |n: u8| if n.is_multiple_of(3) { "bob" } else { "ada" };
    let mut keys: Vec<_> = (0..).zip(ids).map(|(n, bits)| ApiKey { id: id(bits), ..key(n, owner(n)) }).collect();
    for key in &keys {
        create(fresh, &tenant(), key).await;
    }
    keys.sort_unstable_by_key(|key| key.id);
    for principal in [None, Some("ada"), Some("bob"), Some("nobody")] {
        let of = |key: &&ApiKey| principal.is_none_or(|principal| key.principal.as_str() == principal);
        let expected: Vec<_> = keys.iter().filter(of).cloned().collect();
        let principal = principal.map(Principal::from);
        for limit in [1, 3, 100] {
            let mut shown = Vec::<ApiKey>::new();
            loop {
                let after = shown.last().map(|key| key.id);
                let page = fresh.stores.api_keys.keys(&tenant(), principal.as_ref(), after, limit).await;
                let page = page.expect("keys can be listed");
                assert!(page.len() <= usize::from(limit), "{page:?}");
                if page.is_empty() {
                    break;
                }
                shown.extend(page);
                assert!(shown.len() <= expected.len(), "{shown:?}");
            }
            assert_eq!(shown, expected, "{principal:?}, {limit} at a time");
        }
    }
}

/// And its user's others stay.
pub async fn a_removed_key_is_gone(fresh: &Fresh) {
    create_user(fresh, &tenant(), &user("ada")).await;
    let (one, other) = (key(1, "ada"), key(2, "ada"));
    create(fresh, &tenant(), &one).await;
    create(fresh, &tenant(), &other).await;
    assert!(remove(fresh, &tenant(), &one).await);
    assert!(!remove(fresh, &tenant(), &one).await, "it is gone");
    assert_eq!(found(fresh, &one).await, None);
    assert_eq!(listed(fresh, &tenant(), None).await, [other]);
    create(fresh, &tenant(), &one).await;
    assert_eq!(found(fresh, &one).await, Some(one), "and may be made anew");
}

/// No key of another tenant is listed, revoked, noted as used or removed, not even under an id that both have.
pub async fn tenants_are_apart(fresh: &Fresh) {
    let names = ["acme", "acme2", "Acme", ""];
    let of = |n: u8| ApiKey { id: id(1), ..key(n, "ada") };
    for (n, name) in (0..).zip(names) {
        create_user(fresh, &Tenant::from(name), &user("ada")).await;
        create(fresh, &Tenant::from(name), &of(n)).await;
    }
    let another = Tenant::from("another");
    assert!(!revoke(fresh, &another, &of(0), at(1)).await && !remove(fresh, &another, &of(0)).await);
    note_use(fresh, &another, &of(0), at(1)).await;
    assert_eq!(listed(fresh, &another, None).await, []);

    let acme = Tenant::from(names[0]);
    assert!(revoke(fresh, &acme, &of(0), at(1)).await);
    note_use(fresh, &acme, &of(0), at(1)).await;
    let changed = ApiKey { revoked: Some(at(1)), used: Some(at(1)), ..of(0) };
    for (n, name) in (0..).zip(names) {
        let expected = if n == 0 { changed.clone() } else { of(n) };
        assert_eq!(listed(fresh, &Tenant::from(name), Some("ada")).await, [expected], "{name:?}");
    }
    assert!(remove(fresh, &acme, &of(0)).await);
    for (n, name) in (0..).zip(names).skip(1) {
        assert_eq!(holder(fresh, &of(n)).await.map(|holder| holder.tenant), Some(Tenant::from(name)));
    }
}
