//! A model that takes from an allowance.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::allowance::{Allowance, Taken};
use super::delta::Delta;
use super::error::ModelError;
use super::request::{BYTES_PER_TOKEN, ModelRequest};
use super::usage::Usage;
use super::{Deltas, LanguageModel};

/// Asks only as often as an [`Allowance`] lets it, and waits no longer than for its turn: where tokens or money are used up, it says
/// when to ask again.
pub struct Metered<M> {
    model: M,
    allowance: Arc<Allowance>,
}

impl<M: LanguageModel> Metered<M> {
    /// Takes from this allowance, which the models of a provider share.
    pub fn new(model: M, allowance: Arc<Allowance>) -> Self {
        Self { model, allowance }
    }
}

#[async_trait]
impl<M: LanguageModel> LanguageModel for Metered<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let estimate = Usage {
            input_tokens: request.estimated_tokens(),
            output_tokens: request.max_output_tokens.map_or(0, u64::from),
            ..Usage::default()
        };
        let taken = self.allowance.take(self.model.name(), &estimate).await?;
        let mut bill = Bill { allowance: self.allowance.clone(), taken, asked: estimate.input_tokens, used: None };
        // Whoever drops this future has asked all the same, for all that anybody knows.
        bill.estimate(0);
        let deltas = match self.model.stream(request).await {
            Ok(deltas) => deltas,
            Err(error) => {
                bill.used = Some(Usage::default());
                return Err(error);
            }
        };
        let mut said = 0;
        let metered = deltas.inspect(move |delta| match delta {
            Ok(Delta::End(end)) if end.usage.is_some() => bill.used = end.usage,
            Ok(delta) => {
                said += delta.size();
                bill.estimate(said);
            }
            Err(_) if said == 0 => bill.used = Some(Usage::default()),
            Err(_) => {}
        });
        Ok(metered.boxed())
    }
}

/// What a request has used, which is told when it is dropped.
struct Bill {
    allowance: Arc<Allowance>,
    taken: Taken,
    asked: u64,
    used: Option<Usage>,
}

impl Bill {
    /// So many bytes were said, and nobody has counted.
    fn estimate(&mut self, said: usize) {
        let output_tokens = said.div_ceil(BYTES_PER_TOKEN) as u64;
        self.used = Some(Usage { input_tokens: self.asked, output_tokens, ..Usage::default() });
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.allowance.settle(&self.taken, &self.used.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::clock::simulated::SimulatedClock;
    use crate::model::LanguageModelExt;
    use crate::model::message::Message;
    use crate::model::price::{Money, Price, Prices};
    use crate::model::scripted::{ScriptedModel, Turn};

    fn metered(allow: impl FnOnce(Allowance) -> Allowance, turn: Turn) -> (Metered<ScriptedModel>, SimulatedClock) {
        let clock = SimulatedClock::new();
        let allowance = allow(Allowance::new(Arc::new(clock.clone())));
        (Metered::new(ScriptedModel::by(move |_| turn.clone()), Arc::new(allowance)), clock)
    }

    fn hello() -> ModelRequest {
        ModelRequest::new([Message::user("Hello")])
    }

    fn used(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, ..Usage::default() }
    }

    async fn wait_of(model: &impl LanguageModel) -> Option<u64> {
        match model.complete(&hello()).await {
            Ok(_) => None,
            Err(error) => Some(error.retry_after().expect("it says when").as_secs()),
        }
    }

    #[tokio::test]
    async fn tokens_that_were_used_up_come_back_within_a_minute() {
        let (model, clock) = metered(|all| all.tokens_per_minute(600), Turn::new().text("Hi").usage(used(500, 400)));
        assert_eq!(wait_of(&model).await, None);
        // 300 too many were used, and 6 are needed for the request itself.
        assert_eq!(wait_of(&model).await, Some(30));
        clock.advance(Duration::from_secs(31));
        assert_eq!(wait_of(&model).await, None);
    }

    #[tokio::test]
    async fn a_request_takes_what_its_reply_may_have_until_that_is_known() {
        let (model, _clock) =
            metered(|all| all.tokens_per_minute(600), Turn::new().text("Hi").usage(used(5, 5)).held());
        let long = hello().max_output_tokens(500);
        let mut first = model.stream(&long).await.unwrap();
        assert!(matches!(model.stream(&long).await, Err(ModelError::RateLimited { .. })));
        assert!(first.next().await.is_some());
        // Of the 500 a few were said, and nobody will say more.
        drop(first);
        assert!(model.stream(&long).await.is_ok());
    }

    #[tokio::test]
    async fn what_failed_before_anything_was_said_used_nothing() {
        let unavailable = ModelError::Unavailable { message: String::new(), retry_after: None };
        let (model, _clock) = metered(|all| all.tokens_per_minute(600), Turn::new().fail(unavailable));
        for _ in 0..100 {
            let failed = model.complete(&hello().max_output_tokens(500)).await;
            assert!(matches!(failed, Err(ModelError::Unavailable { .. })));
        }
    }

    #[tokio::test]
    async fn money_is_spent_by_the_prices_and_a_model_without_one_is_not_asked() {
        let price = Price {
            input: Money::from_micros(1_000_000),
            cached_input: None,
            cache_write: None,
            output: Money::from_micros(2_000_000),
        };
        let day = Duration::from_secs(24 * 60 * 60);
        let allow = |name: &'static str| {
            let prices = Arc::new(Prices::default().with(name, price));
            move |all: Allowance| all.money(Money::from_micros(864), day, prices)
        };
        let turn = || Turn::new().text("Hi").usage(used(64, 400));
        let (model, clock) = metered(allow(ScriptedModel::NAME), turn());
        assert_eq!(wait_of(&model).await, None);
        let wait = wait_of(&model).await.unwrap();
        clock.advance(Duration::from_secs(wait + 1));
        assert_eq!(wait_of(&model).await, None);

        let (model, _clock) = metered(allow("other::model"), turn());
        let refused = model.complete(&hello()).await.unwrap_err();
        assert!(matches!(refused, ModelError::OverBudget { retry_after: None, .. }), "{refused}");
        assert!(refused.to_string().contains(ScriptedModel::NAME), "{refused}");
    }

    #[tokio::test]
    async fn so_many_ask_at_once_and_others_wait_for_the_end_of_a_stream() {
        let (model, _clock) = metered(|all| all.calls_at_once(1, 1), Turn::from("Hi"));
        let request = hello();
        let mut first = model.stream(&request).await.unwrap();
        assert!(first.next().await.is_some());
        let mut second = model.stream(&request);
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        let refused = model.stream(&request).await.err().expect("there is no room to wait");
        assert!(matches!(refused, ModelError::RateLimited { .. }), "{refused}");
        drop(first);
        assert!(second.await.is_ok());
        assert!(model.stream(&request).await.is_ok());
    }
}
