//! Who calls, and how that is found out.

mod access;
mod any_of;
pub mod browsers;
pub mod desk;
pub(crate) mod lately;
mod rules;
pub mod secret;
mod seen;
mod standing;
mod stored_keys;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::endpoint::head::{Head, Header};
use crate::store::api_keys::KeyId;

pub use access::KeyOrLoopback;
pub use any_of::AnyOf;
pub(crate) use standing::Fallen;
pub use stored_keys::StoredKeys;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(name: T) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The customer to whom data belongs. Nothing crosses from one tenant to another.
    Tenant
}

name! {
    /// The person or service that calls, by a name that is unique within its tenant.
    Principal
}

/// Who calls, and from where: known from the first byte of a request to the last row that it writes. Cheap to clone.
///
/// Two are equal that have the same tenant, name, roles and scopes, wherever they call from and by whichever key.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Arc<Identity>,
    address: Option<IpAddr>,
    key: Option<KeyId>,
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Caller {}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    tenant: Tenant,
    principal: Principal,
    roles: Vec<Arc<str>>,
    scopes: Vec<Arc<str>>,
}

impl Caller {
    /// The role that may see what every caller of its tenant did.
    pub const ADMIN: &'static str = "admin";

    /// The role that may change what the server offers to the callers of every tenant.
    pub const OPERATOR: &'static str = "operator";

    /// The role that may see how the server does: what it counts, and what it leans on. Operators may as well.
    pub const MONITOR: &'static str = "monitor";

    /// The scope that stands for all scopes.
    pub const ALL_SCOPES: &'static str = "*";

    /// A caller with no roles and no scopes.
    pub fn new(tenant: impl Into<Tenant>, principal: impl Into<Principal>) -> Self {
        let (tenant, principal) = (tenant.into(), principal.into());
        let identity = Identity { tenant, principal, roles: Vec::new(), scopes: Vec::new() };
        Self { identity: Arc::new(identity), address: None, key: None }
    }

    /// An administrator of the tenant `default` who operates the server, with all scopes: who is let in because of where they are, or
    /// by a key that the server was started with.
    pub fn operator(principal: impl Into<Principal>) -> Self {
        let caller = Self::new("default", principal).with_role(Self::ADMIN).with_role(Self::OPERATOR);
        caller.with_scope(Self::ALL_SCOPES)
    }

    /// The same caller with one more role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.identity).roles.push(role.into());
        self
    }

    /// The same caller with one more scope.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.identity).scopes.push(scope.into());
        self
    }

    /// The same caller with no roles but those of these that they have.
    pub(crate) fn with_roles_of(mut self, roles: &std::collections::BTreeSet<String>) -> Self {
        Arc::make_mut(&mut self.identity).roles.retain(|role| roles.contains(&**role));
        self
    }

    /// The same caller with no scopes but those of these that they have.
    pub(crate) fn with_scopes_of(mut self, scopes: &std::collections::BTreeSet<String>) -> Self {
        if !scopes.contains(Self::ALL_SCOPES) {
            let identity = Arc::make_mut(&mut self.identity);
            if identity.scopes.iter().any(|scope| **scope == *Self::ALL_SCOPES) {
                identity.scopes = scopes.iter().map(|scope| scope.as_str().into()).collect();
            } else {
                identity.scopes.retain(|scope| scopes.contains(&**scope));
            }
        }
        self
    }

    /// The same caller with these roles and scopes as well.
    pub(crate) fn with_rights(self, roles: &[String], scopes: &[String]) -> Self {
        let caller = roles.iter().fold(self, |caller, role| caller.with_role(role.as_str()));
        scopes.iter().fold(caller, |caller, scope| caller.with_scope(scope.as_str()))
    }

    /// The same caller, who calls from this address. [`Endpoint::admit`](crate::Endpoint::admit) says it of all whom it lets in.
    #[must_use]
    pub fn from_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The same caller, who came by this key.
    pub(crate) fn by_key(self, key: Option<KeyId>) -> Self {
        Self { key, ..self }
    }

    /// By which of the keys that are kept here the caller came, if it was by one.
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// Where the caller calls from, as far as that is known: not in the work of runs, nor over the standard streams.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// To whom the caller's data belongs.
    pub fn tenant(&self) -> &Tenant {
        &self.identity.tenant
    }

    /// The caller's own name.
    pub fn principal(&self) -> &Principal {
        &self.identity.principal
    }

    /// The caller's roles.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.identity.roles.iter().map(|role| &**role)
    }

    /// The caller's scopes.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.identity.scopes.iter().map(|scope| &**scope)
    }

    /// Whether the caller has `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.identity.roles.iter().any(|own| **own == *role)
    }

    /// Whether the caller may see how the server does.
    pub fn may_monitor(&self) -> bool {
        self.has_role(Self::MONITOR) || self.has_role(Self::OPERATOR)
    }

    /// Whether the caller was granted `scope`, or [`Caller::ALL_SCOPES`].
    pub fn has_scope(&self, scope: &str) -> bool {
        self.identity.scopes.iter().any(|own| **own == *scope || **own == *Self::ALL_SCOPES)
    }
}

