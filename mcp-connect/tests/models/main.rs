//! Providers' APIs, as a mock serves them, and a small real model: `scripts/models` brings both up and runs this.

mod mock;
mod small;

use std::sync::Arc;

use mcp_connect::{ModelConfig, ProviderModel};
use mcp_core::tokio_runtime::TokioClock;
use serde_json::{Value, json};

/// Where something is, as the script says.
fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run these tests by scripts/models"))
}

/// A model of such a provider, there.
fn model(provider: &str, model: &str, base_url: &str, extra: Value) -> ProviderModel {
    let config = json!({"provider": provider, "model": model, "base_url": base_url, "key_env": "KEY", "extra": extra});
    let config: ModelConfig = serde_json::from_value(config).unwrap();
    config.open("tested", Arc::new(TokioClock::new()), |_| Some("sk-secret".to_owned())).unwrap()
}
