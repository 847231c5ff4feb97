//! `connect`: a client's file with one more server in it, and a key that lets it in.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::served::{Served, binary, text};

fn connect(server: &Served, words: &[&str]) -> Output {
    let port = server.url.rsplit(':').next().unwrap();
    let home = server.folder().to_str().unwrap();
    let mut command = binary(server.folder(), &[("PORT", port), ("HOME", home)]);
    command.arg("connect").args(words).stdin(Stdio::null()).output().unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the server says to whoever comes with what the entry says.
fn status(server: &Served, bearer: &str) -> u16 {
    server.get_with("/api/v1/tools", &[("authorization", bearer)]).status
}

#[test]
fn each_client_finds_the_server_in_its_file_with_a_key_that_lets_it_in() {
    let server = Served::start(&[]);
    let url = format!("{}/mcp", server.url);
    for (client, file, member) in [
        ("claude-code", ".claude.json", "mcpServers"),
        ("cursor", ".cursor/mcp.json", "mcpServers"),
        ("vscode", ".config/Code/User/mcp.json", "servers"),
        ("claude-desktop", ".config/Claude/claude_desktop_config.json", "mcpServers"),
    ] {
        let done = connect(&server, &[client, "--yes", "--json"]);
        assert_eq!(done.status.code(), Some(0), "{client}: {}", text(&done.stderr));
        let file = server.folder().join(file);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{client}");
        let entry = read(&file)[member]["mcp-http"].clone();
        let bearer = if client == "claude-desktop" {
            assert_eq!((&entry["command"], &entry["args"][2]), (&json!("npx"), &json!(url)));
            entry["env"]["AUTHORIZATION"].clone()
        } else {
            assert_eq!(entry["url"], json!(url));
            entry["headers"]["Authorization"].clone()
        };
        let bearer = bearer.as_str().unwrap();
        assert_eq!(status(&server, bearer), 200, "{client}");
        assert!(!text(&done.stderr).contains(bearer) && !text(&done.stdout).contains(bearer), "no key is shown");
        assert!(text(&done.stderr).contains("+ "), "what changes is shown: {}", text(&done.stderr));
    }
    let keys = server.get("/api/v1/keys").body;
    let made: Vec<_> = keys["keys"].as_array().unwrap().iter().collect();
    assert_eq!(made.len(), 4, "{keys}");
    assert!(made.iter().all(|key| key["expires"].is_string() && key["roles"] == json!([])), "{keys}");
}

#[test]
fn what_was_in_the_file_is_shown_kept_and_left_as_it_was() {
    let server = Served::start(&[]);
    let file = server.folder().join(".claude.json");
    let before = "{\n  \"z\": 1,\n  \"mcpServers\": {\n    \"mcp-http\": {\"command\": \"other\"},\n    \"kept\": {\"url\": \"x\"}\n  },\n  \"a\": 2.50\n}\n";
    std::fs::write(&file, before).unwrap();
    let refused = connect(&server, &["claude-code"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("-     \"mcp-http\": {\"command\": \"other\"}") && said.contains("--yes"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert_eq!(server.get("/api/v1/keys").body["keys"], json!([]), "no key is made for what is not agreed to");

    let done = connect(&server, &["claude-code", "--yes", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(std::fs::read_to_string(told["backup"].as_str().unwrap()).unwrap(), before);
    let after = std::fs::read_to_string(&file).unwrap();
    assert!(after.starts_with("{\n  \"z\": 1,\n") && after.ends_with("\"a\": 2.50\n}\n"), "{after}");
    assert_eq!(read(&file)["mcpServers"]["kept"], json!({"url": "x"}));

    // Beside it, under another name.
    assert_eq!(connect(&server, &["claude-code", "--name", "second", "--yes"]).status.code(), Some(0));
    assert_eq!(read(&file)["mcpServers"].as_object().unwrap().len(), 3);

    std::fs::write(&file, "{\n  \"mcpServers\": {,}\n}").unwrap();
    let broken = connect(&server, &["claude-code", "--yes"]);
    let said = text(&broken.stderr);
    assert!(broken.status.code() == Some(1) && said.contains("line 2"), "{said}");
    assert_eq!(server.get("/api/v1/keys").body["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn it_prints_what_another_client_takes_and_links() {
    let server = Served::start(&[]);
    let printed = connect(&server, &["claude-code", "--print"]);
    let all: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let bearer = all["mcpServers"]["mcp-http"]["headers"]["Authorization"].as_str().unwrap();
    assert_eq!(status(&server, bearer), 200);
    assert!(!server.folder().join(".claude.json").exists());
    let printed = connect(&server, &["vscode", "--print", "--name", "own"]);
    assert!(serde_json::from_slice::<Value>(&printed.stdout).unwrap()["servers"]["own"]["url"].is_string());
    let link = text(&connect(&server, &["cursor", "--link"]).stdout);
    assert!(link.starts_with("cursor://") && link.lines().count() == 1, "{link}");
    assert_eq!(connect(&server, &["claude-code", "--link"]).status.code(), Some(2));
    assert_eq!(connect(&server, &["cursor", "--server", "http://127.0.0.1:1", "--yes"]).status.code(), Some(4));
    assert_eq!(connect(&server, &["emacs"]).status.code(), Some(2));
}
