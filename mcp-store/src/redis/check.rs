//! Whether Redis is there.

use async_trait::async_trait;
use mcp_core::store::check::{Check, CheckError};

use super::{Redis, cache, write};

/// [`Check`] of a Redis, without which calls only go slower: it takes a write.
pub(crate) struct RedisCheck {
    redis: Redis,
}

impl RedisCheck {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Check for RedisCheck {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn is_needed(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), CheckError> {
        self.redis.run::<()>(cache::STORE, write).await?;
        Ok(())
    }
}
