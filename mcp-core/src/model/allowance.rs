//! How much may be asked of a provider.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bucket::Bucket;
use super::error::ModelError;
use super::price::{Money, Price, Prices};
use super::usage::Usage;
use crate::clock::Clock;
use crate::waiting::WaitingRoom;

/// How much may be asked of a provider by this process: all models that share an allowance take from it
/// ([`Metered`](super::metered::Metered)).
///
/// Tokens and money are taken before a model is asked, by an estimate: about a token for each four bytes, and as many as the reply may
/// have, where the request says so. Once the reply has ended, what it has used counts in place of that. Both come back evenly.
pub struct Allowance {
    clock: Arc<dyn Clock>,
    calls: Option<Calls>,
    tokens: Option<Bucket>,
    money: Option<Purse>,
}

struct Calls {
    free: Arc<Semaphore>,
    room: WaitingRoom,
}

struct Purse {
    left: Bucket,
    prices: Arc<Prices>,
}

/// What was taken for one request. A place is free again when it is dropped.
pub(super) struct Taken {
    _place: Option<OwnedSemaphorePermit>,
    tokens: u64,
    money: Money,
    price: Option<Price>,
}

/// When it is worth asking again: nobody knows when a place is free.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Allowance {
    /// As much as one likes.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, calls: None, tokens: None, money: None }
    }

    /// So many requests at once, from the first byte to the last; so many others wait for their turn, in their order.
    #[must_use]
    pub fn calls_at_once(mut self, most: usize, waiting: usize) -> Self {
        let free = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        self.calls = Some(Calls { free, room: WaitingRoom::new(waiting) });
        self
    }

    /// So many tokens a minute, in and out.
    #[must_use]
    pub fn tokens_per_minute(mut self, most: u64) -> Self {
        self.tokens = Some(Bucket::new(most, Duration::from_secs(60)));
        self
    }

    /// So much money in so long, by these prices. A model whose price is not known is not asked: nobody could say what is left.
    #[must_use]
    pub fn money(mut self, most: Money, per: Duration, prices: Arc<Prices>) -> Self {
        self.money = Some(Purse { left: Bucket::new(most.as_micros(), per), prices });
        self
    }

    /// Takes what a request will use, as far as that is known, once it may be made.
    pub(super) async fn take(&self, model: &str, estimate: &Usage) -> Result<Taken, ModelError> {
        let price = match &self.money {
            None => None,
            Some(purse) => Some(*purse.prices.of(model).ok_or_else(|| unpriced(model))?),
        };
        let place = match &self.calls {
            None => None,
            Some(calls) => Some(calls.take().await?),
        };
        let (tokens, money) = (estimate.total(), price.map(|price| price.cost(estimate)).unwrap_or_default());
        let now = self.clock.monotonic();
        if let Some(bucket) = &self.tokens {
            bucket.take(tokens, now).map_err(|wait| ModelError::RateLimited {
                message: "the tokens that this server may use in a minute are used up".to_owned(),
                retry_after: Some(wait),
            })?;
        }
        let taken = Taken { _place: place, tokens, money, price };
        if let Some(purse) = &self.money
            && let Err(wait) = purse.left.take(money.as_micros(), now)
        {
            self.settle_tokens(&taken, 0);
            return Err(ModelError::OverBudget {
                message: "the money that this server may spend on the provider is spent for now".to_owned(),
                retry_after: Some(wait),
            });
        }
        Ok(taken)
    }

    /// This was used in place of what was taken.
    pub(super) fn settle(&self, taken: &Taken, used: &Usage) {
        self.settle_tokens(taken, used.total());
        if let (Some(purse), Some(price)) = (&self.money, taken.price) {
            purse.left.settle(taken.money.as_micros(), price.cost(used).as_micros(), self.clock.monotonic());
        }
    }

    fn settle_tokens(&self, taken: &Taken, used: u64) {
        if let Some(bucket) = &self.tokens {
            bucket.settle(taken.tokens, used, self.clock.monotonic());
        }
    }
}

impl Calls {
    async fn take(&self) -> Result<OwnedSemaphorePermit, ModelError> {
        // What is given back goes to those who wait: nobody overtakes them here.
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Ok(place);
        }
        let crowded = || ModelError::RateLimited {
            message: "as many requests are under way to the provider, and wait, as may".to_owned(),
            retry_after: Some(RETRY_AFTER),
        };
        let _waits = self.room.enter().ok_or_else(crowded)?;
        // It is never closed.
        self.free.clone().acquire_owned().await.map_err(|_| crowded())
    }
}

fn unpriced(model: &str) -> ModelError {
    ModelError::OverBudget {
        message: format!("there is a limit to what may be spent, and the price of {model:?} is not known; add it"),
        retry_after: None,
    }
}
