//! A model that says what its replies cost.

use async_trait::async_trait;
use futures_util::StreamExt;

use super::delta::Delta;
use super::error::ModelError;
use super::price::{Price, Prices};
use super::request::ModelRequest;
use super::{Deltas, LanguageModel};

/// Tells at the end of each reply what it has cost. Where the price of the model is not known, or the provider does not say what was
/// used, that stays unknown.
pub struct Priced<M> {
    model: M,
    price: Option<Price>,
}

impl<M: LanguageModel> Priced<M> {
    /// By these prices.
    pub fn new(model: M, prices: &Prices) -> Self {
        let price = prices.of(model.name()).copied();
        Self { model, price }
    }
}

#[async_trait]
impl<M: LanguageModel> LanguageModel for Priced<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let deltas = self.model.stream(request).await?;
        let Some(price) = self.price else { return Ok(deltas) };
        let priced = deltas.map(move |mut delta| {
            if let Ok(Delta::End(end)) = &mut delta {
                end.cost = end.usage.as_ref().map(|usage| price.cost(usage));
            }
            delta
        });
        Ok(priced.boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LanguageModelExt;
    use crate::model::message::Message;
    use crate::model::price::Money;
    use crate::model::scripted::{ScriptedModel, Turn};
    use crate::model::usage::Usage;

    #[tokio::test]
    async fn what_is_not_known_costs_an_unknown_amount() {
        let million = Money::from_micros(1_000_000);
        let price = Price { input: million, cached_input: None, cache_write: None, output: million };
        let usage = Usage { input_tokens: 2, output_tokens: 3, ..Usage::default() };
        let turns = || [Turn::new().text("a").usage(usage), Turn::new().text("b").uncounted()];
        for (name, costs) in
            [(ScriptedModel::NAME, [Some(Money::from_micros(5)), None]), ("scripted::other", [None, None])]
        {
            let model = Priced::new(ScriptedModel::new(turns()), &Prices::default().with(name, price));
            for cost in costs {
                let reply = model.complete(&ModelRequest::new([Message::user("?")])).await.unwrap();
                assert_eq!(reply.end.cost, cost);
            }
        }
    }
}
