//! A model whose replies are recorded.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;

use super::cassette::{Cassette, Exchange};
use super::delta::Delta;
use super::error::ModelError;
use super::reply::Draft;
use super::request::ModelRequest;
use super::{Deltas, LanguageModel};
use crate::memory::lock;

/// Asks a model, and records each exchange, for a [`Replayer`](super::replayer::Replayer).
pub struct Recorder<M> {
    model: M,
    cassette: Arc<Mutex<Cassette>>,
}

impl<M: LanguageModel> Recorder<M> {
    /// How many exchanges a cassette holds. Whoever asks more often is refused.
    pub const CAPACITY: usize = 1_000;

    /// With an empty cassette.
    pub fn new(model: M) -> Self {
        let cassette = Arc::new(Mutex::new(Cassette::new(model.name())));
        Self { model, cassette }
    }

    /// What was recorded so far.
    pub fn cassette(&self) -> Cassette {
        lock(&self.cassette).clone()
    }
}

#[async_trait]
impl<M: LanguageModel> LanguageModel for Recorder<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let place = {
            let exchanges = &mut lock(&self.cassette).exchanges;
            if exchanges.len() >= Self::CAPACITY {
                let message = format!("the cassette is full: it holds {} exchanges; begin another", Self::CAPACITY);
                return Err(ModelError::BadRequest { message });
            }
            exchanges.push(Exchange { request: request.clone(), deltas: Vec::new(), error: None });
            exchanges.len() - 1
        };
        let cassette = self.cassette.clone();
        let mut said = 0_usize;
        let mut record = move |delta: &Result<Delta, ModelError>| {
            if let Some(exchange) = lock(&cassette).exchanges.get_mut(place) {
                match delta {
                    // What is larger than a reply may be, nobody hears to its end.
                    Ok(delta) if said <= Draft::LARGEST => {
                        said = said.saturating_add(delta.size());
                        exchange.deltas.push(delta.clone());
                    }
                    Ok(_) => {}
                    Err(error) => exchange.error = Some(error.clone()),
                }
            }
        };
        match self.model.stream(request).await {
            Ok(deltas) => Ok(deltas.inspect(record).boxed()),
            Err(error) => {
                record(&Err(error.clone()));
                Err(error)
            }
        }
    }
}
