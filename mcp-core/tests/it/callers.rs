//! What callers may do with users and keys, and what it gives them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use mcp_core::caller::desk::{CallerError, KEYS_PER_USER, MadeKey, NewKey, NewUser, OVERLAP};
use mcp_core::caller::secret::KeySecret;
use mcp_core::clock::Clock;
use mcp_core::store::api_keys::KeyId;
use mcp_core::store::principals::UserChange;
use mcp_core::store::threads::{Message, MessageId, Thread, ThreadId};
use mcp_core::{Authenticate, Caller, Challenge};
use serde_json::{Value, json};

use crate::support::{House, Request, settle};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn house() -> House {
    House::new(|builder| builder)
}

fn operator() -> Caller {
    Caller::new("acme", "root").with_role(Caller::ADMIN).with_role(Caller::OPERATOR)
}

/// The administrator of a tenant, who is no operator.
fn admin() -> Caller {
    Caller::new("acme", "eve").with_role(Caller::ADMIN).with_role("writer")
}

async fn add(house: &House, name: &str, roles: &[&str]) {
    let new = NewUser { principal: name.into(), display_name: String::new(), roles: set(roles) };
    house.server.callers().create_user(&operator(), new).await.unwrap();
}

async fn make(house: &House, by: &Caller, of: &str, roles: Option<&[&str]>) -> Result<MadeKey, CallerError> {
    let new = NewKey { name: "ci".to_owned(), principal: Some(of.into()), roles: roles.map(set), ..NewKey::default() };
    house.server.callers().create_key(by, new).await
}

/// Comes with a key.
async fn come(house: &House, secret: &KeySecret) -> Result<Caller, Challenge> {
    let request = Request::post("").with("authorization", &format!("Bearer {}", secret.expose()));
    house.server.stored_keys().authenticate(&request).await
}

fn is_forbidden<T>(done: Result<T, CallerError>) -> bool {
    matches!(done, Err(CallerError::Forbidden(_)))
}

#[tokio::test]
async fn a_key_lets_in_whom_it_is_for_and_its_secret_is_shown_once() {
    let house = house();
    add(&house, "ada", &["writer"]).await;
    let made = make(&house, &admin(), "ada", None).await.unwrap();
    let caller = come(&house, &made.secret).await.unwrap();
    assert_eq!(caller, Caller::new("acme", "ada").with_role("writer"));
    assert!(!format!("{made:?}").contains(made.secret.expose()));
    settle().await;
    let keys = house.server.callers().keys(&caller, None, None, 10).await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0].id, keys[0].used), (made.key.id, Some(house.clock.now())));
}

#[tokio::test]
async fn an_administrator_who_is_no_user_yet_becomes_one_with_the_first_key_and_nobody_else_does() {
    let house = house();
    let new = || NewKey { name: "first".to_owned(), ..NewKey::default() };
    let made = house.server.callers().create_key(&operator(), new()).await.unwrap();
    let caller = come(&house, &made.secret).await.unwrap();
    assert_eq!((caller.principal().as_str(), caller.has_role(Caller::OPERATOR)), ("root", true));
    let visitor = Caller::new("acme", "visitor").with_role("writer");
    assert!(is_forbidden(house.server.callers().create_key(&visitor, new()).await));
}

#[tokio::test]
async fn others_make_their_own_keys_with_no_more_than_they_came_with() {
    let house = house();
    add(&house, "ada", &["writer", "reader"]).await;
    add(&house, "bob", &[]).await;
    let ada = Caller::new("acme", "ada").with_role("writer").with_scope("notes:read");
    let desk = house.server.callers();
    let own = |roles: Option<&[&str]>, scopes: Option<&[&str]>| NewKey {
        name: "own".to_owned(),
        roles: roles.map(set),
        scopes: scopes.map(set),
        ..NewKey::default()
    };
    let made = desk.create_key(&ada, own(None, None)).await.unwrap();
    assert_eq!(come(&house, &made.secret).await.unwrap(), ada);
    assert!(desk.create_key(&ada, own(Some(&[]), Some(&[]))).await.unwrap().key.scopes.is_empty());
    assert!(is_forbidden(desk.create_key(&ada, own(Some(&["reader"]), None)).await));
    assert!(is_forbidden(desk.create_key(&ada, own(None, Some(&["notes:write"]))).await));
    assert!(is_forbidden(make(&house, &ada, "bob", None).await));
    assert!(is_forbidden(desk.users(&ada, None, 10).await));
    assert!(desk.user(&ada, &"ada".into()).await.is_ok());
    assert!(matches!(desk.user(&ada, &"bob".into()).await, Err(CallerError::UnknownUser)));
    let of_bob = make(&house, &admin(), "bob", None).await.unwrap().key.id;
    for done in
        [desk.revoke_key(&ada, of_bob).await, desk.rotate_key(&ada, of_bob, None).await.map(|made| made.made.key)]
    {
        assert!(matches!(done, Err(CallerError::UnknownKey)));
    }
    let seen = desk.keys(&ada, Some(&"bob".into()), None, 10).await.unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|key| key.principal.as_str() == "ada"));
    assert!(desk.revoke_key(&ada, made.key.id).await.is_ok());
    assert_eq!(come(&house, &made.secret).await, Err(Challenge::Invalid));
}

