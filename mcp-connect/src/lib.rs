//! What a server of [`mcp_core`] asks of others, over the network: the keys with which OAuth issuers sign.
//!
//! Nothing here is global: each connection names its cryptography and whom it trusts. No redirect is followed, and no proxy of the
//! environment is used: who is asked is who was configured.

mod jwks;
#[cfg(feature = "test")]
pub mod test_issuer;
mod wire;

pub use jwks::{Jwks, JwksError};
