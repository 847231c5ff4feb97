//! What a server of [`mcp_core`] asks of others, over the network: language models of providers, and the keys with which OAuth
//! issuers sign.
//!
//! Nothing here is global: each connection names its cryptography and whom it trusts. No redirect is followed, and no proxy of the
//! environment is used: who is asked is who was configured.

mod jwks;
mod model;
#[cfg(feature = "test")]
pub mod test_issuer;
mod wire;

pub use jwks::{Jwks, JwksError};
pub use model::{
    AllowanceConfig, AllowanceLimits, ModelConfig, ModelConfigError, ProviderKind, ProviderModel, UnknownProvider,
    open_models,
};
pub use wire::{Connector, connector};