#[tokio::test]
async fn nobody_grants_a_role_that_they_do_not_have_and_only_operators_touch_operators() {
    let house = house();
    let desk = house.server.callers();
    for role in [Caller::OPERATOR, "reader"] {
        let new = NewUser { principal: "mallory".into(), display_name: String::new(), roles: set(&[role]) };
        assert!(is_forbidden(desk.create_user(&admin(), new).await), "{role}");
    }
    for name in ["admin", "local"] {
        let new = NewUser { principal: name.into(), display_name: String::new(), roles: set(&[]) };
        assert!(is_forbidden(desk.create_user(&admin(), new).await), "{name}");
        assert!(is_forbidden(desk.erase_user(&admin(), &name.into()).await), "{name}");
    }
    add(&house, "ada", &["reader"]).await;
    add(&house, "chief", &[Caller::OPERATOR]).await;
    let (ada, chief) = ("ada".into(), "chief".into());
    let roles = |roles: &[&str]| UserChange { roles: Some(set(roles)), ..UserChange::default() };
    assert!(is_forbidden(desk.change_user(&admin(), &ada, &roles(&["reader", Caller::OPERATOR])).await));
    // What they have already is not granted.
    assert_eq!(desk.change_user(&admin(), &ada, &roles(&["reader", "writer"])).await.unwrap().roles.len(), 2);
    assert!(is_forbidden(
        desk.change_user(&admin(), &chief, &UserChange { disabled: Some(true), ..UserChange::default() }).await
    ));
    assert!(is_forbidden(desk.erase_user(&admin(), &chief).await));
    assert!(is_forbidden(make(&house, &admin(), "chief", Some(&[])).await));
    let made = make(&house, &operator(), "chief", None).await.unwrap();
    assert!(is_forbidden(desk.rotate_key(&admin(), made.key.id, None).await));
    assert!(is_forbidden(desk.revoke_key(&admin(), made.key.id).await));
    // A key of ada's carries what the one who makes it may not grant.
    assert!(is_forbidden(make(&house, &admin(), "ada", None).await));
    assert!(make(&house, &admin(), "ada", Some(&["writer"])).await.is_ok());
    let scoped = |scope: &str| NewKey {
        name: "scoped".to_owned(),
        principal: Some("ada".into()),
        roles: Some(set(&[])),
        scopes: Some(set(&[scope])),
        ..NewKey::default()
    };
    for scope in ["notes:read", Caller::ALL_SCOPES] {
        assert!(is_forbidden(desk.create_key(&admin(), scoped(scope)).await), "{scope}");
        assert!(desk.create_key(&operator(), scoped(scope)).await.is_ok(), "{scope}");
        assert!(desk.create_key(&admin().with_scope(Caller::ALL_SCOPES), scoped(scope)).await.is_ok(), "{scope}");
    }
    assert!(matches!(
        make(&house, &operator(), "ada", Some(&["nothing"])).await,
        Err(CallerError::Invalid { field: "roles", .. })
    ));
}

#[tokio::test]
async fn a_replaced_key_lets_in_beside_the_new_one_for_a_while() {
    let house = house();
    add(&house, "ada", &["writer"]).await;
    let desk = house.server.callers();
    let first = make(&house, &admin(), "ada", None).await.unwrap();
    let second = desk.rotate_key(&admin(), first.key.id, None).await.unwrap();
    assert_eq!(second.old_ends, house.clock.now().after(OVERLAP));
    assert_eq!((&second.made.key.name, &second.made.key.roles), (&first.key.name, &first.key.roles));
    for secret in [&first.secret, &second.made.secret] {
        assert!(come(&house, secret).await.is_ok());
    }
    house.clock.advance(OVERLAP);
    assert_eq!(come(&house, &first.secret).await, Err(Challenge::Invalid));
    assert!(come(&house, &second.made.secret).await.is_ok());
    let third = desk.rotate_key(&admin(), second.made.key.id, Some(Duration::ZERO)).await.unwrap();
    assert_eq!(come(&house, &second.made.secret).await, Err(Challenge::Invalid));
    assert!(come(&house, &third.made.secret).await.is_ok());
    assert!(matches!(desk.rotate_key(&admin(), first.key.id, None).await, Err(CallerError::KeyEnded)));
    let too_long = desk.rotate_key(&admin(), third.made.key.id, Some(Duration::from_secs(91 * 24 * 60 * 60))).await;
    assert!(matches!(too_long, Err(CallerError::Invalid { field: "overlap", .. })));
}

