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

#[test]
fn an_export_tells_who_did_what_from_where_and_is_signed() {
    let server = Served::start(&[
        ("API_KEY", "the-key-of-the-house"),
        ("REDACT_ARGUMENTS", "/zone"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let send = |path: &str, key: &str, body: &str| {
        let headers = [("x-api-key", key), ("x-forwarded-for", "127.0.0.1, 203.0.113.5")];
        server.send("POST", path, &headers, body).status
    };
    let house = "the-key-of-the-house";
    assert_eq!(send("/api/v1/tools/time.now/call", house, "{\"zone\": \"Europe/Lisbon\"}"), 200);
    assert_eq!(send("/api/v1/users", house, "{\"principal\": \"ada\"}"), 200);
    assert_eq!(send("/api/v1/tools/time.now/call", "another key, which is none", "{}"), 401);
    let (code, _, folder) = server.stop();
    assert_eq!(code, Some(0));
    let run = |words: &[&str]| binary(folder.path(), &[]).args(words).output().unwrap();
    let exported = run(&["audit", "export", "--arguments"]);
    assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
    let lines: Vec<Value> = text(&exported.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let calls = of("call");
    let shown: Vec<_> =
        calls.iter().map(|call| (&call["caller"], &call["tool"], &call["outcome"], &call["sound"])).collect();
    for expected in
        [("admin", "time.now", "ok"), ("admin", "act:create_user", "ok"), ("/unknown", "act:authenticate", "error")]
    {
        let (caller, tool, outcome) = expected;
        assert!(shown.contains(&(&caller.into(), &tool.into(), &outcome.into(), &true.into())), "{shown:?}");
    }
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call["address"] == "203.0.113.5"), "{calls:?}");
    let call = calls.iter().find(|call| call["tool"] == "time.now").unwrap();
    assert_eq!(call["arguments"], serde_json::json!({"zone": "[redacted]"}));
    let plain = run(&["audit", "export"]);
    assert!(!text(&plain.stdout).contains("redacted"), "{}", text(&plain.stdout));

    // Whoever has the public key can check it.
    let pem = text(&run(&["audit", "key"]).stdout).to_owned();
    let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with("---")).collect::<String>()).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &der[12..]);
    let verify = |text: String, signature: &Value| {
        key.verify(text.as_bytes(), &STANDARD.decode(signature.as_str().unwrap()).unwrap()).is_ok()
    };
    let end = lines.last().unwrap();
    let whole = text(&exported.stdout);
    let before = &whole[..whole.trim_end().rfind('\n').unwrap() + 1];
    let sha256 =
        mcp_core::store::hex::hex(&sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(before)));
    assert_eq!((end["sha256"].as_str(), end["lines"].as_u64()), (Some(&*sha256), Some(lines.len() as u64 - 1)));
    assert!(verify(format!("mcp export 1\n{}\n{sha256}\n", lines.len() - 1), &end["signature"]));
    let anchors = of("anchor");
    assert_eq!(anchors.len(), 1);
    let signed = |anchor: &Value, sequence: u64| {
        let [chain, code, at] = ["chain", "code", "at"].map(|member| anchor[member].as_str().unwrap());
        verify(format!("mcp anchor 1\n{chain}\n{sequence}\n{code}\n{at}\n"), &anchor["signature"])
    };
    let sequence = anchors[0]["sequence"].as_u64().unwrap();
    assert!(signed(anchors[0], sequence) && !signed(anchors[0], sequence + 1));
}
