//! What [`Settings`](crate::store::settings::Settings) promises.

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Fresh, tenant};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::settings::{Key, LARGEST, Setting};

/// One named test for each promise of [`Settings`](crate::store::settings::Settings), on stores from `$fresh`: an async function
/// or closure without arguments that gives a [`Fresh`].
#[macro_export]
macro_rules! settings_contract {
    ($fresh:expr) => {
        $crate::contract_tests! {
            settings, $fresh,
            a_stored_value_is_loaded,
            only_what_was_seen_is_changed,
            what_is_removed_is_gone,
            a_list_is_in_the_order_of_names,
            keys_are_apart,
            a_value_is_small,
        }
    };
}

fn key(name: &str) -> Key {
    Key::of(&tenant(), name)
}

async fn load(fresh: &Fresh, key: &Key) -> Option<Setting> {
    fresh.stores.settings.load(key).await.expect("it can be read")
}

async fn store(fresh: &Fresh, key: &Key, value: impl Into<Bytes>, seen: Option<u64>) -> u64 {
    fresh.stores.settings.store(key, value.into(), seen).await.expect("it is stored")
}

async fn remove(fresh: &Fresh, key: &Key, seen: u64) {
    fresh.stores.settings.remove(key, seen).await.expect("it is removed");
}

async fn list(fresh: &Fresh, prefix: &Key, after: Option<&str>, limit: u16) -> Vec<(String, Setting)> {
    fresh.stores.settings.list(prefix, after, limit).await.expect("they can be listed")
}

async fn names(fresh: &Fresh, prefix: &str, after: Option<&str>, limit: u16) -> Vec<String> {
    list(fresh, &key(prefix), after, limit).await.into_iter().map(|(name, _)| name).collect()
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

/// To the last byte, and with the version that storing it gave.
pub async fn a_stored_value_is_loaded(fresh: &Fresh) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for (name, value) in [("plain", &b"on"[..]), ("", b""), ("it's \"odd\" \0\u{1}0 %_\\ 🦀", &every_byte)] {
        assert_eq!(load(fresh, &key(name)).await, None);
        let first = store(fresh, &key(name), value.to_vec(), None).await;
        let expected = Setting { value: value.to_vec().into(), version: first };
        assert_eq!(load(fresh, &key(name)).await.as_ref(), Some(&expected));
        let second = store(fresh, &key(name), "another", Some(first)).await;
        let expected = Setting { value: "another".into(), version: second };
        assert_eq!(load(fresh, &key(name)).await.as_ref(), Some(&expected));
        assert_eq!(list(fresh, &key(name), None, 1).await, [(name.to_owned(), expected)]);
    }
}

/// By one of those who name its version; a version is never there again.
pub async fn only_what_was_seen_is_changed(fresh: &Fresh) {
    let (settings, key, mut had) = (&fresh.stores.settings, key("switch"), Vec::new());
    let missing = settings.store(&key, "x".into(), Some(1)).await;
    assert!(is_conflict(&missing), "there is none: {missing:?}");
    let mut seen = None;
    for round in 0..6_u8 {
        let change = async |n: u8| (n, settings.store(&key, vec![round, n].into(), seen).await);
        let changes = join_all((0..16).map(change)).await;
        let (won, lost): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, change)| change.is_ok());
        assert_eq!((won.len(), lost.len()), (1, 15), "round {round}");
        assert!(lost.iter().all(|(_, change)| is_conflict(change)), "{lost:?}");
        let (n, version) = (won[0].0, won[0].1.as_ref().copied().expect("it won"));
        had.push(version);
        for old in had.iter().rev().skip(1).copied().chain([version.wrapping_add(1)]) {
            let (stored, removed) =
                (settings.store(&key, "x".into(), Some(old)).await, settings.remove(&key, old).await);
            assert!(is_conflict(&stored) && is_conflict(&removed), "round {round}: {stored:?}, {removed:?}");
        }
        let blind = settings.store(&key, "x".into(), None).await;
        assert!(is_conflict(&blind), "there is one: {blind:?}");
        let expected = Setting { value: vec![round, n].into(), version };
        assert_eq!(load(fresh, &key).await, Some(expected));
        seen = Some(version);
        if round % 2 == 1 {
            remove(fresh, &key, version).await;
            seen = None;
        }
    }
}

