//! `keys`: what it makes lets in, also beside a server and before the first one.

use serde_json::Value;

use crate::served::{Served, binary, text, until};

#[test]
fn a_key_that_was_made_by_the_command_lets_in_and_one_that_was_revoked_does_not() {
    let server = Served::start(&[]);
    let json = |words: &[&str]| -> Value {
        let ran = binary(server.folder(), &[]).args(words).arg("--json").output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    let made = json(&["keys", "create", "ci", "--role", "writer", "--scope", "notes:read", "--expires", "90d"]);
    assert_eq!((&made["key"]["principal"], &made["key"]["roles"][0]), (&Value::from("ci"), &Value::from("writer")));
    let lets_in = |made: &Value| {
        let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
        match server.get_with("/api/v1/users/ci", &[("authorization", &bearer)]).status {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    };
    assert!(lets_in(&made));
    let id = made["key"]["id"].as_str().unwrap();
    let second = json(&["keys", "rotate", id, "--overlap", "1d"]);
    assert!(lets_in(&made) && lets_in(&second));
    let third = json(&["keys", "rotate", second["key"]["id"].as_str().unwrap(), "--overlap", "0"]);
    json(&["keys", "revoke", id]);
    assert!(lets_in(&third));
    // A server beside it hears of it through Redis, and without one within a few seconds.
    until("the old ones are out", || !lets_in(&made) && !lets_in(&second));
    let listed = json(&["keys", "list", "--for", "ci"]);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 3);
    assert!(!listed.to_string().contains("mcp_"));
}

#[test]
fn people_read_a_key_once_with_a_call_to_paste_and_lists_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| binary(folder.path(), &[]).args(words).output().unwrap();
    let stale = run(&["keys", "list"]);
    assert_eq!(stale.status.code(), Some(3), "{}", text(&stale.stderr));
    assert!(text(&stale.stderr).contains("mcp-http migrate") && !folder.path().join("data").exists());
    assert_eq!(run(&["migrate"]).status.code(), Some(0));
    assert!(text(&run(&["keys", "list"]).stdout).starts_with("There are no keys;"));
    let made = text(&run(&["keys", "create", "laptop", "--for", "ada"]).stdout);
    let secret = made.lines().next().unwrap().strip_prefix("key").unwrap().trim();
    assert!(
        secret.starts_with("mcp_") && made.contains(&format!("-H 'Authorization: Bearer {secret}' -d '{{}}'")),
        "{made}"
    );
    let listed = text(&run(&["keys", "list"]).stdout);
    assert!(listed.starts_with("NAME") && listed.contains("laptop") && !listed.contains("mcp_"), "{listed}");
    for (words, code, says) in [
        (&["keys", "create", "ci", "--expires", "soon"][..], 2, "90d"),
        (&["keys", "create", "ci", "--for", "a/b"], 2, "slash"),
        (&["keys", "create", "ci", "--for", "ada", "--role", "admin"], 2, "give it to them first"),
        (&["keys", "revoke", "019a5d2c-7b6e-7c31-8a53-1f2a3b4c5d6e"], 1, "keys list"),
        (&["keys", "revoke", "none"], 2, "the id of an API key"),
    ] {
        let refused = run(words);
        assert_eq!(refused.status.code(), Some(code), "{words:?}: {}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains(says), "{words:?}: {}", text(&refused.stderr));
    }
}

#[test]
fn a_server_that_others_reach_starts_with_a_key_that_is_kept_and_not_with_one_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("HOST", "0.0.0.0"), ("PORT", "0")];
    let run = |words: &[&str]| binary(folder.path(), &settings).args(words).output().unwrap();
    assert_eq!(run(&["migrate"]).status.code(), Some(0));
    let refused = || {
        let refused = run(&[]);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
        let said = text(&refused.stderr);
        assert!(said.contains("HOST") && said.contains("API_KEY") && said.contains("mcp-http keys create"), "{said}");
    };
    refused();
    let ended: Value = serde_json::from_slice(&run(&["keys", "create", "ci", "--json"]).stdout).unwrap();
    assert_eq!(run(&["keys", "revoke", ended["key"]["id"].as_str().unwrap()]).status.code(), Some(0));
    refused();
    let made: Value = serde_json::from_slice(&run(&["keys", "create", "ci", "--json"]).stdout).unwrap();
    let server = Served::start_in(folder, &settings);
    assert_eq!(server.get("/api/v1/tools").status, 401);
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    assert_eq!(server.get_with("/api/v1/tools", &[("authorization", &bearer)]).status, 200);
}
