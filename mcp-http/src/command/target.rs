//! Which server a command asks: by REST, where it is one of ours, and by MCP otherwise.

use std::time::Duration;

use jsonc_parser::{ParseOptions, parse_to_serde_value};
use mcp_connect::client::{Address, ClientError, McpClient};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::client::{Client, base, key};
use super::connect::Of;
use super::failure::{Failure, Kind};
use crate::config::Config;

/// A server.
pub(super) enum Target {
    /// One of ours.
    Rest(Client),
    /// Any other.
    Mcp(Mcp),
}

/// A server that is asked by MCP.
pub(super) struct Mcp {
    address: Address,
    patience: Duration,
}

impl Target {
    /// What `text` names; the local server, where it names none.
    pub(super) fn of(config: &Config, text: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = text else { return Ok(Self::Rest(Client::new(config, None))) };
        if is_url(text) {
            let client = Client::new(config, Some(text));
            // Whoever has no such page, or answers with something else, is another one.
            match client.look("/api/v1/tools") {
                Ok(reply) if !matches!(reply.status, 404 | 405) => return Ok(Self::Rest(client)),
                Err(failure) if failure.exit() != Kind::Failed as u8 => return Err(failure),
                _ => {}
            }
        }
        Mcp::of(config, Some(text)).map(Self::Mcp)
    }
}

impl Mcp {
    /// The same, always by MCP.
    pub(super) fn of(config: &Config, text: Option<&str>) -> Result<Self, Failure> {
        let address = match text {
            Some(text) if text.starts_with("stdio:") => {
                let words = text["stdio:".len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                if words.is_empty() {
                    return Err(Failure::new(Kind::Usage, "there is no command behind stdio:"));
                }
                Address::Command { words, environment: Vec::new() }
            }
            Some(text) if !is_url(text) => named(text)?.ok_or_else(|| {
                Failure::new(Kind::Usage, format!("no client on this machine knows a server {text:?}")).hint(
                    "name a URL, stdio:command …, or what stands in the file of a client (`mcp-http help targets`)",
                )
            })?,
            url => {
                let has_path = url
                    .and_then(|url| url.split_once("://"))
                    .is_some_and(|(_, rest)| rest.split_once('/').is_some_and(|(_, path)| !path.is_empty()));
                let url = match url {
                    Some(url) if has_path => url.to_owned(),
                    url => format!("{}/mcp", base(config, url)),
                };
                let key = key(config, &url).1.map(|key| format!("Bearer {}", key.expose_secret()));
                Address::Url { url, headers: key.map(|key| ("authorization".to_owned(), key)).into_iter().collect() }
            }
        };
        Ok(Self { address, patience: config.call_timeout })
    }

    /// Connects, asks, and ends the connection.
    pub(super) fn ask<T>(&self, ask: impl AsyncFnOnce(&McpClient) -> Result<T, ClientError>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let answer = runtime.block_on(async {
            let client = McpClient::connect(&self.address, self.patience).await?;
            ask(&client).await
        });
        // Whatever does not end by itself is not waited for.
        runtime.shutdown_timeout(Duration::from_secs(1));
        answer.map_err(|error| {
            let kind = match error {
                ClientError::Address(_) => Kind::Usage,
                ClientError::Unreachable(_) | ClientError::Late(_) => Kind::Unreachable,
                _ => Kind::Failed,
            };
            Failure::new(kind, format!("{}: {error}", self.place()))
        })
    }

    fn place(&self) -> String {
        match &self.address {
            Address::Url { url, .. } => url.clone(),
            Address::Command { words, .. } => words.first().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Whether a word names a server, and is no tool's name.
pub(super) fn is_target(word: &str) -> bool {
    is_url(word) || word.starts_with("stdio:") || named(word).is_ok_and(|address| address.is_some())
}

/// The server of that name in the file of a client; the first that has one.
fn named(name: &str) -> Result<Option<Address>, Failure> {
    for of in Of::ALL {
        let Some(path) = of.file() else { continue };
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let bad = |why: String| Failure::new(Kind::Failed, format!("{}: {why}", path.display()));
        let file: Value =
            parse_to_serde_value(&text, &ParseOptions::default()).map_err(|error| bad(error.to_string()))?;
        let entry = &file[of.member()][name];
        if entry.is_object() {
            let address = address(entry).ok_or_else(|| bad(format!("{name:?} has neither a url nor a command")))?;
            return Ok(Some(address));
        }
    }
    Ok(None)
}

/// What a client knows of a server.
fn address(entry: &Value) -> Option<Address> {
    let pairs = |member: &str| {
        let members = entry[member].as_object().into_iter().flatten();
        members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect::<Vec<_>>()
    };
    if let Some(url) = entry["url"].as_str() {
        return Some(Address::Url { url: url.to_owned(), headers: pairs("headers") });
    }
    let arguments = entry["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words = [entry["command"].as_str()?].into_iter().chain(arguments).map(str::to_owned).collect();
    Some(Address::Command { words, environment: pairs("env") })
}
