//! The models and agents that the configuration names.

use std::sync::Arc;

use mcp_connect::open_models;
use mcp_core::clock::Clock;
use mcp_core::definition::{AgentDefinition, Models};
use mcp_core::model::LanguageModel;
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{ServerBuilder, Stores};
use secrecy::ExposeSecret;

use crate::config::{Config, ConfigError};
use crate::health::model::Watched;

/// The agent that there is wherever there is a model.
const ASSISTANT: &str = "assistant";

/// The model that the assistant asks, if one has this name.
const DEFAULT: &str = "default";

/// The models, which nobody has asked yet; `stores` shows how they are.
pub(super) fn models(config: &Config, stores: &mut Stores) -> Result<Models, ConfigError> {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
    let key = |name: &str| config.model_keys.get(name).map(|key| key.expose_secret().to_owned());
    let opened = open_models(&config.models, &clock, key).map_err(|error| config.error("MODELS", error.to_string()))?;
    let watched = opened.into_iter().map(|(name, model)| {
        let watched = Watched::new(&name, model, clock.clone());
        stores.checks.push(watched.seen());
        stores.collectors.push(watched.seen());
        (name, Arc::new(watched) as Arc<dyn LanguageModel>)
    });
    Ok(watched.collect())
}

/// Offers the agents, and keeps those that operators write down while the server serves.
pub(super) fn offer(builder: ServerBuilder, config: &Config, models: &Models) -> Result<ServerBuilder, ConfigError> {
    let assistant = assistant(models).filter(|_| !config.agents.contains_key(ASSISTANT));
    let assistant = assistant.as_ref().map(|definition| (ASSISTANT, definition));
    let defined = config.agents.iter().map(|(name, definition)| (name.as_str(), definition)).chain(assistant);
    let mut builder = builder;
    for (name, definition) in defined {
        let agent = definition.build(name, models).map_err(|bad| config.error("AGENTS", bad.to_string()))?;
        builder = builder.agent(agent);
    }
    Ok(builder.stored_agents(models.clone()))
}

/// One that may use all tools that its caller may, of the model that is called `default`, or else of the first.
fn assistant(models: &Models) -> Option<AgentDefinition> {
    let model = models.get_key_value(DEFAULT).or_else(|| models.first_key_value())?.0;
    let mut assistant = AgentDefinition::default();
    assistant.description = "Answers, and uses the tools of this server.".to_owned();
    assistant.model = Some(model.clone());
    assistant.instructions =
        "Help whoever asks. Use the tools where they are of use, and say what you did with them. Notes are your memory across conversations: \
         before you say that you do not know something of whoever asks, search them, and write down what you should know the next time."
            .to_owned();
    assistant.tools = vec!["*".to_owned()];
    Some(assistant)
}
