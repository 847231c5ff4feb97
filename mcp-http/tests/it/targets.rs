//! TARGET of `list`, `call` and `inspect`: a process, a name that a client knows, and a URL; each a real server.

use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::served::{Served, binary, text};

const STDIO: &str = concat!("stdio:", env!("CARGO_BIN_EXE_mcp-stdio"));

fn run(server: &Served, words: &[&str]) -> Output {
    let port = server.url.rsplit(':').next().unwrap();
    let home = server.folder().to_str().unwrap();
    // What is started has a database of its own.
    let settings = [("PORT", port), ("HOME", home), ("DATABASE_URL", "sqlite:./own/mcp.db")];
    binary(server.folder(), &settings).args(words).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_process_is_listed_called_and_inspected() {
    let server = Served::start(&[]);
    let listed = run(&server, &["list", STDIO]);
    assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
    let lines = text(&listed.stdout);
    assert!(lines.lines().any(|line| line.starts_with("notes.write(name: string, text: string)")), "{lines}");
    let called = run(&server, &["call", STDIO, "notes.write", "name=n", "text=5", "--json"]);
    assert_eq!(called.status.code(), Some(0), "{}", text(&called.stderr));
    let read = run(&server, &["call", STDIO, "notes.read", "name=n"]);
    assert!(text(&read.stdout).contains("\"5\""), "{}{}", text(&read.stdout), text(&read.stderr));
    assert_eq!(run(&server, &["call", STDIO, "time.now", "zone=Atlantis"]).status.code(), Some(5));
    let unknown = run(&server, &["call", STDIO, "time.know"]);
    let said = text(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && said.contains("did you mean \"time.now\"?"), "{said}");
    let none = run(&server, &["list", "stdio:/no/such/command"]);
    assert_eq!((none.status.code(), text(&none.stderr).lines().count()), (Some(4), 1), "{}", text(&none.stderr));
    // One that ends without a word.
    assert_eq!(run(&server, &["inspect", "stdio:true"]).status.code(), Some(4));

    let inspected = run(&server, &["inspect", STDIO, "--json"]);
    let found: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(found["protocolVersion"], "2026-07-28", "{found}");
    assert!(
        found["tools"].as_array().unwrap().iter().any(|tool| tool["inputSchema"]["properties"]["zone"].is_object())
    );
    assert!(found["resources"].is_array() && found["prompts"].is_array(), "{found}");
}

#[test]
fn a_url_and_a_name_that_a_client_knows_are_servers_as_well() {
    let server = Served::start(&[]);
    for target in [&[][..], &[server.url.as_str()], &[&format!("{}/mcp", server.url)]] {
        let inspected = run(&server, &[&["inspect"], target].concat());
        let said = text(&inspected.stdout);
        assert_eq!(inspected.status.code(), Some(0), "{target:?}: {}", text(&inspected.stderr));
        assert!(said.contains("speaks        2026-07-28") && said.contains("  time.now(zone?: string)"), "{said}");
    }
    assert_eq!(run(&server, &["inspect", "http://127.0.0.1:1"]).status.code(), Some(4));
    let sealed = run(&server, &["inspect", "https://127.0.0.1:1"]);
    assert_eq!((sealed.status.code(), text(&sealed.stderr).lines().count()), (Some(4), 1), "{}", text(&sealed.stderr));

    let file = server.folder().join(".cursor/mcp.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let process = json!({"command": env!("CARGO_BIN_EXE_mcp-stdio"), "args": [], "env": {"LOG_LEVEL": "error"}});
    let known = json!({"mcpServers": {"local": {"url": format!("{}/mcp", server.url)}, "process": process, "odd": {}}});
    std::fs::write(&file, format!("// what I use\n{known}")).unwrap();
    for name in ["local", "process"] {
        let listed = run(&server, &["list", name]);
        assert!(text(&listed.stdout).contains("time.now("), "{name}: {}", text(&listed.stderr));
        let called = run(&server, &["call", name, "time.now", "--json"]);
        assert_eq!(called.status.code(), Some(0), "{name}: {}", text(&called.stderr));
    }
    let unknown = run(&server, &["list", "elsewhere"]);
    assert!(
        unknown.status.code() == Some(2) && text(&unknown.stderr).contains("elsewhere"),
        "{}",
        text(&unknown.stderr)
    );
    let odd = run(&server, &["list", "odd"]);
    assert!(text(&odd.stderr).contains("mcp.json"), "{}", text(&odd.stderr));
    // Whoever is connected by a key is known by that name.
    assert_eq!(run(&server, &["connect", "claude-code", "--yes"]).status.code(), Some(0));
    assert_eq!(run(&server, &["call", "mcp-http", "time.now"]).status.code(), Some(0));
}