#[tokio::test]
async fn a_new_key_in_the_place_of_another_lasts_as_long_and_gives_nobody_more() {
    let house = house();
    add(&house, "ada", &["writer", "reader"]).await;
    let desk = house.server.callers();
    let hour = Duration::from_secs(60 * 60);
    let new = NewKey {
        name: "strong".to_owned(),
        principal: Some("ada".into()),
        expires: Some(house.clock.now().after(hour)),
        ..NewKey::default()
    };
    let strong = desk.create_key(&operator(), new).await.unwrap();
    // With a key that carries less one does not get more.
    let weak = Caller::new("acme", "ada").with_role("reader");
    assert!(is_forbidden(desk.rotate_key(&weak, strong.key.id, None).await));
    house.clock.advance(hour / 2);
    let own = come(&house, &strong.secret).await.unwrap();
    let made = desk.rotate_key(&own, strong.key.id, None).await.unwrap().made;
    assert_eq!(made.key.expires, Some(house.clock.now().after(hour)));
    // What the user has lost does not come back by it.
    let less = UserChange { roles: Some(set(&["reader"])), ..UserChange::default() };
    desk.change_user(&operator(), &"ada".into(), &less).await.unwrap();
    let own = come(&house, &made.secret).await.unwrap();
    assert_eq!(own, Caller::new("acme", "ada").with_role("reader"));
    assert_eq!(desk.rotate_key(&own, made.key.id, None).await.unwrap().made.key.roles, set(&["reader"]));
}

#[tokio::test]
async fn whoever_is_kept_out_is_out_at_once_and_comes_back() {
    let house = house();
    add(&house, "ada", &[]).await;
    let desk = house.server.callers();
    let made = make(&house, &admin(), "ada", None).await.unwrap();
    for (disabled, is_in) in [(false, true), (true, false), (false, true)] {
        let change = UserChange { disabled: Some(disabled), ..UserChange::default() };
        assert_eq!(desk.change_user(&admin(), &"ada".into(), &change).await.unwrap().disabled, disabled);
        assert_eq!(come(&house, &made.secret).await.is_ok(), is_in);
    }
}

#[tokio::test]
async fn a_user_has_so_many_keys_and_those_that_have_ended_make_room() {
    let house = house();
    add(&house, "ada", &[]).await;
    add(&house, "bob", &[]).await;
    let mut ids: Vec<KeyId> = Vec::new();
    for _ in 0..KEYS_PER_USER {
        ids.push(make(&house, &admin(), "ada", None).await.unwrap().key.id);
    }
    let full = make(&house, &admin(), "ada", None).await;
    assert!(matches!(full, Err(CallerError::TooManyKeys)));
    assert!(full.unwrap_err().to_string().contains("revoke one"));
    assert!(make(&house, &admin(), "bob", None).await.is_ok());
    house.server.callers().revoke_key(&admin(), ids[5]).await.unwrap();
    assert!(make(&house, &admin(), "ada", None).await.is_ok());
    assert!(matches!(house.server.callers().revoke_key(&admin(), ids[5]).await, Err(CallerError::UnknownKey)));
}

#[tokio::test]
async fn of_an_erased_user_nothing_is_left() {
    let house = house();
    add(&house, "ada", &[]).await;
    let desk = house.server.callers();
    let made = make(&house, &admin(), "ada", None).await.unwrap();
    let tenant = admin().tenant().clone();
    house.stores.notes.write(&tenant, &"ada".into(), "n", "milk").await.unwrap();
    let removed = desk.erase_user(&admin(), &"ada".into()).await.unwrap();
    assert!(removed.contains(&("notes", 1)), "{removed:?}");
    assert_eq!(come(&house, &made.secret).await, Err(Challenge::Invalid));
    assert!(desk.keys(&admin(), None, None, 10).await.unwrap().is_empty());
    assert!(matches!(desk.user(&admin(), &"ada".into()).await, Err(CallerError::UnknownUser)));
    assert!(matches!(desk.erase_user(&admin(), &"ada".into()).await, Err(CallerError::UnknownUser)));
    // Whoever is no user may have left something.
    house.stores.notes.write(&tenant, &"guest".into(), "n", "milk").await.unwrap();
    assert!(desk.erase_user(&admin(), &"guest".into()).await.is_ok());
}

