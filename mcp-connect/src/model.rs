//! Language models of providers, each in its own API: what goes over the wire is here, and no word of it reaches anybody else.

mod allowance;
mod anthropic;
mod bedrock;
mod config;
mod dialect;
mod exchange;
mod frames;
mod gemini;
mod kind;
mod names;
mod ollama;
mod openai;
mod provider;
mod refusal;
mod responses;
mod structured;
#[cfg(test)]
mod tests;

pub use allowance::{AllowanceConfig, AllowanceLimits};
pub use config::{ModelConfig, ModelConfigError, open_models};
pub use kind::{ProviderKind, UnknownProvider};
pub use provider::ProviderModel;
