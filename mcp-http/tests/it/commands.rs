//! The command line: what it prints, and its exit codes.

use mcp_store::test_servers::PostgresServer;
use serde_json::Value;

use crate::served::{Served, binary, text, until};

#[test]
fn list_prints_signatures_and_call_prints_results() {
    let server = Served::start(&[]);
    let listed = server.command(&["list"]);
    let lines = text(&listed.stdout);
    assert!(lines.lines().any(|line| line.starts_with("time.now(zone?: string)")), "{lines}");
    assert!(lines.lines().any(|line| line.starts_with("notes.write(name: string, text: string)")), "{lines}");
    let json: Value = serde_json::from_slice(&server.command(&["list", &server.url, "--json"]).stdout).unwrap();
    assert_eq!(json["tools"][0]["name"], "time.now");

    let wrote = server.command(&["call", "notes.write", "name=list", "text=milk, bread"]);
    assert_eq!(wrote.status.code(), Some(0), "{}", text(&wrote.stderr));
    let url = format!("{}/mcp", server.url);
    let found = server.command(&["call", &url, "notes.search", "query:=\"MILK\"", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(found.to_string().contains("milk, bread"), "{found}");

    std::fs::write(server.folder().join("a.json"), r#"{"name": "list"}"#).unwrap();
    let read = server.command(&["call", "notes.read", "@a.json", "--output", "out.txt"]);
    assert!(read.stdout.is_empty());
    assert!(std::fs::read_to_string(server.folder().join("out.txt")).unwrap().contains("milk, bread"));
}

#[test]
fn each_failure_is_one_line_with_its_exit_code() {
    let server = Served::start(&[]);
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["call", "time.know"], 1, &["time.know", "did you mean \"time.now\"?"]),
        (&["call", "notes.write", "name=1", "text:=5"], 1, &["/text"]),
        (&["call", "time.now", "zone"], 2, &["name=value"]),
        (&["call", "http://127.0.0.1:1"], 2, &["tool's name"]),
        (&["call", "time.now", "zone=Atlantis"], 5, &["failed"]),
        (&["call", "http://127.0.0.1:1", "time.now"], 4, &["127.0.0.1:1", "start it"]),
        (&["list", "http://127.0.0.1:1"], 4, &["127.0.0.1:1"]),
        (&["list", "--config", "none.json"], 3, &["none.json"]),
    ];
    for (words, code, expected) in cases {
        let ran = server.command(words);
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(*code), "{words:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        for word in *expected {
            assert!(said.contains(word), "{words:?}: {word:?} is not in: {said}");
        }
        let with_json = [*words, &["--json"]].concat();
        let error: Value = serde_json::from_slice(&server.command(&with_json).stderr).unwrap();
        assert!(error["error"]["message"].is_string() && error["error"]["code"].is_string());
    }
    for words in [&["frobnicate"][..], &["call"], &["list", "--colour"]] {
        assert_eq!(server.command(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn a_server_that_wants_a_key_is_told_it() {
    let key = ("API_KEY", "0123456789abcdef");
    let server = Served::start(&[("HOST", "0.0.0.0"), key]);
    let port = server.url.rsplit(':').next().unwrap();
    let refused = server.command(&["list"]);
    assert_eq!(refused.status.code(), Some(7), "{}", text(&refused.stderr));
    let listed = binary(server.folder(), &[("PORT", port), key]).arg("list").output().unwrap();
    assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
    assert_eq!(server.get("/api/v1/tools").status, 401, "loopback is nothing special here");
    assert_eq!(server.get("/health/live").status, 200);
}

#[test]
fn migrate_shows_and_applies() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = PostgresServer::shared().database();
    for settings in [&[][..], &[("DATABASE_URL", postgres.as_str())]] {
        let run = |words: &[&str]| text(&binary(folder.path(), settings).args(words).output().unwrap().stdout);
        assert!(run(&["migrate", "--dry-run"]).starts_with("Pending:"));
        assert!(run(&["migrate", "--dry-run"]).starts_with("Pending:"), "a dry run applies nothing");
        assert!(run(&["migrate"]).starts_with("Applied:"));
        assert_eq!(run(&["migrate"]), "The database is up to date.\n");
    }
}

#[test]
fn help_begins_with_examples_and_ends_with_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let help = text(&binary(folder.path(), &[]).arg("--help").output().unwrap().stdout);
    assert!(help.starts_with("Examples:\n"), "{help}");
    for word in ["DATABASE_URL", "SECRET_KEYS", "Exit codes:", "5 the tool said that it failed"] {
        assert!(help.contains(word), "{word}");
    }
    let shown = text(&binary(folder.path(), &[("API_KEY", "0123456789abcdef")]).arg("config").output().unwrap().stdout);
    assert!(shown.contains("API_KEY") && !shown.contains("0123456789abcdef"), "{shown}");
}

#[test]
fn health_is_told_and_fails_where_calls_would() {
    let postgres = PostgresServer::start();
    let server = crate::outages::serve(&postgres.database());
    let asked = server.command(&["health"]);
    let told = text(&asked.stdout);
    assert_eq!(asked.status.code(), Some(0), "{told}");
    assert!(told.starts_with("ok, takes requests\n") && told.contains(" ms  since 20"), "{told}");
    assert!(told.lines().any(|line| line.split_whitespace().take(2).eq(["database", "up"])), "{told}");
    // How full the machine is that this runs on, nobody knows.
    for part in ["cpu", "memory", "open_files"] {
        assert!(told.lines().any(|line| line.split_whitespace().next() == Some(part)), "{part}: {told}");
    }
    let json: Value = serde_json::from_slice(&server.command(&["health", &server.url, "--json"]).stdout).unwrap();
    assert_eq!((&json["ready"], &json["checks"]["database"]["state"]), (&true.into(), &"up".into()));

    postgres.stop();
    until("the database is reported as down", || server.get("/health").body["status"] == "down");
    let asked = server.command(&["health"]);
    let (told, why) = (text(&asked.stdout), text(&asked.stderr));
    assert_eq!((asked.status.code(), why.lines().count()), (Some(1), 1), "{why}");
    assert!(told.starts_with("down, takes requests\n") && why.contains("calls fail"), "{told}{why}");
    assert!(told.lines().any(|line| line.split_whitespace().take(2).eq(["database", "down"])), "{told}");
    assert_eq!(server.command(&["health", "http://127.0.0.1:1"]).status.code(), Some(4));
    let no_server = server.command(&["health", &format!("{}/api/v1", server.url)]);
    assert_eq!(no_server.status.code(), Some(1), "{}", text(&no_server.stderr));
}

#[test]
fn help_explains_topics_and_commands_and_knows_what_may_have_been_meant() {
    let folder = tempfile::tempdir().unwrap();
    // Whatever is wrong with the configuration.
    let run = |words: &[&str]| binary(folder.path(), &[("PORT", "none")]).args(words).output().unwrap();
    let listed: Value = serde_json::from_slice(&run(&["help", "--json"]).stdout).unwrap();
    let names =
        |list: &str| listed[list].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
    assert!(names("topics").contains(&"exit-codes") && names("commands").contains(&"load"), "{listed}");
    for name in [names("topics"), names("commands")].concat() {
        let told = run(&["help", name]);
        assert_eq!((told.status.code(), told.stdout.len() > 100), (Some(0), true), "{name}: {}", text(&told.stderr));
        assert!(text(&run(&["help"]).stdout).contains(&format!("\n  {name} ")), "{name}");
    }
    let of_load = text(&run(&["help", "load"]).stdout);
    assert!(of_load.starts_with("Examples:\n") && of_load.contains("--fail-above"), "{of_load}");
    let unknown = run(&["help", "exitcodes"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean \"exit-codes\"?"), "{}", text(&unknown.stderr));
}

#[test]
fn every_command_begins_its_help_with_examples_and_has_at_most_fifteen_options() {
    let folder = tempfile::tempdir().unwrap();
    let help = |words: &[&str]| text(&binary(folder.path(), &[]).args(words).arg("--help").output().unwrap().stdout);
    let listed = binary(folder.path(), &[]).args(["help", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    for name in listed["commands"].as_array().unwrap() {
        let told = help(&[name.as_str().unwrap()]);
        assert!(told.starts_with("Examples:\n"), "{name}: {told}");
        let options = told.lines().filter(|line| line.trim_start().starts_with('-')).count();
        assert!((1..=15).contains(&options), "{name}: {options} options");
    }
}

#[test]
fn shells_complete_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = |shell: &str| text(&binary(folder.path(), &[]).args(["completion", shell]).output().unwrap().stdout);
    let file = folder.path().join("completion.bash");
    std::fs::write(&file, script("bash")).unwrap();
    // What bash does once somebody presses tab.
    let complete = |line: &str| {
        let code = r#"source "$1"; read -ra COMP_WORDS <<< "$2"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            known=$(complete -p mcp-http) && known=${known##*-F }
            "${known%% *}" mcp-http "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let done = std::process::Command::new("bash").args(["-c", code, "bash"]).arg(&file).arg(line).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("mcp-http comp"), ["completion"]);
    assert!(complete("mcp-http load --fa").contains(&"--fail-above".to_owned()));
    assert_eq!(complete("mcp-http completion fi"), ["fish"]);
    assert_eq!(complete("mcp-http keys ro"), ["rotate"]);
    assert_eq!(complete("mcp-http connect v"), ["vscode"]);
    assert!(script("zsh").starts_with("#compdef mcp-http") && script("fish").contains("complete -c mcp-http"));
}

#[test]
fn the_doctor_asks_the_server_that_serves_how_it_does() {
    let server = Served::start(&[]);
    let doctor = || server.command(&["doctor", "--json"]);
    let is = |check: &str, status: &str| {
        let (found, detail) = crate::encryption::found(&doctor(), check);
        assert_eq!(found, status, "{check}: {detail}");
    };
    is("health", "ok");
    is("errors", "cannot apply");
    is("times", "cannot apply");
    assert_eq!(server.command(&["call", "time.now"]).status.code(), Some(0));
    is("errors", "ok");
    is("times", "ok");
    assert_eq!(server.command(&["call", "time.now", "zone=Atlantis"]).status.code(), Some(5));
    is("errors", "failed");
    assert_eq!(doctor().status.code(), Some(6));
}
