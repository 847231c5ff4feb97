//! `connect`: makes a server known to a client on this machine, with a key of its own.

mod file;

use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use mcp_core::clock::Clock;
use mcp_core::tokio_runtime::TokioClock;
use serde_json::{Value, json};

use super::client::{Client, escape};
use super::failure::{Failure, Kind};
use super::keys::time;
use super::output::Output;
use crate::config::Config;
use file::Change;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http connect claude-code                  shows what changes in its file, and asks
  mcp-http connect cursor --link                a link that it opens
  mcp-http connect vscode --server https://mcp.example.com --expires 30d --yes
  mcp-http connect claude-desktop --print       only what would be in the file";

#[derive(Args)]
pub(super) struct Connect {
    /// Which client
    client: Of,
    /// Where the server is; PUBLIC_URL or the local server if left out
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Under which name the client knows the server
    #[arg(long, default_value = "mcp-http", value_parser = name)]
    name: String,
    /// How long the key lets in
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "90d")]
    expires: Duration,
    /// A role that the key carries; none, if left out
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A scope that it is granted; '*' is all of them
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The client's file, if it is not where it usually is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["print", "link"])]
    file: Option<PathBuf>,
    /// Print what would be in the file, with a key, and write nothing
    #[arg(long, conflicts_with = "link")]
    print: bool,
    /// Print a link that the client opens, with a key in it, and write nothing
    #[arg(long)]
    link: bool,
    /// Write without asking
    #[arg(long, short)]
    yes: bool,
}

/// The clients of which it is known where they look for servers.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Of {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    #[value(name = "vscode")]
    VsCode,
}

impl Of {
    pub(super) const ALL: [Self; 4] = [Self::ClaudeCode, Self::ClaudeDesktop, Self::Cursor, Self::VsCode];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
        }
    }

    /// The member of its file that has the servers.
    pub(super) fn member(self) -> &'static str {
        if self == Self::VsCode { "servers" } else { "mcpServers" }
    }

    /// Where it keeps them, for this user.
    pub(super) fn file(self) -> Option<PathBuf> {
        let home = std::env::home_dir().filter(|home| home.is_absolute())?;
        let settings = || match std::env::consts::OS {
            "macos" => home.join("Library/Application Support"),
            "windows" => std::env::var_os("APPDATA").map_or_else(|| home.join("AppData/Roaming"), PathBuf::from),
            _ => std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from),
        };
        Some(match self {
            Self::ClaudeCode => home.join(".claude.json"),
            Self::ClaudeDesktop => settings().join("Claude/claude_desktop_config.json"),
            Self::Cursor => home.join(".cursor/mcp.json"),
            Self::VsCode => settings().join("Code/User/mcp.json"),
        })
    }

    /// What it wants to know of a server.
    fn entry(self, url: &str, key: &str) -> Value {
        let bearer = format!("Bearer {key}");
        let headers = json!({"Authorization": bearer});
        match self {
            Self::ClaudeCode | Self::VsCode => json!({"type": "http", "url": url, "headers": headers}),
            Self::Cursor => json!({"url": url, "headers": headers}),
            // It starts commands alone. Some versions split an argument at its spaces, so the header's value is a variable.
            Self::ClaudeDesktop => {
                let mut words = vec!["-y", "mcp-remote", url, "--header", "Authorization:${AUTHORIZATION}"];
                if url.starts_with("http://") {
                    words.push("--allow-http");
                }
                json!({"command": "npx", "args": words, "env": {"AUTHORIZATION": bearer}})
            }
        }
    }

    /// A link by which it takes a server, where it has such.
    fn link(self, name: &str, entry: &Value) -> Option<String> {
        match self {
            Self::Cursor => Some(format!(
                "cursor://anysphere.cursor-deeplink/mcp/install?name={}&config={}",
                escape(name),
                escape(&STANDARD.encode(entry.to_string()))
            )),
            Self::VsCode => {
                let mut named = entry.clone();
                named["name"] = name.into();
                Some(format!("vscode:mcp/install?{}", escape(&named.to_string())))
            }
            Self::ClaudeCode | Self::ClaudeDesktop => None,
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 64 letters, digits, -, _ and .".to_owned())
}

pub(super) fn run(config: &Config, connect: &Connect, output: &mut Output) -> Result<(), Failure> {
    let of = connect.client;
    let server = connect.server.as_deref().or(config.public_url.as_deref());
    let client = Client::new(config, server);
    let url = format!("{}/mcp", client.place().0);
    if connect.print {
        let entry = of.entry(&url, &key(&client, connect)?.0);
        let all = json!({of.member(): {&connect.name: entry}});
        return output.write(&all, || serde_json::to_string_pretty(&all).unwrap_or_default());
    }
    if connect.link {
        if of.link("", &Value::Null).is_none() {
            let refused = format!("{} has no links for servers", of.name());
            return Err(Failure::new(Kind::Usage, refused).hint("leave out --link to write its file, or use --print"));
        }
        let link = of.link(&connect.name, &of.entry(&url, &key(&client, connect)?.0)).unwrap_or_default();
        return output.write(&json!({"link": link}), || link.clone());
    }

    let unknown = || Failure::new(Kind::Usage, "nobody says where your home is").hint("set HOME, or name the --file");
    let path = connect.file.clone().or_else(|| of.file()).ok_or_else(unknown)?;
    let change = Change::read(&path, of.member(), &connect.name)?;
    // Nothing is made before somebody has agreed to it.
    agreed(&change, &of.entry(&url, "(a new key)"), connect.yes)?;
    let (secret, id) = key(&client, connect)?;
    let written = change.write(&of.entry(&url, &secret));
    let backup = written
        .map_err(|failure| failure.hint(format!("the key it was to have is no use: `mcp-http keys revoke {id}`")))?;
    let told = json!({
        "client": of.name(), "file": path, "backup": backup, "server": connect.name, "url": url, "key": id,
    });
    output.write(&told, || said(&path, backup.as_deref(), connect, &url, &id))
}

fn said(path: &Path, backup: Option<&Path>, connect: &Connect, url: &str, id: &str) -> String {
    let before = backup.map_or_else(String::new, |backup| format!("\nWhat it was is in {}.", backup.display()));
    format!(
        "{} knows {url} as {}: it is in {}. Start it again.{before}\nIts key has the id {id}, and ends by itself.",
        connect.client.name(),
        connect.name,
        path.display()
    )
}

/// Shows what would change, and asks whether it may.
fn agreed(change: &Change, entry: &Value, yes: bool) -> Result<(), Failure> {
    let mut err = stderr();
    // Whoever cannot be told is not asked either.
    write!(err, "{}", change.shown(entry)?)?;
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(Failure::new(Kind::Usage, "nobody is here to agree to that").hint("add --yes"));
    }
    write!(err, "Write this? [y/N] ")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Kind::Refused, "nothing was written, and no key was made"))
}

