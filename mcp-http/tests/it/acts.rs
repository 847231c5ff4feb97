//! What is done on the command line with all that is kept, as it is recorded.

use std::path::Path;

use serde_json::{Value, json};

use crate::served::{Served, binary, text};

type Settings<'a> = &'a [(&'a str, &'a str)];

fn run(folder: &Path, settings: Settings<'_>, words: &[&str]) -> String {
    let ran = binary(folder, settings).args(words).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{words:?}: {}", text(&ran.stderr));
    text(&ran.stdout)
}

/// What was recorded that is no call, chain by chain.
fn acts(folder: &Path, settings: Settings<'_>) -> Vec<(Value, Value)> {
    let exported = run(folder, settings, &["audit", "export", "--arguments"]);
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let acts = lines.filter(|line| line["tool"].as_str().is_some_and(|tool| tool.starts_with("act:")));
    acts.map(|act| {
        assert_eq!((&act["caller"], &act["outcome"], &act["sound"]), (&json!("local"), &json!("ok"), &json!(true)));
        (act["tool"].clone(), act["arguments"].clone())
    })
    .collect()
}

/// The one act of this name.
fn act(acts: &[(Value, Value)], name: &str) -> Value {
    let of_name: Vec<_> = acts.iter().filter(|(what, _)| what == name).collect();
    assert_eq!(of_name.len(), 1, "{name}: {acts:?}");
    of_name[0].1.clone()
}

#[test]
fn what_the_command_line_does_with_all_that_is_kept_is_recorded() {
    let server = Served::start(&[]);
    assert_eq!(server.post("/api/v1/tools/notes.write/call", r#"{"name": "a", "text": "kept"}"#).status, 200);
    // Beside the server, and when it has stopped.
    run(server.folder(), &[], &["backup", "one", "--verify"]);
    let (_, _, folder) = server.stop();
    run(folder.path(), &[], &["forget", "nobody"]);
    run(folder.path(), &[], &["migrate", "--reencrypt", "--dry-run"]);
    run(folder.path(), &[], &["migrate"]);
    let encrypted: Settings<'_> = &[("ENCRYPT_CONTENT", "true")];
    run(folder.path(), encrypted, &["migrate", "--reencrypt"]);
    let done = acts(folder.path(), encrypted);
    assert_eq!(done.len(), 3, "what changes nothing is not recorded: {done:?}");
    assert_eq!(act(&done, "act:backup"), json!({"folder": "one", "verified": true}));
    assert_eq!(act(&done, "act:forget"), json!({"user": "nobody"}));
    assert_eq!(act(&done, "act:reencrypt"), json!({"encrypted": true}));

    // In what was restored there is what was done until then, and that it was restored.
    let one = folder.path().join("one");
    let key = std::fs::read_to_string(folder.path().join("data/secret.key")).unwrap();
    let (elsewhere, keys) = (tempfile::tempdir().unwrap(), [("SECRET_KEYS", key.trim())]);
    run(elsewhere.path(), &keys, &["restore", one.to_str().unwrap()]);
    let done = acts(elsewhere.path(), &keys);
    let restored = act(&done, "act:restore");
    assert_eq!((done.len(), &restored["folder"], restored["made"].is_string()), (1, &json!(one.to_str()), true));
    assert!(run(elsewhere.path(), &keys, &["audit", "verify"]).contains("as it was written"));
}

#[test]
fn a_migration_is_recorded_where_there_are_keys_to_record_it_with() {
    let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keys = [("SECRET_KEYS", crate::outages::SECRET_KEYS)];
    run(with.path(), &keys, &["migrate"]);
    run(with.path(), &keys, &["migrate"]);
    let done = acts(with.path(), &keys);
    assert!(act(&done, "act:migrate")["migrations"].as_array().is_some_and(|names| !names.is_empty()), "{done:?}");
    run(without.path(), &[], &["migrate"]);
    assert!(!without.path().join("data/secret.key").exists(), "it makes none");
}
