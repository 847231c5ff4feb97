//! A model that asks another one where the first cannot answer.

use std::sync::Arc;

use async_trait::async_trait;

use super::begun::begun;
use super::error::ModelError;
use super::request::ModelRequest;
use super::{Deltas, LanguageModel};

/// Asks the next model where an error says that it may help ([`ModelError::may_help_elsewhere`]) and nothing of a reply was given out.
/// Where none answers, the error is the first after which it helps to ask again, or else the first.
pub struct Fallback {
    first: Arc<dyn LanguageModel>,
    others: Vec<Arc<dyn LanguageModel>>,
}

impl Fallback {
    /// This one alone, so far.
    pub fn new(first: Arc<dyn LanguageModel>) -> Self {
        Self { first, others: Vec::new() }
    }

    /// And then this one.
    #[must_use]
    pub fn or(mut self, next: Arc<dyn LanguageModel>) -> Self {
        self.others.push(next);
        self
    }
}

#[async_trait]
impl LanguageModel for Fallback {
    /// The name of the first.
    fn name(&self) -> &str {
        self.first.name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        let mut told = match begun(&self.first, request).await {
            Err(error) if error.may_help_elsewhere() => error,
            ended => return ended,
        };
        for model in &self.others {
            tracing::warn!(first = self.first.name(), next = model.name(), error = %told, "another model is asked");
            match begun(model, request).await {
                Err(error) if error.may_help_elsewhere() => {
                    if error.is_retryable() && !told.is_retryable() {
                        told = error;
                    }
                }
                ended => return ended,
            }
        }
        Err(told)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::LanguageModelExt;
    use crate::model::message::Message;
    use crate::model::scripted::{ScriptedModel, Turn};

    fn limited() -> ModelError {
        ModelError::RateLimited { message: String::new(), retry_after: Some(Duration::from_secs(9)) }
    }

    fn locked_out() -> ModelError {
        ModelError::Unauthorized { message: String::new() }
    }

    async fn ask(turns: impl IntoIterator<Item = Turn>) -> (Result<String, ModelError>, Vec<usize>) {
        let models: Vec<_> = turns.into_iter().map(|turn| Arc::new(ScriptedModel::new([turn]))).collect();
        let mut fallback = Fallback::new(models[0].clone());
        for model in &models[1..] {
            fallback = fallback.or(model.clone());
        }
        let reply = fallback.complete(&ModelRequest::new([Message::user("?")])).await;
        (reply.map(|reply| reply.message.text()), models.iter().map(|model| model.asked().len()).collect())
    }

    #[tokio::test]
    async fn the_next_is_asked_where_an_error_says_so() {
        for error in [limited(), locked_out(), ModelError::ContextLengthExceeded { message: String::new() }] {
            let asked = ask([Turn::new().fail(error), "two".into(), "three".into()]).await;
            assert_eq!(asked, (Ok("two".to_owned()), vec![1, 1, 0]));
        }
        let cut = ask([Turn::new().cut(), "two".into()]).await;
        assert_eq!(cut, (Ok("two".to_owned()), vec![1, 1]));
        let refused = ModelError::Refused { message: String::new() };
        assert_eq!(ask([Turn::new().fail(refused.clone()), "two".into()]).await, (Err(refused), vec![1, 0]));
    }

    #[tokio::test]
    async fn nobody_else_is_asked_once_something_was_given_out() {
        let asked = ask([Turn::from("on").fail(limited()), "two".into()]).await;
        assert_eq!(asked, (Err(limited()), vec![1, 0]));
    }

    #[tokio::test]
    async fn where_none_answers_the_error_is_one_after_which_it_helps_to_ask_again() {
        let (out, busy) = (|| Turn::new().fail(locked_out()), || Turn::new().fail(limited()));
        assert_eq!(ask([busy(), out()]).await.0, Err(limited()));
        assert_eq!(ask([out(), busy()]).await.0, Err(limited()));
        assert_eq!(ask([out(), out()]).await.0, Err(locked_out()));
    }
}
