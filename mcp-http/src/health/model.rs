//! Language models: how they are is told by what those met who asked them last, since a provider is paid for each request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, Sample};
use mcp_core::model::delta::Delta;
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
        Self { model, seen: Arc::new(Seen { name, clock, last: Mutex::default() }) }
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
                    Ok(Delta::End(_)) => seen.met(took, None),
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
        vec![Sample::gauge("mcp_model_budget_spent", help, f64::from(is_spent)).with("model", name)]
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::LanguageModelExt;
    use mcp_core::clock::simulated::SimulatedClock;
    use mcp_core::model::message::Message;
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
}
