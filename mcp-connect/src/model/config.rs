//! Models by their names in configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use mcp_core::LanguageModel;
use mcp_core::clock::Clock;
use mcp_core::model::fallback::Fallback;
use mcp_core::model::metered::Metered;
use mcp_core::model::price::{Price, Prices};
use mcp_core::model::priced::Priced;
use mcp_core::model::retrying::Retrying;
use mcp_core::nearest::named;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::allowance::{AllowanceConfig, allowances};
use super::exchange::{Http, Patience};
use super::kind::ProviderKind;
use super::provider::{Defaults, ProviderModel};
use crate::wire::{Cause, address, any_address};

/// A model, as it is configured. No key is in it, but the name of the variable of the environment that holds one.
///
/// ```
/// let config: mcp_connect::ModelConfig = serde_json::from_str(
///     r#"{"provider": "anthropic", "model": "claude-sonnet-4-5", "key_env": "ANTHROPIC_API_KEY", "max_output_tokens": 2000}"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelConfig {
    /// Which API it has.
    pub provider: ProviderKind,
    /// What the provider calls it.
    pub model: String,
    /// Where the provider is; its own address, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The variable of the environment that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// How many tokens a reply has at the most, where a request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// How much chance there is in a reply, where a request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// For how many seconds the model may be silent before the head of its answer, and before its first byte.
    #[serde(default = "first_byte_timeout")]
    pub first_byte_timeout: u32,
    /// For how many seconds it may be silent after that.
    #[serde(default = "silence_timeout")]
    pub silence_timeout: u32,
    /// How often it is asked in all, where an error says that it may help.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// What it costs: millionths of your currency for a million tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How much may be asked of it by this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<AllowanceConfig>,
    /// Which other models are asked, in this order, where it cannot answer: by their names in the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// What else a request of this provider has: it is added to the body where nothing stands there.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

const fn first_byte_timeout() -> u32 {
    60
}

const fn silence_timeout() -> u32 {
    60
}

const fn attempts() -> u32 {
    3
}

impl ModelConfig {
    /// This model, and nothing around it. Nobody is asked yet. To be used on a tokio runtime with I/O.
    ///
    /// `environment` gives the variables of the environment.
    ///
    /// # Errors
    /// What is wrong with the configuration of the model that is called `name` there.
    pub fn open(
        &self,
        name: &str,
        clock: Arc<dyn Clock>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<ProviderModel, ModelConfigError> {
        let wrong = |why: String| ModelConfigError::Wrong { name: name.to_owned(), why };
        if self.model.trim().is_empty() {
            return Err(wrong("`model` is empty; name one of the provider's models".to_owned()));
        }
        let key = match &self.key_env {
            None => None,
            Some(variable) => match environment(variable).filter(|key| !key.trim().is_empty()) {
                Some(key) => Some(SecretString::from(key.trim())),
                None => return Err(wrong(format!("`key_env` names {variable:?}, and that variable is not set"))),
            },
        };
        let dialect = self.provider.dialect();
        let base = self.base_url.as_deref().or(dialect.base_url()).ok_or_else(|| {
            wrong(format!("`base_url` is missing: where a provider of the kind {} is, only you know", self.provider))
        })?;
        if key.is_none() && base.starts_with("https://") && self.base_url.is_none() {
            return Err(wrong(
                "`key_env` is missing: name the variable of the environment that holds the key".to_owned(),
            ));
        }
        let address = join(base, &dialect.path(&self.model), key.is_some())
            .map_err(|why| wrong(format!("`base_url` is {base:?}, and cannot be asked: {why}")))?;
        let http = Http::new(clock).map_err(|error| ModelConfigError::Tls(error.into()))?;
        let seconds = |seconds: u32| Duration::from_secs(seconds.max(1).into());
        Ok(ProviderModel {
            name: ProviderModel::name_of(self.provider, &self.model),
            model: self.model.clone(),
            dialect,
            address,
            key,
            defaults: Defaults {
                max_output_tokens: self.max_output_tokens,
                temperature: self.temperature,
                extra: self.extra.clone(),
            },
            http,
            patience: Patience { first: seconds(self.first_byte_timeout), between: seconds(self.silence_timeout) },
        })
    }
}

/// Where requests go. A key goes over TLS alone, but on this machine.
fn join(base: &str, path: &str, has_key: bool) -> Result<Uri, &'static str> {
    let base = base.trim_end_matches('/');
    if base.contains(['?', '#']) {
        return Err("it must have neither a query nor a fragment");
    }
    if has_key {
        address(base)?
    } else {
        any_address(base)?
    };
    format!("{base}{path}").parse().map_err(|_| "it is no URL")
}

