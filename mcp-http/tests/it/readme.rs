//! The README keeps its word: its lines are run as they stand, but for the port.

use std::path::Path;
use std::process::{Command, Output};

use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::Value;

use crate::served::{Served, text};

const README: &str = include_str!("../../../README.md");

/// The first block of a language under a heading.
fn block(heading: &str, language: &str, nth: usize) -> String {
    let section = README.split("\n## ").find_map(|section| section.strip_prefix(heading)).expect(heading);
    let mut blocks = section.split("```").filter_map(|block| block.strip_prefix(language));
    blocks.nth(nth).unwrap_or_else(|| panic!("{heading} has no {language} block {nth}")).trim().to_owned()
}

/// The commands of a block: a line that ends in a backslash, or is inside of quotes, goes on.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.lines() {
        match commands.last_mut() {
            Some(open) if open.ends_with('\\') || open.matches('\'').count() % 2 == 1 => *open += &format!("\n{line}"),
            _ => commands.push(line.to_owned()),
        }
    }
    commands
}

/// Where `mcp-http` is found as well.
fn path() -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_mcp-http")).parent().unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

fn run(server: &Served, command: &str) -> Output {
    let port = server.url.rsplit(':').next().unwrap();
    let command = command.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
    Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(server.folder())
        .env("PATH", path())
        .env("PORT", port)
        .output()
        .unwrap()
}

#[test]
fn each_line_to_try_works() {
    let server = Served::start(&[]);
    let curls = commands(&block("Try it", "sh", 0));
    assert_eq!(curls.len(), 4);
    let answers: Vec<Value> = curls
        .iter()
        .map(|curl| {
            let ran = run(&server, curl);
            serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{curl}: {error}: {}", text(&ran.stdout)))
        })
        .collect();
    assert_eq!(answers[0]["tools"][0]["name"], "time.now");
    assert_eq!(answers[1]["structuredContent"]["zone"], "Europe/Lisbon");
    assert_eq!(answers[2]["result"]["structuredContent"]["zone"], "UTC");
    assert_eq!(answers[3]["calls"].as_array().unwrap().len(), 2);

    for command in commands(&block("Try it", "sh", 1)) {
        let ran = run(&server, &command);
        assert_eq!(ran.status.code(), Some(0), "{command}: {}", text(&ran.stderr));
        assert!(!ran.stdout.is_empty(), "{command}");
    }
}

#[test]
fn the_line_for_backups_makes_one() {
    let server = Served::start(&[]);
    for command in commands(&block("Backups", "sh", 0)) {
        let ran = run(&server, &command);
        assert_eq!(ran.status.code(), Some(0), "{command}: {}", text(&ran.stderr));
    }
    assert!(server.folder().join("backups/monday/manifest.json").exists());
}

#[test]
fn the_first_tool_is_the_example_of_that_name() {
    let shown = block("A first tool", "rust", 0);
    let example = include_str!("../../../examples/first_tool.rs");
    let code = example.split_once("\n\n").unwrap().1;
    assert_eq!(shown.trim(), code.trim(), "examples/first_tool.rs, without its first line, is what the README shows");
}

#[test]
fn every_setting_is_in_the_table() {
    for setting in mcp_http::config::SETTINGS {
        let default = setting.default.map_or("–".to_owned(), |default| format!("`{default}`"));
        let row = format!("| `{}` | {default} | {} |", setting.key, setting.about);
        assert!(README.contains(&row), "README.md lacks this row:\n{row}");
    }
}

#[test]
fn the_lines_for_replicas_start_one() {
    let (postgres, redis) = (PostgresServer::shared().database(), RedisServer::shared().url());
    let lines = block("Several replicas", "sh", 0)
        .replace("postgres://mcp:PASSWORD@db.example.com/mcp", &postgres)
        .replace("redis://cache.example.com", &redis)
        .replace("mcp-http serve", "exec mcp-http serve");
    assert!(lines.contains(&postgres) && lines.contains(&redis), "{lines}");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &lines]).current_dir(folder.path()).env("PATH", path()).env("PORT", "0");
    let server = Served::run(command, folder);
    let health = server.get("/health").body;
    assert_eq!(
        (&health["checks"]["database"]["state"], &health["checks"]["redis"]["state"]),
        (&"up".into(), &"up".into())
    );
}
