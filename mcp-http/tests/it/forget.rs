//! `forget`: what it prints, and what it leaves.

use mcp_store::test_servers::PostgresServer;
use serde_json::{Value, json};

use crate::outages::SECRET_KEYS;
use crate::served::{Served, binary, text};

#[test]
fn forget_removes_what_somebody_has_while_the_server_serves_and_the_audit_chain_is_whole() {
    let postgres = PostgresServer::shared().database();
    for settings in [&[][..], &[("DATABASE_URL", postgres.as_str()), ("SECRET_KEYS", SECRET_KEYS)]] {
        let server = Served::start(settings);
        for n in 0..3 {
            let note = json!({"name": format!("note {n}"), "text": "milk, bread"}).to_string();
            assert_eq!(server.post("/api/v1/tools/notes.write/call", &note).status, 200);
        }
        let command = |words: &[&str]| binary(server.folder(), settings).args(words).output().unwrap();
        let nobody = command(&["forget", "nobody"]);
        assert_eq!(nobody.status.code(), Some(0), "{}", text(&nobody.stderr));
        assert_eq!(text(&nobody.stdout), "Nothing is kept of nobody in the tenant default.\n");
        let elsewhere = command(&["forget", "local", "--tenant", "another"]);
        assert!(text(&elsewhere.stdout).starts_with("Nothing is kept"), "{}", text(&elsewhere.stdout));
        let calls = || server.get("/api/v1/calls").body["calls"].as_array().unwrap().clone();
        assert_eq!(calls().iter().filter(|call| call["tool"] == "notes.write").count(), 3);

        let forgotten = command(&["forget", "local", "--json"]);
        assert_eq!(forgotten.status.code(), Some(0), "{}", text(&forgotten.stderr));
        let forgotten: Value = serde_json::from_slice(&forgotten.stdout).unwrap();
        assert_eq!((&forgotten["tenant"], &forgotten["principal"]), (&json!("default"), &json!("local")));
        let removed = forgotten["removed"].as_object().unwrap();
        let some: Vec<_> = removed.iter().filter(|(_, count)| **count != json!(0)).collect();
        assert_eq!(some, [(&"calls".to_owned(), &json!(4)), (&"notes".to_owned(), &json!(3))], "{forgotten}");
        // What was recorded of it stays: who had somebody forgotten, and whom.
        let left: Vec<_> = calls().iter().map(|call| (call["tool"].clone(), call["arguments"].clone())).collect();
        assert_eq!(left, [(json!("act:forget"), json!({"user": "local"}))]);
        let verified = command(&["audit", "verify", "--json"]);
        let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!((&verified["whole"], &verified["removed"]), (&json!(true), &json!(4)), "{verified}");
    }
}

#[test]
fn a_database_that_is_not_there_is_not_made_to_forget_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let refused = binary(folder.path(), &[]).args(["forget", "ada"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("mcp-http migrate"), "{}", text(&refused.stderr));
    assert!(!folder.path().join("data").exists());
}
