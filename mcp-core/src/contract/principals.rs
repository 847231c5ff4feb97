//! What [`Principals`](crate::store::principals::Principals) promises.

use std::collections::BTreeSet;

use futures_util::future::join;

use super::{Fresh, tenant};
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::contract::api_keys::key;
use crate::store::StoreError;
use crate::store::principals::{User, UserChange};

/// One named test for each promise of [`Principals`](crate::store::principals::Principals), on stores from `$fresh`: an async
/// function or closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! principals_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            principals, $fresh,
            a_created_user_is_found,
            a_principal_is_one_user,
            a_change_touches_what_it_names,
            a_removed_user_is_gone,
            users_are_listed_in_the_order_of_principals,
            tenants_are_apart,
        }
    };
}

pub(super) fn user(principal: &str) -> User {
    User {
        principal: Principal::from(principal),
        display_name: format!("The user {principal}"),
        disabled: false,
        created: Timestamp::from_micros(1_767_225_600_000_000),
        roles: roles(&["admin", "reader"]),
    }
}

fn roles(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(super) async fn create(fresh: &Fresh, tenant: &Tenant, user: &User) {
    fresh.stores.principals.create(tenant, user).await.expect("a user is created");
}

async fn found(fresh: &Fresh, tenant: &Tenant, principal: &str) -> Option<User> {
    fresh.stores.principals.user(tenant, &Principal::from(principal)).await.expect("a user can be read")
}

async fn listed(fresh: &Fresh, tenant: &Tenant, after: Option<&str>, limit: u16) -> Vec<User> {
    let after = after.map(Principal::from);
    fresh.stores.principals.users(tenant, after.as_ref(), limit).await.expect("users can be listed")
}

async fn change(fresh: &Fresh, tenant: &Tenant, principal: &str, change: &UserChange) -> Option<User> {
    fresh.stores.principals.change(tenant, &Principal::from(principal), change).await.expect("a user can be changed")
}

async fn remove(fresh: &Fresh, tenant: &Tenant, principal: &str) -> bool {
    fresh.stores.principals.remove(tenant, &Principal::from(principal)).await.expect("a user can be removed")
}

/// To the last byte, with each of the roles.
pub async fn a_created_user_is_found(fresh: &Fresh) {
    let odd = "it's \"odd\" %_\\ \0\u{1}0 e\u{301} 🦀";
    let users = [
        user("ada"),
        User { roles: BTreeSet::new(), disabled: true, created: Timestamp::from_micros(-1), ..user("") },
        User { display_name: odd.to_owned(), roles: roles(&[odd, "", "Admin", "admin"]), ..user(odd) },
    ];
    for user in &users {
        assert_eq!(found(fresh, &tenant(), user.principal.as_str()).await, None);
        create(fresh, &tenant(), user).await;
    }
    for user in &users {
        assert_eq!(found(fresh, &tenant(), user.principal.as_str()).await.as_ref(), Some(user));
    }
    assert_eq!(found(fresh, &tenant(), "Ada").await, None, "a principal is not folded");
    assert_eq!(listed(fresh, &tenant(), None, 10).await.len(), users.len());
}

/// To create one that is there is a conflict, and changes nothing.
pub async fn a_principal_is_one_user(fresh: &Fresh) {
    create(fresh, &tenant(), &user("ada")).await;
    let other = User { display_name: "Another".to_owned(), roles: roles(&["other"]), ..user("ada") };
    let again = fresh.stores.principals.create(&tenant(), &other).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(found(fresh, &tenant(), "ada").await, Some(user("ada")));
}

/// What it does not name stays, also where somebody changes that at the same time.
pub async fn a_change_touches_what_it_names(fresh: &Fresh) {
    create(fresh, &tenant(), &user("ada")).await;
    create(fresh, &tenant(), &user("bob")).await;
    let none = UserChange::default;
    let mut expected = user("ada");
    for step in [
        none(),
        UserChange { display_name: Some("Ada L.".to_owned()), ..none() },
        UserChange { disabled: Some(true), ..none() },
        UserChange { roles: Some(roles(&["reader", "writer"])), ..none() },
        UserChange { roles: Some(BTreeSet::new()), disabled: Some(false), ..none() },
        UserChange { roles: Some(roles(&["writer"])), display_name: Some(String::new()), ..none() },
    ] {
        expected.display_name = step.display_name.clone().unwrap_or(expected.display_name);
        expected.disabled = step.disabled.unwrap_or(expected.disabled);
        expected.roles = step.roles.clone().unwrap_or(expected.roles);
        assert_eq!(change(fresh, &tenant(), "ada", &step).await.as_ref(), Some(&expected), "{step:?}");
        assert_eq!(found(fresh, &tenant(), "ada").await.as_ref(), Some(&expected), "{step:?}");
    }
    for round in 0..10 {
        let name = UserChange { display_name: Some(format!("name {round}")), ..none() };
        let roles = UserChange { roles: Some(roles(&[&format!("role {round}")])), ..none() };
        let (one, other) = join(change(fresh, &tenant(), "ada", &name), change(fresh, &tenant(), "ada", &roles)).await;
        assert!(one.is_some() && other.is_some());
        let now = found(fresh, &tenant(), "ada").await.expect("she is there");
        assert_eq!((Some(now.display_name), Some(now.roles)), (name.display_name, roles.roles), "round {round}");
    }
    assert_eq!(found(fresh, &tenant(), "bob").await, Some(user("bob")));
    let disabled = UserChange { disabled: Some(true), roles: Some(roles(&["admin"])), ..none() };
    assert_eq!(change(fresh, &tenant(), "nobody", &disabled).await, None);
    assert_eq!(found(fresh, &tenant(), "nobody").await, None);
}

/// With roles and keys, also for whoever is created under the same name.
pub async fn a_removed_user_is_gone(fresh: &Fresh) {
    let keys = &fresh.stores.api_keys;
    for (n, principal) in [(1, "ada"), (2, "bob")] {
        create(fresh, &tenant(), &user(principal)).await;
        keys.create(&tenant(), &key(n, principal)).await.expect("a key is created");
    }
    assert!(remove(fresh, &tenant(), "ada").await);
    assert!(!remove(fresh, &tenant(), "ada").await, "she is gone");
    assert_eq!(found(fresh, &tenant(), "ada").await, None);
    assert_eq!(listed(fresh, &tenant(), None, 10).await, [user("bob")]);
    let reborn = User { roles: BTreeSet::new(), ..user("ada") };
    create(fresh, &tenant(), &reborn).await;
    assert_eq!(found(fresh, &tenant(), "ada").await, Some(reborn), "the roles are gone");
    assert_eq!(keys.find(&key(1, "ada").hash).await.expect("keys can be read"), None, "the keys are gone");
    assert!(keys.find(&key(2, "bob").hash).await.expect("keys can be read").is_some());
}

/// By their bytes, a page at a time.
pub async fn users_are_listed_in_the_order_of_principals(fresh: &Fresh) {
    let mut all = ["", "Z", "a", "a\0", "a\u{1}", "a.", "aa", "b", "é", "\u{ffff}", "🦀"];
    for principal in all.iter().rev() {
        create(fresh, &tenant(), &user(principal)).await;
    }
    all.sort_unstable();
    for limit in [1, 3, 100] {
        let mut shown = Vec::<User>::new();
        loop {
            let after = shown.last().map(|user| user.principal.as_str().to_owned());
            let page = listed(fresh, &tenant(), after.as_deref(), limit).await;
            assert!(page.len() <= usize::from(limit), "{page:?}");
            if page.is_empty() {
                break;
            }
            shown.extend(page);
            assert!(shown.len() <= all.len(), "{shown:?}");
        }
        assert_eq!(shown, all.map(user), "{limit} at a time");
    }
    assert_eq!(listed(fresh, &tenant(), Some("a.z"), 1).await, [user("aa")], "it need not be there");
    assert_eq!(listed(fresh, &tenant(), None, 0).await, []);
}

/// Nobody of another tenant is found, changed, removed or listed.
pub async fn tenants_are_apart(fresh: &Fresh) {
    // Some of them are equal once the tenant and the principal are put together.
    let names = [("a", "b"), ("A", "b"), ("ab", ""), ("", "ab"), ("a b", "c"), ("a", "b c")];
    let of = |tenant: &str, principal: &str| User { display_name: format!("{tenant}:{principal}"), ..user(principal) };
    for (tenant, principal) in names {
        create(fresh, &Tenant::from(tenant), &of(tenant, principal)).await;
    }
    for (tenant, principal) in names {
        assert_eq!(found(fresh, &Tenant::from(tenant), principal).await, Some(of(tenant, principal)));
    }
    assert_eq!(listed(fresh, &Tenant::from("a"), None, 10).await, [of("a", "b"), of("a", "b c")]);
    assert_eq!(listed(fresh, &Tenant::from("nobody's"), None, 10).await, []);
    let disabled = UserChange { disabled: Some(true), ..UserChange::default() };
    assert!(change(fresh, &Tenant::from("A"), "b", &disabled).await.is_some());
    assert!(change(fresh, &Tenant::from("nobody's"), "b", &disabled).await.is_none());
    assert!(remove(fresh, &Tenant::from("A"), "b").await);
    assert!(!remove(fresh, &Tenant::from("nobody's"), "b").await);
    assert_eq!(found(fresh, &Tenant::from("a"), "b").await, Some(of("a", "b")));
}