/// A key for the client, whose user is added where there is none; and its id.
fn key(client: &Client, connect: &Connect) -> Result<(String, String), Failure> {
    let of = connect.client.name();
    let made = client.post("/api/v1/users", &json!({"principal": of, "roles": connect.roles}))?;
    // It may be there already.
    if !matches!(made.status, 200..300 | 409) {
        return Err(refused(&made.body));
    }
    let made = client.post(
        "/api/v1/keys",
        &json!({
            "name": of, "principal": of, "roles": connect.roles, "scopes": connect.scopes,
            "expires": TokioClock::new().now().after(connect.expires).to_string(),
        }),
    )?;
    match (made.body["secret"].as_str(), made.body["key"]["id"].as_str()) {
        (Some(secret), Some(id)) => Ok((secret.to_owned(), id.to_owned())),
        _ => Err(refused(&made.body)),
    }
}

fn refused(problem: &Value) -> Failure {
    let why = problem["detail"].as_str().unwrap_or("the server made no key");
    Failure::new(Kind::Failed, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_one_line_and_hold_the_server() {
        let entry = Of::Cursor.entry("http://127.0.0.1:8000/mcp", "mcp_key");
        let link = Of::Cursor.link("mcp-http", &entry).unwrap();
        let (_, config) = link.split_once("&config=").unwrap();
        let config = STANDARD.decode(config.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&config).unwrap(), entry);
        assert!(link.starts_with("cursor://anysphere.cursor-deeplink/mcp/install?name=mcp-http&config="));
        let link = Of::VsCode.link("a", &json!({"url": "http://x"})).unwrap();
        assert_eq!(link, "vscode:mcp/install?%7B%22name%22%3A%22a%22%2C%22url%22%3A%22http%3A%2F%2Fx%22%7D");
        assert!(Of::ClaudeCode.link("a", &entry).is_none() && Of::ClaudeDesktop.link("a", &entry).is_none());
    }
}
