//! Who issues tokens, and whom they name.

use std::sync::Arc;

use serde_json::Value;

use crate::caller::Caller;

/// An authorization server whose tokens are believed, and what its claims mean here.
///
/// A token's principal is the issuer and the `sub` of the token, as `ISSUER#SUB`: two issuers cannot name the same one, nor does any
/// that this server makes by itself look so, and none changes when another issuer is added. Its scopes are in `scope`, or in `scp`.
#[derive(Clone, Debug)]
pub struct Issuer {
    url: Arc<str>,
    tenant: Arc<str>,
    tenant_claim: Option<Claim>,
    roles_claim: Option<Claim>,
    scopes_claim: Option<Claim>,
}

/// The name of a claim, or a JSON pointer (RFC 6901) into the claims.
#[derive(Clone, Debug)]
struct Claim(String);

/// How long a name may be that a claim gives, in bytes.
const LONGEST_NAME: usize = 255;

impl Issuer {
    /// The issuer whose tokens have this very text in `iss`. Its callers are of the tenant `default`, and have no roles.
    pub fn new(url: impl Into<Arc<str>>) -> Self {
        Self { url: url.into(), tenant: "default".into(), tenant_claim: None, roles_claim: None, scopes_claim: None }
    }

    /// Its callers are of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Its callers are of the tenant that this claim names: the issuer is believed for every tenant. A token without the claim is not
    /// valid. A claim is named by its name, or, where that begins with a slash, by a JSON pointer, such as `/org/id`.
    #[must_use]
    pub fn tenant_claim(mut self, claim: impl Into<String>) -> Self {
        self.tenant_claim = Some(Claim(claim.into()));
        self
    }

    /// Its callers have the roles in this claim, which is a list, or a text with spaces between them. The issuer is believed for every
    /// role, also for that of an administrator.
    #[must_use]
    pub fn roles_claim(mut self, claim: impl Into<String>) -> Self {
        self.roles_claim = Some(Claim(claim.into()));
        self
    }

    /// Its callers have the scopes in this claim alone, which is a list, or a text with spaces between them.
    #[must_use]
    pub fn scopes_claim(mut self, claim: impl Into<String>) -> Self {
        self.scopes_claim = Some(Claim(claim.into()));
        self
    }

    /// What its tokens have in `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whom these claims name, or what is wrong with them.
    pub(super) fn caller(&self, claims: &Value) -> Result<Caller, &'static str> {
        let subject = claims.get("sub").and_then(name).ok_or("it names no subject (`sub`)")?;
        let tenant = match &self.tenant_claim {
            None => self.tenant.clone(),
            Some(claim) => claim.of(claims).and_then(name).ok_or("it names no tenant")?.into(),
        };
        let roles = self.roles_claim.iter().flat_map(|claim| words(claim.of(claims)));
        let scopes = match &self.scopes_claim {
            Some(claim) => claim.of(claims),
            None => claims.get("scope").or_else(|| claims.get("scp")),
        };
        let caller = Caller::new(tenant, format!("{}#{subject}", self.url));
        let caller = roles.fold(caller, Caller::with_role);
        // All scopes at once are for those who have no token; an issuer that says so means something else.
        Ok(words(scopes).filter(|scope| *scope != Caller::ALL_SCOPES).fold(caller, Caller::with_scope))
    }
}

impl Claim {
    fn of<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        if self.0.starts_with('/') { claims.pointer(&self.0) } else { claims.get(&self.0) }
    }
}

/// A claim that is a name.
fn name(claim: &Value) -> Option<&str> {
    claim
        .as_str()
        .filter(|name| !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control))
}

/// The words of a claim: those of a list, or of a text that has spaces between them.
fn words(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = claim.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let text = claim.and_then(Value::as_str).into_iter().flat_map(str::split_ascii_whitespace);
    list.chain(text).filter(|word| !word.is_empty())
}
