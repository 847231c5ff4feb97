//! What a server of [`mcp_core`] asks of others, over the network: language models of providers, the keys with which OAuth
//! issuers sign, channels through which people are told of alerts, and, with the feature `client`, other MCP servers.
//!
//! Nothing here is global: each connection names its cryptography and whom it trusts. No redirect is followed, and no proxy of the
//! environment is used: who is asked is who was configured.

#[cfg(feature = "client")]
pub mod client;
mod jwks;
mod model;
mod notify;
mod refused;
#[cfg(feature = "test")]
pub mod test_issuer;
#[cfg(test)]
mod test_server;
mod wire;

pub use jwks::{Jwks, JwksError};
pub use model::{
    AllowanceConfig, AllowanceLimits, ModelConfig, ModelConfigError, ProviderKind, ProviderModel, UnknownProvider,
    open_models,
};
pub use notify::{ChannelConfig, ChannelConfigError, MailTls};
pub use wire::{Connector, connector};
