//! What a server tells of itself to those who are to get a token for it.

use serde::Serialize;

use super::url::CanonicalUrl;
use crate::endpoint::answer::{Answer, Body};
use crate::jsonrpc;
use crate::policy::is_scope;
use crate::protocol::errors::RpcError;

/// A server as a resource that tokens are for: what its metadata (RFC 9728) says, and what a challenge adds.
///
/// The metadata are read by anyone: serve [`ProtectedResource::answer`] at each of [`ProtectedResource::paths`], without asking who
/// calls.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    url: CanonicalUrl,
    authorization_servers: Vec<String>,
    scopes: Vec<String>,
}

/// The metadata (RFC 9728, section 2).
#[derive(Serialize)]
struct Metadata<'a> {
    resource: &'a str,
    authorization_servers: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes_supported: &'a [String],
    bearer_methods_supported: [&'static str; 1],
}

/// The path at which the metadata of a host's only resource are; those of another have its own path behind it.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl ProtectedResource {
    /// The server that clients reach at `url`: their own idea of its address, as they compare it with what they read here.
    ///
    /// # Errors
    /// [`BadResource`] where that is no absolute `https` or `http` URL, or has a query or a fragment.
    pub fn new(url: &str) -> Result<Self, BadResource> {
        let url = CanonicalUrl::read(url)
            .filter(|url| !url.path().contains('?'))
            .ok_or_else(|| BadResource(url.to_owned()))?;
        Ok(Self { url, authorization_servers: Vec::new(), scopes: Vec::new() })
    }

    /// Tokens for it are to be had from this issuer.
    #[must_use]
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.authorization_servers.push(issuer.into());
        self
    }

    /// A scope that clients are to ask for, from the beginning. What is no scope (RFC 6749, section 3.3), and `offline_access`, which is no
    /// business of a resource, is passed over.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        let scope = scope.into();
        if is_scope(&scope) && scope != "offline_access" {
            self.scopes.push(scope);
        }
        self
    }

    /// Its address, in its canonical form.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The host that its address names, with the port where that is not the scheme's own.
    pub fn host(&self) -> &str {
        self.url.authority()
    }

    /// Where its metadata are to be served: at the path that belongs to it, and at that of the host.
    pub fn paths(&self) -> Vec<String> {
        let own = self.path();
        if own == WELL_KNOWN { vec![own] } else { vec![own, WELL_KNOWN.to_owned()] }
    }

    /// Answers a request for its metadata by this method, from whichever page it comes.
    pub fn answer(&self, verb: &str) -> Answer {
        let mut answer = match verb {
            "GET" | "HEAD" => {
                let metadata = Metadata {
                    resource: self.url(),
                    authorization_servers: &self.authorization_servers,
                    scopes_supported: &self.scopes,
                    bearer_methods_supported: ["header"],
                };
                let mut answer = Answer::json(200, serde_json::to_vec(&metadata).unwrap_or_default());
                answer.headers.push(("cache-control", "public, max-age=300".to_owned()));
                answer
            }
            "OPTIONS" => {
                let headers = vec![
                    ("access-control-allow-methods", VERBS.to_owned()),
                    ("access-control-allow-headers", "*".to_owned()),
                    ("access-control-max-age", "86400".to_owned()),
                ];
                Answer { status: 204, headers, content_type: None, body: Body::Empty }
            }
            _ => {
                let error = RpcError::new(405, jsonrpc::INVALID_REQUEST, format!("the metadata take {VERBS}"));
                let mut answer = Answer::error(None, &error);
                answer.headers = vec![("allow", VERBS.to_owned())];
                answer
            }
        };
        answer.headers.push(("access-control-allow-origin", "*".to_owned()));
        answer
    }

    /// The value of `WWW-Authenticate`, with where the metadata are, and with the scopes to ask for where it names none. For shells
    /// that refuse by themselves: what an [`Endpoint`](crate::Endpoint) refuses is complete.
    pub fn complete(&self, challenge: &str) -> String {
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        let mut all: Vec<_> = parameters.split(", ").filter(|parameter| !parameter.is_empty()).collect();
        let metadata = format!("resource_metadata=\"{}{}\"", self.url.origin(), self.path());
        let scopes = format!("scope=\"{}\"", self.scopes.join(" "));
        if !self.scopes.is_empty() && !all.iter().any(|parameter| parameter.starts_with("scope=")) {
            all.push(&scopes);
        }
        // Before the scopes, which may be many.
        all.insert(all.iter().position(|parameter| parameter.starts_with("scope=")).unwrap_or(all.len()), &metadata);
        format!("{scheme} {}", all.join(", "))
    }

    /// The path of its metadata: the well-known part stands between the host and its own path (RFC 9728, section 3.1).
    fn path(&self) -> String {
        format!("{WELL_KNOWN}{}", self.url.path())
    }
}

/// The methods by which the metadata are asked for.
const VERBS: &str = "GET, HEAD, OPTIONS";

/// An address that no token can be for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the URL at which clients reach the server, such as https://mcp.example.com/mcp, got {0:?}")]
pub struct BadResource(String);