/// All models of a configuration, by their names there: each is asked as much as its allowance has left, again where that may help,
/// says what its replies cost, and falls back to the others that it names.
///
/// # Errors
/// What is wrong with one of them.
pub fn open_models(
    configs: &BTreeMap<String, ModelConfig>,
    clock: &Arc<dyn Clock>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Arc<dyn LanguageModel>>, ModelConfigError> {
    let allowances = allowances(configs, clock)?;
    let mut single: BTreeMap<&str, Arc<dyn LanguageModel>> = BTreeMap::new();
    for (name, config) in configs {
        let model = config.open(name, clock.clone(), &environment)?;
        let retry = mcp_core::Retry::default().attempts(config.attempts.max(1)).backoff(FIRST_PAUSE, LONGEST_PAUSE);
        let prices = config.price.map(|price| Prices::default().with(model.name(), price)).unwrap_or_default();
        // Each attempt takes from the allowance.
        let model: Arc<dyn LanguageModel> = match allowances.get(name.as_str()) {
            Some(allowance) => Arc::new(Metered::new(model, allowance.clone())),
            None => Arc::new(model),
        };
        let model = Priced::new(Retrying::new(model, clock.clone()).retry(retry), &prices);
        single.insert(name, Arc::new(model));
    }
    let with_fallback = configs.iter().map(|(name, config)| {
        let of = |other: &str| {
            single.get(other).cloned().ok_or_else(|| {
                let why = format!("`fallback` names {}", named(other, configs.keys().map(String::as_str)));
                ModelConfigError::Wrong { name: name.clone(), why }
            })
        };
        let first = of(name)?;
        if config.fallback.is_empty() {
            return Ok((name.clone(), first));
        }
        let all = config.fallback.iter().try_fold(Fallback::new(first), |all, other| Ok(all.or(of(other)?)))?;
        Ok((name.clone(), Arc::new(all) as Arc<dyn LanguageModel>))
    });
    with_fallback.collect()
}

/// How long to wait before a model is asked again, the first time and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why a model cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelConfigError {
    /// Something of it is wrong.
    #[error("models.{name}: {why}")]
    Wrong {
        /// Which model.
        name: String,
        /// What, and how to mend it.
        why: String,
    },
    /// TLS cannot be spoken.
    #[error("TLS cannot be spoken")]
    Tls(#[source] Cause),
}

#[cfg(test)]
mod tests {
    use mcp_core::tokio_runtime::TokioClock;

    use super::*;

    fn config(json: &str) -> Result<ModelConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn opened(json: &str) -> Result<ProviderModel, String> {
        let environment = |name: &str| match name {
            "KEY" => Some(" sk-1\n".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let config = config(json).map_err(|error| error.to_string())?;
        config.open("fast", Arc::new(TokioClock::new()), environment).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_asked_where_its_provider_is() {
        for (json, name, address) in [
            (
                r#"{"provider": "openai", "model": "m", "key_env": "KEY"}"#,
                "openai::m",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                r#"{"provider": "openai_responses", "model": "m", "key_env": "KEY"}"#,
                "openai_responses::m",
                "https://api.openai.com/v1/responses",
            ),
            (
                r#"{"provider": "openai_compatible", "model": "m", "base_url": "http://models.internal:8000/v1/"}"#,
                "openai_compatible::m",
                "http://models.internal:8000/v1/chat/completions",
            ),
            (
                r#"{"provider": "anthropic", "model": "m", "key_env": "KEY"}"#,
                "anthropic::m",
                "https://api.anthropic.com/v1/messages",
            ),
            (
                r#"{"provider": "gemini", "model": "m", "key_env": "KEY"}"#,
                "gemini::m",
                "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
            ),
            (r#"{"provider": "ollama", "model": "m:1b"}"#, "ollama::m:1b", "http://localhost:11434/api/chat"),
            (
                r#"{"provider": "bedrock", "model": "us.m:0", "key_env": "KEY", "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com"}"#,
                "bedrock::us.m:0",
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.m%3A0/converse-stream",
            ),
        ] {
            let model = opened(json).unwrap();
            assert_eq!((model.name(), model.address.to_string()), (name, address.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_how_to_mend_it() {
        for (json, said) in [
            (
                r#"{"provider": "opanai", "model": "m"}"#,
                r#"there is no provider "opanai", did you mean "openai"?; there are openai, openai_responses, openai_compatible, anthropic, gemini, ollama, bedrock"#,
            ),
            (
                r#"{"provider": "openai", "model": "m", "key": "sk-1"}"#,
                "unknown field `key`, expected one of `provider`, `model`, `base_url`, `key_env`",
            ),
            (r#"{"provider": "openai", "model": " ", "key_env": "KEY"}"#, "models.fast: `model` is empty"),
            (r#"{"provider": "openai", "model": "m"}"#, "models.fast: `key_env` is missing"),
            (
                r#"{"provider": "openai", "model": "m", "key_env": "NONE"}"#,
                r#"models.fast: `key_env` names "NONE", and that variable is not set"#,
            ),
            (
                r#"{"provider": "openai", "model": "m", "key_env": "EMPTY"}"#,
                r#"models.fast: `key_env` names "EMPTY", and that variable is not set"#,
            ),
            (r#"{"provider": "bedrock", "model": "m", "key_env": "KEY"}"#, "models.fast: `base_url` is missing"),
            (r#"{"provider": "openai_compatible", "model": "m"}"#, "models.fast: `base_url` is missing"),
            (
                r#"{"provider": "openai_compatible", "model": "m", "key_env": "KEY", "base_url": "http://models.internal/v1"}"#,
                "cannot be asked: it must begin with https://",
            ),
            (
                r#"{"provider": "openai", "model": "m", "key_env": "KEY", "base_url": "https:\/\/a@b/v1"}"#,
                "it must name a host, and no user",
            ),
            (
                r#"{"provider": "openai", "model": "m", "key_env": "KEY", "base_url": "https://b/v1?x=1"}"#,
                "neither a query nor a fragment",
            ),
            (r#"{"provider": "openai", "model": "m", "key_env": "KEY", "base_url": "b"}"#, "cannot be asked"),
        ] {
            let error = opened(json).err().expect(json);
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("sk-1"), "{error}");
        }
    }

    #[test]
    fn a_fallback_is_one_of_the_models() {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        let models = |fallback: &str| {
            let one = format!(r#"{{"provider": "ollama", "model": "a", "fallback": ["{fallback}"]}}"#);
            let configs = [("fast", &*one), ("smart", r#"{"provider": "ollama", "model": "b"}"#)];
            let configs = configs.map(|(name, json)| (name.to_owned(), config(json).unwrap()));
            open_models(&BTreeMap::from(configs), &clock, |_| None)
        };
        let opened = models("smart").unwrap();
        assert_eq!(opened.keys().collect::<Vec<_>>(), ["fast", "smart"]);
        assert_eq!(opened["fast"].name(), "ollama::a");
        let error = models("smrt").err().unwrap().to_string();
        assert_eq!(error, r#"models.fast: `fallback` names "smrt", did you mean "smart"?; there are fast, smart"#);
    }
}
