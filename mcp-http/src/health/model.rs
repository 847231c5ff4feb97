//! Language models: how they are is told by what those met who asked them last, since a provider is paid for each request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, Sample};
use mcp_core::model::delta::{Delta, End};
use mcp_core::model::price::Money;
use mcp_core::model::usage::Usage;
use mcp_core::model::{Deltas, LanguageModel};
use mcp_core::store::check::{Check, CheckError};
use mcp_core::{ModelError, ModelRequest};

/// For how long a failure is believed while nobody asks.
const BELIEVED: Duration = Duration::from_secs(15 * 60);

/// A model of whose answers is remembered what came of the last.
pub(crate) struct Watched {
    model: Arc<dyn LanguageModel>,
    seen: Arc<Seen>,
}

/// What came of the last request to a model.
pub(crate) struct Seen {
    /// `model:` and the name by which it is configured.
    name: String,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Last>>,
    used: Mutex<Used>,
}

/// What its replies have used since the process began, as far as that is known.
#[derive(Clone, Copy, Default)]
struct Used {
    tokens: Usage,
    cost: Money,
}

struct Last {
    at: Duration,
    /// Until the answer began, or failed.
    took: Duration,
    error: Option<ModelError>,
}

impl Watched {
    pub(crate) fn new(name: &str, model: Arc<dyn LanguageModel>, clock: Arc<dyn Clock>) -> Self {
        let name = format!("model:{name}");
        Self { model, seen: Arc::new(Seen { name, clock, last: Mutex::default(), used: Mutex::default() }) }
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.seen.clone()
    }
}

#[async_trait]
impl LanguageModel for Watched {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let begun = self.seen.clock.monotonic();
        let deltas = self.model.stream(request).await;
        let took = self.seen.clock.monotonic().saturating_sub(begun);
        let seen = self.seen.clone();
        match deltas {
            Err(error) => {
                seen.met(took, Some(&error));
                Err(error)
            }
            Ok(deltas) => Ok(deltas
                .inspect(move |delta| match delta {
                    Ok(Delta::End(end)) => {
                        seen.count(end);
                        seen.met(took, None);
                    }
                    Ok(_) => {}
                    Err(error) => seen.met(took, Some(error)),
                })
                .boxed()),
        }
    }
}

/// What is wrong with the provider, as anybody may read it; nothing, where it is the request.
fn fault(error: &ModelError) -> Option<&'static str> {
    match error {
        ModelError::Unavailable { .. } | ModelError::TimedOut { .. } | ModelError::BrokenStream { .. } => {
            Some("it does not answer, or not to the end")
        }
        ModelError::Unauthorized { .. } => Some("it does not let this server in: look at the key of its key_env"),
        ModelError::RateLimited { .. } => Some("it is asked too often"),
        ModelError::OverBudget { .. } => Some("there is nothing left to spend"),
        _ => None,
    }
}

impl Seen {
    fn met(&self, took: Duration, error: Option<&ModelError>) {
        // One that somebody did not wait for, or asked wrongly, says nothing of the provider.
        if error.is_some_and(|error| fault(error).is_none()) {
            return;
        }
        let last = Last { at: self.clock.monotonic(), took, error: error.cloned() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    fn count(&self, end: &End) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.tokens = used.tokens.plus(end.usage.unwrap_or_default());
        used.cost = used.cost.plus(end.cost.unwrap_or_default());
    }

    /// The failure that is still believed.
    fn failure(&self) -> Option<ModelError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| self.clock.monotonic().saturating_sub(last.at) < BELIEVED)?;
        last.error.clone()
    }
}

#[async_trait]
impl Check for Seen {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_needed(&self) -> bool {
        false
    }

    fn is_counted(&self) -> bool {
        false
    }

    fn took(&self) -> Option<Duration> {
        Some(self.last.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Duration::ZERO, |last| last.took))
    }

    async fn check(&self) -> Result<(), CheckError> {
        let Some(error) = self.failure() else { return Ok(()) };
        Err(CheckError::new(fault(&error).unwrap_or("it fails")).because(Arc::new(error)))
    }
}