/// And may be removed again.
pub async fn what_is_removed_is_gone(fresh: &Fresh) {
    let (one, other) = (key("one"), key("one and more"));
    let (first, kept) = (store(fresh, &one, "1", None).await, store(fresh, &other, "2", None).await);
    for _ in 0..2 {
        remove(fresh, &one, first).await;
        assert_eq!(load(fresh, &one).await, None);
        assert_eq!(names(fresh, "one", None, 10).await, ["one and more"]);
    }
    let revived = fresh.stores.settings.store(&one, "3".into(), Some(first)).await;
    assert!(is_conflict(&revived), "{revived:?}");
    store(fresh, &one, "4", None).await;
    assert_eq!(load(fresh, &one).await.map(|setting| setting.value), Some("4".into()));
    assert_eq!(load(fresh, &other).await, Some(Setting { value: "2".into(), version: kept }));
}

/// By their bytes, a page at a time; a prefix is no pattern.
pub async fn a_list_is_in_the_order_of_names(fresh: &Fresh) {
    let mut all = [
        "",
        "A",
        "Z",
        "a",
        "a\0",
        "a\0b",
        "a\u{1}",
        "a\u{2}",
        "a.",
        "a.1",
        "a.10",
        "a.2",
        "a/",
        "aa",
        "b",
        "a_b",
        "a%b",
        "axb",
        "é",
        "\u{d7ff}",
        "\u{d7ff}x",
        "\u{e000}",
        "\u{ffff}",
        "🦀",
        "\u{10ffff}",
        "\u{10ffff}x",
        "a\u{10ffff}",
        "a\u{10ffff}b",
    ];
    for name in all {
        store(fresh, &key(name), name.to_owned(), None).await;
    }
    all.sort_unstable();
    for prefix in all.iter().chain(&["a.1x", "c", "\0"]) {
        let expected: Vec<_> = all.iter().filter(|name| name.starts_with(prefix)).copied().collect();
        assert_eq!(names(fresh, prefix, None, 100).await, expected, "{prefix:?}");
        let mut paged = Vec::<String>::new();
        loop {
            let page = names(fresh, prefix, paged.last().map(String::as_str), 3).await;
            assert!(page.len() <= 3, "{page:?}");
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            assert!(paged.len() <= expected.len(), "{prefix:?}: {paged:?}");
        }
        assert_eq!(paged, expected, "{prefix:?}, a page at a time");
    }
    assert_eq!(names(fresh, "a.", Some("A"), 10).await, ["a.", "a.1", "a.10", "a.2"], "it may come before all of them");
    assert_eq!(names(fresh, "a.", Some("a.15"), 10).await, ["a.2"], "it need not be there");
    assert_eq!(names(fresh, "a.", Some("b"), 10).await, [""; 0]);
    assert_eq!(names(fresh, "", None, 0).await, [""; 0]);
}

/// Equal names of two tenants, and of the house, have nothing to do with each other.
pub async fn keys_are_apart(fresh: &Fresh) {
    let keys = [
        key("name"),
        key("Name"),
        Key::of(&Tenant::from("another tenant"), "name"),
        Key::of(&Tenant::from("A tenant"), "name"),
        Key::of(&Tenant::from(""), "name"),
        Key::of_the_house("name"),
        // The end of the tenant's name is the beginning of the setting's.
        Key::of(&Tenant::from("a "), "tenantname"),
        Key::of(&Tenant::from(""), "a tenantname"),
        Key::of_the_house("a tenantname"),
        // What a store may call the house.
        Key::of(&Tenant::from("house"), "name"),
        Key::of(&Tenant::from("\0"), "name"),
        Key::of(&Tenant::from("\u{1}"), "name"),
        Key::of(&Tenant::from("\u{1}house"), "name"),
    ];
    let mut versions = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        versions.push(store(fresh, key, n.to_string(), None).await);
    }
    for (n, key) in keys.iter().enumerate() {
        let setting = Setting { value: n.to_string().into(), version: versions[n] };
        assert_eq!(load(fresh, key).await.as_ref(), Some(&setting), "{key:?}");
        assert_eq!(list(fresh, key, None, 10).await, [(key.name().to_owned(), setting)], "{key:?}");
        remove(fresh, key, versions[n]).await;
    }
}

/// One that is too large changes nothing.
pub async fn a_value_is_small(fresh: &Fresh) {
    let largest = Bytes::from(vec![7; LARGEST]);
    let version = store(fresh, &key("name"), largest.clone(), None).await;
    for (name, seen) in [("name", Some(version)), ("new", None)] {
        let refused = fresh.stores.settings.store(&key(name), vec![0; LARGEST + 1].into(), seen).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(load(fresh, &key("name")).await, Some(Setting { value: largest, version }));
    assert_eq!(load(fresh, &key("new")).await, None);
}
