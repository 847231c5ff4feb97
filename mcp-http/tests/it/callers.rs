//! Users and keys over REST, and who comes in by them.

use std::sync::atomic::{AtomicU64, Ordering};

use mcp_store::test_servers::PostgresServer;
use serde_json::{Value, json};

use crate::outages::{is_refused, serve};
use crate::served::{Reply, Served, until};

/// A name that nobody has.
pub fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("somebody {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A path with a key, a user and a thread in it that are there.
pub fn filled(server: &Served, path: &str) -> String {
    let mut path = path.to_owned();
    if path.contains("{key}") {
        // Of a user of its own, since one has not so many.
        let user = add(server, &new_name(), &[]);
        path = path
            .replace("{key}", make(server, &json!({"name": "ci", "principal": user}))["key"]["id"].as_str().unwrap());
    }
    if path.contains("{principal}") {
        path = path.replace("{principal}", &add(server, &new_name(), &[]).replace(' ', "%20"));
    }
    if path.contains("{thread}") {
        let begun = server.post("/api/v1/threads", r#"{"title": "Talk"}"#);
        path = path.replace("{thread}", begun.body["thread"]["id"].as_str().unwrap());
    }
    if path.contains("/agent-definitions/") {
        server.send("PUT", &path, &[], r#"{"team": {"sequence": ["a", "b"]}}"#);
    }
    path
}

fn add(server: &Served, name: &str, roles: &[&str]) -> String {
    let reply = server.post("/api/v1/users", &json!({"principal": name, "roles": roles}).to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    name.to_owned()
}

fn make(server: &Served, key: &Value) -> Value {
    let reply = server.post("/api/v1/keys", &key.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.body
}

fn send(server: &Served, secret: &str, method: &str, path: &str, body: &str) -> Reply {
    server.send(method, path, &[("authorization", &format!("Bearer {secret}"))], body)
}

/// The names of the callers of all recorded calls of tools, the newest first.
fn recorded(server: &Served) -> Vec<Value> {
    let calls = server.get("/api/v1/calls").body;
    let calls = calls["calls"].as_array().unwrap().iter();
    let of_tools = calls.filter(|call| !call["tool"].as_str().unwrap().starts_with("act:"));
    of_tools.map(|call| call["caller"].clone()).collect()
}

#[test]
fn whoever_has_a_key_calls_as_its_user_until_it_is_revoked() {
    let server = Served::start(&[]);
    add(&server, "ada", &["writer"]);
    let made = make(&server, &json!({"name": "ci", "principal": "ada", "scopes": ["notes:read"]}));
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("mcp_") && secret.len() == 47, "{made}");
    assert_eq!((&made["key"]["roles"], &made["key"]["scopes"]), (&json!(["writer"]), &json!(["notes:read"])));
    assert_eq!(send(&server, secret, "POST", "/api/v1/tools/time.now/call", "{}").status, 200);
    assert_eq!(recorded(&server), ["ada"]);
    let by_header = server.send("GET", "/api/v1/tools", &[("x-api-key", secret)], "");
    assert_eq!(by_header.status, 200);

    // Nothing shows the secret again.
    let listed = server.get("/api/v1/keys");
    assert_eq!(listed.body["keys"].as_array().unwrap().len(), 1);
    assert!(!listed.body.to_string().contains(secret) && listed.header("cache-control").is_none());

    let revoked = server.send("DELETE", &format!("/api/v1/keys/{}", made["key"]["id"].as_str().unwrap()), &[], "");
    assert_eq!((revoked.status, revoked.body["revoked"].is_string()), (200, true), "{revoked:?}");
    let refused = send(&server, secret, "GET", "/api/v1/tools", "");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
    assert!(!refused.body.to_string().contains(secret));
}

#[test]
fn a_replaced_key_and_the_new_one_let_in_and_with_no_overlap_only_the_new_one() {
    let server = Served::start(&[]);
    let made = make(&server, &json!({"name": "own"}));
    let rotate = |made: &Value, body: &str| {
        let rotated = server.post(&format!("/api/v1/keys/{}/rotate", made["key"]["id"].as_str().unwrap()), body);
        assert_eq!((rotated.status, rotated.header("cache-control")), (200, Some("no-store")), "{rotated:?}");
        rotated.body
    };
    let lets_in =
        |made: &Value| send(&server, made["secret"].as_str().unwrap(), "GET", "/api/v1/tools", "").status == 200;
    let second = server.send("POST", &format!("/api/v1/keys/{}/rotate", made["key"]["id"].as_str().unwrap()), &[], "");
    let second = second.body;
    assert!(second["old_ends"].is_string() && lets_in(&made) && lets_in(&second), "{second}");
    let third = rotate(&second, r#"{"overlap_seconds": 0}"#);
    assert!(!lets_in(&second) && lets_in(&third));
    let refused = server.post(&format!("/api/v1/keys/{}/rotate", second["key"]["id"].as_str().unwrap()), "{}");
    assert_eq!(refused.status, 409, "{refused:?}");
}

#[test]
fn whoever_is_no_administrator_has_their_own_keys_and_no_more() {
    let server = Served::start(&[]);
    add(&server, "ada", &[]);
    add(&server, "bob", &[]);
    let secret = make(&server, &json!({"name": "ci", "principal": "ada"}))["secret"].as_str().unwrap().to_owned();
    let of_bob = make(&server, &json!({"name": "ci", "principal": "bob"}))["key"]["id"].as_str().unwrap().to_owned();
    for (method, path, body, status) in [
        ("GET", "/api/v1/users", "", 403),
        ("POST", "/api/v1/users", r#"{"principal": "eve"}"#, 403),
        ("PATCH", "/api/v1/users/ada", r#"{"roles": ["admin"]}"#, 403),
        ("DELETE", "/api/v1/users/bob", "", 403),
        ("GET", "/api/v1/users/bob", "", 404),
        ("GET", "/api/v1/users/ada", "", 200),
        ("POST", "/api/v1/keys", r#"{"name": "x", "principal": "bob"}"#, 403),
        ("POST", "/api/v1/keys", r#"{"name": "x", "roles": ["admin"]}"#, 422),
        ("POST", "/api/v1/keys", r#"{"name": "x", "scopes": ["notes:read"]}"#, 403),
        ("POST", "/api/v1/keys", r#"{"name": "x"}"#, 200),
        ("DELETE", &*format!("/api/v1/keys/{of_bob}"), "", 404),
        ("POST", &*format!("/api/v1/keys/{of_bob}/rotate"), "{}", 404),
    ] {
        let reply = send(&server, &secret, method, path, body);
        assert_eq!(reply.status, status, "{method} {path} {body}: {reply:?}");
    }
    let own = send(&server, &secret, "GET", "/api/v1/keys?principal=bob", "").body;
    let owners: Vec<_> = own["keys"].as_array().unwrap().iter().map(|key| &key["principal"]).collect();
    assert_eq!(owners, ["ada", "ada"]);
}

#[test]
fn users_are_listed_changed_and_erased() {
    let server = Served::start(&[]);
    for name in ["ada", "bob", "cleo"] {
        add(&server, name, &[]);
    }
    let page = server.get("/api/v1/users?limit=2").body;
    assert_eq!((&page["users"][0]["principal"], &page["next"]), (&json!("ada"), &json!("bob")));
    let page = server.get("/api/v1/users?limit=2&after=bob").body;
    assert_eq!((&page["users"][0]["principal"], &page["next"]), (&json!("cleo"), &Value::Null));
    assert_eq!(server.post("/api/v1/users", r#"{"principal": "ada"}"#).status, 409);

    let secret = make(&server, &json!({"name": "ci", "principal": "ada"}))["secret"].as_str().unwrap().to_owned();
    let note = json!({"name": "n", "text": "milk"}).to_string();
    assert_eq!(send(&server, &secret, "POST", "/api/v1/tools/notes.write/call", &note).status, 200);
    for (change, status) in [(r#"{"disabled": true}"#, 401), (r#"{"disabled": false, "display_name": "Ada"}"#, 200)] {
        assert_eq!(server.send("PATCH", "/api/v1/users/ada", &[], change).status, 200);
        assert_eq!(send(&server, &secret, "GET", "/api/v1/users/ada", "").status, status, "{change}");
    }
    let erased = server.send("DELETE", "/api/v1/users/ada", &[], "");
    assert_eq!((erased.status, &erased.body["removed"]["notes"]), (200, &json!(1)), "{erased:?}");
    assert_eq!(send(&server, &secret, "GET", "/api/v1/tools", "").status, 401);
    assert_eq!(server.get("/api/v1/users/ada").status, 404);
    assert_eq!(server.send("DELETE", "/api/v1/users/ada", &[], "").status, 404);
    assert_eq!(server.get("/api/v1/keys").body["keys"], json!([]));
}

#[test]
fn with_postgres_stopped_no_key_is_said_to_be_wrong() {
    let postgres = PostgresServer::start();
    let server = serve(&postgres.database());
    let [seen, unseen] =
        ["seen", "unseen"].map(|name| make(&server, &json!({"name": name}))["secret"].as_str().unwrap().to_owned());
    let list = |secret: &str| send(&server, secret, "GET", "/api/v1/tools", "");
    assert_eq!(list(&seen).status, 200);
    postgres.stop();
    assert!(is_refused(&list(&unseen)));
    until("the other one is not known any more", || {
        let reply = list(&seen);
        assert!(reply.status == 200 || is_refused(&reply), "{reply:?}");
        reply.status != 200
    });
    assert_eq!(server.get("/api/v1/tools").status, 200, "whoever needs no key goes on");
    postgres.restart();
    for secret in [&seen, &unseen] {
        until("keys are known again", || list(secret).status == 200);
    }
}

#[test]
fn all_that_is_kept_of_somebody_is_exported_to_administrators_and_to_themselves() {
    let server = Served::start(&[]);
    add(&server, "ada", &[]);
    add(&server, "bob", &[]);
    let [ada, bob] = ["ada", "bob"]
        .map(|name| make(&server, &json!({"name": "ci", "principal": name}))["secret"].as_str().unwrap().to_owned());
    for n in 0..45 {
        let note = json!({"name": format!("n{n}"), "text": "milk"}).to_string();
        assert_eq!(send(&server, &ada, "POST", "/api/v1/tools/notes.write/call", &note).status, 200);
    }
    assert_eq!(
        send(&server, &bob, "POST", "/api/v1/tools/notes.write/call", r#"{"name": "b", "text": "zebra"}"#).status,
        200
    );
    assert_eq!(send(&server, &ada, "PUT", "/api/v1/files/a.txt", "bytes").status, 200);
    let path = "/api/v1/users/ada/export";
    // Whoever exports what is kept of them finds there that they do.
    for (reply, acts) in [(server.get(path), 0), (send(&server, &ada, "GET", path, ""), 1)] {
        assert_eq!((reply.status, reply.content_type.as_str()), (200, "application/jsonl"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let text = reply.body.as_str().unwrap();
        assert!(!text.contains("zebra") && !text.contains("mcp_"), "{text}");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let count = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
        let counts = ["user", "key", "call", "note", "file", "end"].map(count);
        assert_eq!(counts, [1, 1, 45 + acts, 45, 1, 1]);
        assert_eq!(*lines.last().unwrap(), json!({"type": "end", "lines": 93 + acts}));
        assert!(lines.iter().any(|line| line["type"] == "call" && line["arguments"]["name"] == "n7"));
    }
    assert_eq!(send(&server, &bob, "GET", path, "").status, 404);
}