impl Collector for Seen {
    fn collect(&self) -> Vec<Sample> {
        let is_spent = matches!(self.failure(), Some(ModelError::OverBudget { .. }));
        let help =
            "Whether what may be spent on a language model is spent, as the last request to it was told: 1 or 0.";
        let name = self.name.strip_prefix("model:").unwrap_or(&self.name);
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = |kind: &str, count: u64| {
            let help = "Tokens of language models as their providers have counted them, by `kind`: of requests (`input`), or of replies (`output`).";
            Sample::counter("mcp_model_tokens_total", help, count as f64).with("model", name).with("kind", kind)
        };
        let cost = "What replies of language models have cost, in the currency of the prices; nothing, where the price is not known.";
        let millions = used.cost.as_micros() as f64 / 1e6;
        vec![
            Sample::gauge("mcp_model_budget_spent", help, f64::from(is_spent)).with("model", name),
            tokens("input", used.tokens.input_tokens),
            tokens("output", used.tokens.output_tokens),
            Sample::counter("mcp_model_cost_total", cost, millions).with("model", name),
        ]
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::LanguageModelExt;
    use mcp_core::clock::simulated::SimulatedClock;
    use mcp_core::model::message::Message;
    use mcp_core::model::price::{Price, Prices};
    use mcp_core::model::priced::Priced;
    use mcp_core::model::scripted::{ScriptedModel, Turn};

    use super::*;

    #[tokio::test]
    async fn how_a_model_is_is_told_by_who_asked_last_and_by_no_request_of_its_own() {
        let clock = SimulatedClock::new();
        let over = ModelError::OverBudget { message: "the key sk-1".to_owned(), retry_after: None };
        let bad = ModelError::BadRequest { message: "too long".to_owned() };
        let down = ModelError::Unavailable { message: "no".to_owned(), retry_after: None };
        let model = Arc::new(ScriptedModel::new([
            Turn::new().fail(down),
            Turn::new().fail(bad),
            Turn::new().text("Yes."),
            Turn::new().fail(over),
        ]));
        let watched = Watched::new("fast", model.clone(), Arc::new(clock.clone()));
        let seen = watched.seen();
        let spent = |seen: &Seen| seen.collect()[0].value;
        assert!(seen.check().await.is_ok(), "nobody has asked");
        let ask = async || drop(watched.complete(&ModelRequest::new([Message::user("Well?")])).await);
        ask().await;
        assert!(seen.check().await.is_err());
        ask().await;
        assert!(seen.check().await.is_err(), "what was asked wrongly says nothing");
        ask().await;
        assert!(seen.check().await.is_ok());
        ask().await;
        let error = seen.check().await.unwrap_err().to_string();
        assert_eq!((error.as_str(), spent(&seen)), ("there is nothing left to spend", 1.0));
        clock.advance(BELIEVED);
        assert!(seen.check().await.is_ok(), "nobody has asked for long");
        assert_eq!((spent(&seen), model.asked().len()), (0.0, 4));
    }

    #[tokio::test]
    async fn what_replies_have_used_and_cost_is_counted() {
        let price = Price {
            input: Money::from_micros(2_000_000),
            cached_input: None,
            cache_write: None,
            output: Money::from_micros(10_000_000),
        };
        let usage = Usage { input_tokens: 70, output_tokens: 30, ..Usage::default() };
        let turn = || Turn::new().text("Yes.").usage(usage);
        let model =
            ScriptedModel::new([turn(), turn(), Turn::new().fail(ModelError::BadRequest { message: "no".to_owned() })]);
        let priced = Arc::new(Priced::new(model, &Prices::default().with(ScriptedModel::NAME, price)));
        let watched = Watched::new("fast", priced, Arc::new(SimulatedClock::new()));
        for _ in 0..3 {
            drop(watched.complete(&ModelRequest::new([Message::user("Well?")])).await);
        }
        let values: Vec<_> = watched.seen().collect().into_iter().map(|sample| sample.value).collect();
        assert_eq!(values, [0.0, 140.0, 60.0, 0.000_88]);
    }
}
