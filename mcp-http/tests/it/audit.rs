//! `audit verify`: what it says of records that are whole, and of others.

use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_store::test_servers::PostgresServer;
use serde_json::Value;

use crate::served::{Served, binary, text};

/// Makes that many calls.
fn call(server: &Served, times: usize) {
    for _ in 0..times {
        assert_eq!(server.post("/api/v1/tools/time.now/call", "{}").status, 200);
    }
}

fn json(verified: &Output) -> Value {
    serde_json::from_slice(&verified.stdout).unwrap_or_else(|_| panic!("{}", text(&verified.stderr)))
}

#[test]
fn records_are_verified_while_the_server_serves_and_when_it_has_stopped() {
    let server = Served::start(&[]);
    let none = server.command(&["audit", "verify", "--json"]);
    assert_eq!(none.status.code(), Some(0), "{}", text(&none.stderr));
    assert_eq!(json(&none)["links"], 0);
    call(&server, 5);
    let verified = server.command(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
    assert!(text(&verified.stdout).contains("records  5\n"), "{}", text(&verified.stdout));
    let (code, _, folder) = server.stop();
    assert_eq!(code, Some(0));
    let verified = binary(folder.path(), &[]).args(["audit", "verify", "--json"]).output().unwrap();
    let verified = json(&verified);
    assert_eq!((&verified["whole"], &verified["records"], &verified["chains"]), (&true.into(), &5.into(), &1.into()));
    // An anchor was written when it stopped: each call has a link, and there are the first, and the anchor.
    assert_eq!(verified["links"], 7);

    std::fs::remove_file(folder.path().join("data/secret.key")).unwrap();
    let keyless = binary(folder.path(), &[]).args(["audit", "verify"]).output().unwrap();
    assert_eq!(keyless.status.code(), Some(3), "{}", text(&keyless.stderr));
    assert!(text(&keyless.stderr).contains("SECRET_KEYS"), "{}", text(&keyless.stderr));
    assert!(!folder.path().join("data/secret.key").exists(), "it makes none");
}

#[test]
fn what_was_changed_behind_its_back_is_told_with_its_place() {
    let servers = PostgresServer::shared();
    let url = servers.database();
    let database = url.rsplit('/').next().unwrap();
    let (old, new, other) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]), STANDARD.encode([3; 32]));
    let serve = |keys: &str| Served::start(&[("DATABASE_URL", url.as_str()), ("SECRET_KEYS", keys)]);
    let folder = tempfile::tempdir().unwrap();
    let verify = |keys: &str| {
        let settings = [("DATABASE_URL", url.as_str()), ("SECRET_KEYS", keys)];
        binary(folder.path(), &settings).args(["audit", "verify", "--json"]).output().unwrap()
    };
    let server = serve(&old);
    call(&server, 3);
    assert_eq!(server.stop().0, Some(0));
    // The keys are changed, and the chain goes on under its own.
    let both = format!("{new},{old}");
    assert_eq!(verify(&both).status.code(), Some(0), "it only reads: nothing is sealed anew");
    assert_eq!(verify(&old).status.code(), Some(0));
    let server = serve(&both);
    call(&server, 2);
    assert_eq!(server.stop().0, Some(0));
    let verified = verify(&new);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stderr));
    assert_eq!((&json(&verified)["chains"], &json(&verified)["records"]), (&2.into(), &5.into()));
    for keys in ["", other.as_str(), old.as_str()] {
        let refused = verify(keys);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains("SECRET_KEYS"), "{}", text(&refused.stderr));
    }

    let id = servers.query(database, "SELECT id FROM mcp_calls ORDER BY id LIMIT 1");
    servers.query(database, &format!("UPDATE mcp_calls SET tool = 'time.then' WHERE id = '{id}'"));
    let verified = verify(&new);
    assert_eq!(verified.status.code(), Some(6), "{}", text(&verified.stderr));
    let findings = json(&verified);
    let finding = &findings["findings"][0];
    assert_eq!((&finding["finding"], &finding["id"]), (&"record_altered".into(), &id.into()), "{findings}");
    assert_eq!((&findings["whole"], finding["sequence"].is_u64()), (&false.into(), true));
    assert!(text(&verified.stderr).contains("\"code\":\"findings\""), "{}", text(&verified.stderr));
}
