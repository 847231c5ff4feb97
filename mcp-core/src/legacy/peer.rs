//! What a client of the older era has said of itself, and is asked about no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ask::in_place::Answers;
use crate::capability::ClientCapabilities;
use crate::changes::{Change, Heard};
use crate::context::LogLevel;
use crate::dispatch::{self, Exchange, Refused, Reply, Speech};
use crate::json;
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{Params, Request};
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::{RpcError, invalid};
use crate::protocol::listen::MOST_URIS;

/// A client of the older era, from its handshake on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peer {
    version: String,
    client: ClientCapabilities,
    /// The least serious lines of log that it wants to read.
    level: Option<String>,
    subscriptions: BTreeSet<String>,
}

impl Peer {
    /// The client that sends this handshake.
    pub(super) fn new(params: &Params<'_>) -> Self {
        let client = params.rare().capabilities.map(|raw| ClientCapabilities::read(raw.get().as_bytes()));
        Self { version: super::agreed(params).to_owned(), client: client.unwrap_or_default(), ..Self::default() }
    }

    /// Whether this client knows of streams that end before the answer has come, and of events without data.
    pub(super) fn polls(&self) -> bool {
        *self.version >= *"2025-11-25"
    }

    /// Answers a request of this client, which may change what is known of it.
    pub(crate) fn reply(
        &mut self,
        request: &Request<'_>,
        mut exchange: Exchange<'_>,
        answers: &Arc<Answers>,
    ) -> Result<Reply, Refused> {
        let (id, server) = (request.id.as_json(), exchange.server);
        let changed = match &*request.method {
            "initialize" => {
                *self = Self::new(&request.params);
                return Ok(Reply::Message(super::initialize(server, id, &request.params)));
            }
            "ping" => Ok(()),
            "logging/setLevel" => self.set_level(&request.params),
            "resources/subscribe" if server.has_resources() => self.subscribe(&request.params),
            "resources/unsubscribe" if server.has_resources() => self.unsubscribe(&request.params),
            _ => {
                let level = self.level.as_deref().and_then(LogLevel::from_name);
                let speech = Speech { client: self.client.clone(), level, answers: answers.clone() };
                exchange.speech = Some(Box::new(speech));
                return dispatch::dispatch(request, exchange);
            }
        };
        match changed {
            Ok(()) => Ok(Reply::Message(Encoding::Legacy.result(server, id, 0, |_| {}))),
            Err(error) => Err((Some(id.to_owned()), error)),
        }
    }

    fn set_level(&mut self, params: &Params<'_>) -> Result<(), RpcError> {
        let level = params.rare().level.and_then(dispatch::log_level);
        let level = level.ok_or_else(|| invalid(format!("`params.level` must be {}", dispatch::LEVELS)))?;
        self.level = Some(level.name().to_owned());
        Ok(())
    }

    fn subscribe(&mut self, params: &Params<'_>) -> Result<(), RpcError> {
        let uri = uri(params)?;
        if self.subscriptions.len() >= MOST_URIS && !self.subscriptions.contains(&uri) {
            return Err(invalid(format!(
                "a client subscribes to {MOST_URIS} resources at the most; unsubscribe first"
            )));
        }
        self.subscriptions.insert(uri);
        Ok(())
    }

    fn unsubscribe(&mut self, params: &Params<'_>) -> Result<(), RpcError> {
        self.subscriptions.remove(&uri(params)?);
        Ok(())
    }

    /// The notifications by which this client is told of a change.
    pub(crate) fn told(&self, heard: &Heard) -> Vec<Vec<u8>> {
        let list = |of: &str| notification(&format!("notifications/{of}/list_changed"), None);
        let updated = |uri: &String| notification("notifications/resources/updated", Some(uri));
        match heard {
            Heard::Change(Change::Tools) => vec![list("tools")],
            Heard::Change(Change::Prompts) => vec![list("prompts")],
            Heard::Change(Change::Resources) => vec![list("resources")],
            Heard::Change(Change::Resource(uri)) => self.subscriptions.get(uri).map(updated).into_iter().collect(),
            // There are none in this era.
            Heard::Change(Change::Task(_)) => Vec::new(),
            // Whatever it may have been.
            Heard::Missed => {
                let lists = ["tools", "prompts", "resources"].into_iter().map(list);
                lists.chain(self.subscriptions.iter().map(updated)).collect()
            }
        }
    }
}

fn uri(params: &Params<'_>) -> Result<String, RpcError> {
    let uri = params.rare().uri.and_then(Raw::string).filter(|uri| uri.len() <= 2048);
    let uri = uri.ok_or_else(|| invalid("`params.uri` must be the URI of a resource, with at most 2048 bytes"))?;
    Ok(uri.into_owned())
}

fn notification(method: &str, uri: Option<&str>) -> Vec<u8> {
    let mut out = b"{\"jsonrpc\":\"2.0\",\"method\":\"".to_vec();
    out.extend_from_slice(method.as_bytes());
    out.push(b'"');
    if let Some(uri) = uri {
        out.extend_from_slice(b",\"params\":{\"uri\":");
        json::write_string(&mut out, uri);
        out.push(b'}');
    }
    out.push(b'}');
    out
}