/// Finds out who calls, from the head of a request and before its body is read.
///
/// An embedder whose service knows its callers implements this one method.
#[async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// The caller, or the challenge that answers the request.
    async fn authenticate(&self, head: &dyn Head) -> Result<Caller, Challenge>;
}

#[async_trait]
impl<T: Authenticate + ?Sized> Authenticate for Arc<T> {
    async fn authenticate(&self, head: &dyn Head) -> Result<Caller, Challenge> {
        (**self).authenticate(head).await
    }
}

/// Why a request is not let in: HTTP 401 with a `WWW-Authenticate: Bearer` header (RFC 6750, section 3), 400, or 503.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Challenge {
    /// The request brings no credentials, and needs some.
    #[error("credentials are needed: send `Authorization: Bearer KEY` or `X-API-Key: KEY`{}", .0)]
    Missing(&'static str),
    /// The credentials that it brings are not valid.
    #[error("the key is not valid; check `Authorization` or `X-API-Key`")]
    Invalid,
    /// The access token that it brings is not valid, for this reason, which says nothing of what is in the token.
    #[error("the access token is not valid: {}", .0)]
    InvalidToken(&'static str),
    /// The header that holds the credentials cannot be read, for this reason.
    #[error("`Authorization` cannot be used: {}", .0)]
    Malformed(&'static str),
    /// What knows whether they are valid, such as `the store of keys`, cannot be asked: they may well be.
    #[error("it cannot be found out who calls: {} is unavailable; send the request again later", .0)]
    Unavailable(&'static str),
}

impl Challenge {
    /// The HTTP status: 401, 400 where the request itself is broken, or 503 where nothing is known of the credentials.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unavailable(_) => 503,
            _ => 401,
        }
    }

    /// The value of `WWW-Authenticate`, but with 503.
    pub fn header(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => Some("Bearer"),
            Self::Invalid | Self::InvalidToken(_) => Some("Bearer error=\"invalid_token\""),
            Self::Malformed(_) => Some("Bearer error=\"invalid_request\""),
            Self::Unavailable(_) => None,
        }
    }
}

/// The key that a request brings: `Authorization: Bearer KEY` (the scheme in any case) or `X-API-Key: KEY`.
pub(crate) fn presented_key(head: &dyn Head) -> Result<Option<&str>, Challenge> {
    let one = |name| match head.header(name) {
        Header::Absent => Ok(None),
        Header::One(value) => Ok(Some(value)),
        Header::Refused(_) => Err(Challenge::Invalid),
    };
    let bearer = match one("authorization")? {
        None => None,
        Some(value) => match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.trim()),
            _ => return Err(Challenge::Invalid),
        },
    };
    match (bearer, one("x-api-key")?) {
        (Some(bearer), Some(key)) if bearer != key => Err(Challenge::Invalid),
        (bearer, key) => Ok(bearer.or(key)),
    }
}

/// Whether a request came straight from this machine. A proxy on this machine says by a header that it did not.
pub(crate) fn is_local(head: &dyn Head) -> bool {
    let loopback = head.peer().is_some_and(|peer| match peer {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    });
    loopback
        && !head.any_name(&|name| {
            let starts =
                |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
            name.eq_ignore_ascii_case("forwarded") || name.eq_ignore_ascii_case("via") || starts("x-forwarded-")
        })
}
