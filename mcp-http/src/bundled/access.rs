//! From a configuration to who may come in.

use std::sync::Arc;

use mcp_connect::{Jwks, JwksError};
use mcp_core::caller::{AnyOf, KeyOrLoopback};
use mcp_core::oauth::{AccessTokens, Issuer};
use mcp_core::tokio_runtime::{TokioClock, TokioSpawner};
use mcp_core::{Endpoint, Server};
use secrecy::ExposeSecret;

use crate::config::{Config, ConfigError};

/// The server behind the doors that `config` asks for.
pub(super) fn endpoint(config: &Config, server: Server) -> Result<Endpoint, ConfigError> {
    let tokens = access_tokens(config)?;
    let mut access = KeyOrLoopback::loopback_only();
    if let Some(key) = &config.api_key {
        access = access.or_key(key.expose_secret());
    }
    let stored_keys = server.stored_keys();
    let mut endpoint = Endpoint::new(server)
        .trusted_proxies(config.trusted_proxies.clone())
        .silence(config.stream_after)
        .limit_body(config.max_body)
        .limit_body_time(config.body_timeout);
    // With an issuer there is a proxy on this machine, or soon one, whose callers must not pass for this machine's own.
    if !config.is_loopback() || tokens.is_some() {
        access = access.everyone_needs_it();
    }
    if !config.is_loopback() && config.allowed_hosts.is_empty() {
        // Every request needs the key, which a page that rebinds a name does not have.
        endpoint = endpoint.allow_any_host();
    }
    endpoint = config.allowed_hosts.iter().fold(endpoint, |endpoint, host| endpoint.allow_host(host));
    endpoint = config.allowed_origins.iter().fold(endpoint, |endpoint, origin| endpoint.allow_origin(origin));
    let access = AnyOf::new().or(stored_keys).or(access);
    let Some(tokens) = tokens else { return Ok(endpoint.authenticate(access)) };
    let resource = config.oauth_scopes.iter().fold(tokens.resource(), |resource, scope| resource.scope(scope.as_str()));
    let endpoint = endpoint.allow_host(resource.host()).protected_resource(resource);
    Ok(endpoint.authenticate(access.or(tokens)))
}

/// Tokens of the issuers that are configured, if there are any.
fn access_tokens(config: &Config) -> Result<Option<AccessTokens>, ConfigError> {
    let Some(first) = config.oauth_issuers.first() else { return Ok(None) };
    let clock = Arc::new(TokioClock::new());
    let bad_keys = |key| move |error: JwksError| config.error(key, error.to_string());
    let jwks = Jwks::new(clock.clone(), Arc::new(TokioSpawner::current())).map_err(bad_keys("OAUTH_ISSUERS"))?;
    let jwks = match &config.oauth_jwks_url {
        Some(_) if config.oauth_issuers.len() > 1 => {
            return Err(
                config.error("OAUTH_JWKS_URL", "it is of one issuer, and OAUTH_ISSUERS names several; leave it out")
            );
        }
        Some(keys) => jwks.issuer_with_keys_at(first, keys).map_err(bad_keys("OAUTH_JWKS_URL"))?,
        None => config
            .oauth_issuers
            .iter()
            .try_fold(jwks, |jwks, url| jwks.issuer(url))
            .map_err(bad_keys("OAUTH_ISSUERS"))?,
    };
    let Some(url) = &config.public_url else {
        let mend = "set it to the address at which clients reach MCP, such as https://mcp.example.com/mcp";
        return Err(config.error("PUBLIC_URL", format!("tokens of OAUTH_ISSUERS are for one server; {mend}")));
    };
    let tokens = AccessTokens::new(url, jwks, clock).map_err(|error| config.error("PUBLIC_URL", error.to_string()))?;
    let tokens = config.oauth_issuers.iter().map(|url| issuer(config, url)).fold(tokens, AccessTokens::issuer);
    Ok(Some(match &config.oauth_audience {
        Some(audience) => tokens.audience(audience),
        None => tokens,
    }))
}

/// What the claims of an issuer mean.
fn issuer(config: &Config, url: &str) -> Issuer {
    let mut issuer = Issuer::new(url).tenant(config.oauth_tenant.as_str());
    if let Some(claim) = &config.oauth_tenant_claim {
        issuer = issuer.tenant_claim(claim);
    }
    if let Some(claim) = &config.oauth_roles_claim {
        issuer = issuer.roles_claim(claim);
    }
    if let Some(claim) = &config.oauth_scopes_claim {
        issuer = issuer.scopes_claim(claim);
    }
    issuer
}