#[tokio::test]
async fn nobody_has_to_do_with_users_and_keys_of_another_tenant() {
    let house = house();
    add(&house, "ada", &[]).await;
    let made = make(&house, &admin(), "ada", None).await.unwrap();
    let stranger = Caller::new("other", "eve").with_role(Caller::ADMIN).with_role(Caller::OPERATOR);
    let desk = house.server.callers();
    assert!(desk.keys(&stranger, Some(&"ada".into()), None, 10).await.unwrap().is_empty());
    assert!(desk.users(&stranger, None, 10).await.unwrap().is_empty());
    assert!(matches!(desk.revoke_key(&stranger, made.key.id).await, Err(CallerError::UnknownKey)));
    assert!(matches!(desk.rotate_key(&stranger, made.key.id, None).await, Err(CallerError::UnknownKey)));
    assert!(matches!(make(&house, &stranger, "ada", None).await, Err(CallerError::UnknownUser)));
    assert!(matches!(desk.erase_user(&stranger, &"ada".into()).await, Err(CallerError::UnknownUser)));
    assert!(come(&house, &made.secret).await.is_ok());
}

#[tokio::test]
async fn an_export_has_a_line_for_each_record_and_an_end_and_only_those_may_have_it() {
    let house = house();
    add(&house, "ada", &[]).await;
    add(&house, "chief", &[Caller::OPERATOR]).await;
    let desk = house.server.callers();
    make(&house, &admin(), "ada", None).await.unwrap();
    let (tenant, ada) = (admin().tenant().clone(), "ada".into());
    for n in 0..45 {
        house.stores.notes.write(&tenant, &ada, &format!("n{n}"), "milk").await.unwrap();
    }
    for n in [1, 2] {
        let thread = Thread { id: ThreadId::from_u128(n), title: "t".to_owned(), created: house.clock.now() };
        house.stores.threads.create(&tenant, &ada, &thread).await.unwrap();
        for m in 0..21 {
            let message = Message {
                id: MessageId::from_u128(m),
                role: "user".to_owned(),
                text: "hello".to_owned(),
                at: house.clock.now(),
            };
            house.stores.threads.append(&tenant, &ada, thread.id, &message).await.unwrap();
        }
    }
    let exported = async |caller: &Caller| {
        let lines = desk.export_user(caller, &ada).await.unwrap();
        let text: Vec<_> = lines.map(|lines| lines.unwrap()).collect().await;
        let text = String::from_utf8(text.concat()).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    // Whoever exports what is kept of them finds there that they do.
    for (caller, acts) in [(admin(), 0), (Caller::new("acme", "ada"), 1)] {
        let lines = exported(&caller).await;
        let count = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
        assert_eq!(["user", "key", "note", "thread", "message", "call"].map(count), [1, 1, 45, 2, 42, acts]);
        assert_eq!(*lines.last().unwrap(), json!({"type": "end", "lines": 91 + acts}));
    }
    let stranger = Caller::new("other", "eve").with_role(Caller::ADMIN);
    assert_eq!(exported(&stranger).await, [json!({"type": "end", "lines": 0})]);
    assert!(matches!(desk.export_user(&Caller::new("acme", "bob"), &ada).await, Err(CallerError::UnknownUser)));
    assert!(is_forbidden(desk.export_user(&admin(), &"chief".into()).await));
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let house = house();
    add(&house, "ada", &[]).await;
    let desk = house.server.callers();
    let user = |principal: &str| NewUser { principal: principal.into(), display_name: String::new(), roles: set(&[]) };
    assert!(matches!(desk.create_user(&admin(), user("ada")).await, Err(CallerError::UserExists)));
    assert!(matches!(
        desk.create_user(&admin(), user("a/b")).await,
        Err(CallerError::Invalid { field: "principal", .. })
    ));
    let nameless = NewKey { principal: Some("ada".into()), ..NewKey::default() };
    assert!(matches!(desk.create_key(&admin(), nameless).await, Err(CallerError::Invalid { field: "name", .. })));
    let over = NewKey {
        name: "late".to_owned(),
        principal: Some("ada".into()),
        expires: Some(house.clock.now()),
        ..NewKey::default()
    };
    assert!(matches!(desk.create_key(&admin(), over).await, Err(CallerError::Invalid { field: "expires", .. })));
}
