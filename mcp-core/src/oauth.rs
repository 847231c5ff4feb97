//! An OAuth 2.1 resource server (basic/authorization): who brings a token that an issuer has signed for this server is let in, and who
//! brings none is told where to get one. Issuing tokens is the business of others.
//!
//! ```
//! # use std::sync::Arc;
//! # use mcp_core::clock::Clock;
//! # use mcp_core::oauth::{AccessTokens, BadResource, Issuer, KeySource};
//! # use mcp_core::{Endpoint, Server};
//! # fn doors(server: Server, keys: Arc<dyn KeySource>, clock: Arc<dyn Clock>) -> Result<Endpoint, BadResource> {
//! let tokens = AccessTokens::new("https://mcp.example.com/mcp", keys, clock)?
//!     .issuer(Issuer::new("https://login.example.com").roles_claim("roles"));
//! Ok(Endpoint::new(server).protected_resource(tokens.resource().scope("notes:read")).authenticate(tokens))
//! # }
//! ```

mod access_tokens;
mod algorithm;
mod issuer;
mod key_set;
mod key_source;
mod public_key;
mod resource;
#[cfg(feature = "test")]
pub mod signing;
mod token;
mod url;
mod verified;

pub use access_tokens::AccessTokens;
pub use algorithm::Algorithm;
pub use issuer::Issuer;
pub use key_set::{BadKeySet, KeySet};
pub use key_source::{KeySource, KeysUnavailable};
pub use public_key::PublicKey;
pub use resource::{BadResource, ProtectedResource};
