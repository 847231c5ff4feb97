//! A model that is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::begun::begun;
use super::error::ModelError;
use super::request::ModelRequest;
use super::{Deltas, LanguageModel};
use crate::clock::Clock;
use crate::tool::retry::{Retries, Retry};

/// Asks again where an error says that it may help ([`ModelError::is_retryable`]) and nothing of the reply was given out: as often as
/// a [`Retry`] has it, and not before the moment that the provider has named. Where that is further away than its patience, the error
/// is given at once.
pub struct Retrying<M> {
    model: M,
    clock: Arc<dyn Clock>,
    retries: Retries,
    patience: Duration,
    /// Another one for each request, in each process.
    seed: AtomicU64,
}

impl<M: LanguageModel> Retrying<M> {
    /// Three attempts in all, after half a second and then twice as long each time, which together wait for a minute at the most.
    pub fn new(model: M, clock: Arc<dyn Clock>) -> Self {
        let mut seed = [0; 8];
        // Without chance, processes that failed together may come again together.
        let _ = getrandom::fill(&mut seed);
        let retry = Retry::default().backoff(Duration::from_millis(500), Duration::from_secs(10));
        let seed = AtomicU64::new(u64::from_ne_bytes(seed));
        Self { model, clock, retries: Retries::new(retry), patience: Duration::from_secs(60), seed }
    }

    /// How often, and how long after each other.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retries = Retries::new(retry);
        self
    }

    /// How long the attempts of one request wait in all.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

#[async_trait]
impl<M: LanguageModel> LanguageModel for Retrying<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ModelRequest) -> Result<Deltas, ModelError> {
        self.retries.earn();
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let (mut attempt, mut left) = (1, self.patience);
        loop {
            let error = match begun(&self.model, request).await {
                Err(error) if error.is_retryable() => error,
                ended => return ended,
            };
            let pause = self.retries.of().pause(attempt, seed.into());
            // Those who were told the same moment do not all come at it.
            let wait = error.retry_after().unwrap_or_default().saturating_add(pause);
            if attempt >= self.retries.of().attempts || wait > left || !self.retries.spend() {
                return Err(error);
            }
            tracing::warn!(model = self.name(), attempt, ?wait, %error, "a model is asked again");
            self.clock.sleep(wait).await;
            left -= wait;
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::clock::Timestamp;
    use crate::memory::lock;
    use crate::model::LanguageModelExt;
    use crate::model::message::Message;
    use crate::model::scripted::{ScriptedModel, Turn};

    /// Waits for nobody, and remembers for how long it should have.
    #[derive(Default)]
    struct Noted(Mutex<Vec<Duration>>);

    impl Clock for Noted {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            lock(&self.0).push(duration);
            std::future::ready(()).boxed()
        }
    }

    fn unavailable(retry_after: Option<u64>) -> ModelError {
        ModelError::Unavailable { message: String::new(), retry_after: retry_after.map(Duration::from_secs) }
    }

    fn at_once() -> Retry {
        Retry::default().backoff(Duration::ZERO, Duration::ZERO)
    }

    /// What comes of it, how often the model was asked, and the seconds that were waited.
    async fn ask(turns: Vec<Turn>, retry: Retry) -> (Result<String, ModelError>, usize, Vec<u64>) {
        let (clock, model) = (Arc::new(Noted::default()), Arc::new(ScriptedModel::new(turns)));
        let retrying = Retrying::new(model.clone(), clock.clone()).retry(retry);
        let reply = retrying.complete(&ModelRequest::new([Message::user("?")])).await;
        let waits = lock(&clock.0).iter().map(Duration::as_secs).collect();
        (reply.map(|reply| reply.message.text()), model.asked().len(), waits)
    }

    #[tokio::test]
    async fn what_may_help_is_tried_again_at_the_moment_that_the_provider_names() {
        let asked = ask(
            vec![Turn::new().fail(unavailable(Some(7))), Turn::new().fail(unavailable(None)), "well".into()],
            at_once(),
        );
        assert_eq!(asked.await, (Ok("well".to_owned()), 3, vec![7, 0]));
        let cut = ask(vec![Turn::new().cut(), "well".into()], at_once());
        assert_eq!(cut.await, (Ok("well".to_owned()), 2, vec![0]));
    }

    #[tokio::test]
    async fn attempts_come_to_an_end() {
        let failing = || (0..9).map(|_| Turn::new().fail(unavailable(None))).collect();
        assert_eq!(ask(failing(), at_once()).await, (Err(unavailable(None)), 3, vec![0, 0]));
        assert_eq!(ask(failing(), at_once().attempts(1)).await, (Err(unavailable(None)), 1, vec![]));
        // Ten attempts are saved up, and of nine requests none earns as much as it spends.
        let model = ScriptedModel::by(|_| Turn::new().fail(unavailable(None)));
        let model = Arc::new(model);
        let retrying = Retrying::new(model.clone(), Arc::new(Noted::default())).retry(at_once().budget(0));
        for _ in 0..9 {
            assert!(retrying.complete(&ModelRequest::new([Message::user("?")])).await.is_err());
        }
        assert_eq!(model.asked().len(), 9 + 10);
    }

    #[tokio::test]
    async fn nobody_waits_for_longer_than_there_is_patience() {
        let turns = |wait| vec![Turn::new().fail(unavailable(Some(wait))), "well".into()];
        assert_eq!(ask(turns(60), at_once()).await.0, Ok("well".to_owned()));
        assert_eq!(ask(turns(61), at_once()).await, (Err(unavailable(Some(61))), 1, vec![]));
        let twice = vec![Turn::new().fail(unavailable(Some(40))), Turn::new().fail(unavailable(Some(40)))];
        assert_eq!(ask(twice, at_once()).await, (Err(unavailable(Some(40))), 2, vec![40]));
    }

    #[tokio::test]
    async fn what_helps_nobody_and_what_was_given_out_in_part_is_not_tried_again() {
        let bad = ModelError::BadRequest { message: String::new() };
        let asked = ask(vec![Turn::new().fail(bad.clone()), "well".into()], at_once());
        assert_eq!(asked.await, (Err(bad), 1, vec![]));
        let asked = ask(vec![Turn::from("on").fail(unavailable(None)), "well".into()], at_once());
        assert_eq!(asked.await, (Err(unavailable(None)), 1, vec![]));
    }

    #[tokio::test]
    async fn attempts_are_further_and_further_apart() {
        let clock = Arc::new(Noted::default());
        let model = ScriptedModel::by(|_| Turn::new().fail(unavailable(None)));
        let retrying = Retrying::new(model, clock.clone())
            .retry(Retry::default().attempts(4).backoff(Duration::from_secs(2), Duration::from_secs(6)));
        assert!(retrying.complete(&ModelRequest::new([Message::user("?")])).await.is_err());
        let waits = lock(&clock.0);
        assert_eq!(waits.len(), 3);
        for (wait, due) in waits.iter().zip([2, 4, 6].map(Duration::from_secs)) {
            assert!(*wait >= due / 2 && *wait <= due, "{waits:?}");
        }
    }
}
