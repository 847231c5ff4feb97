//! Sessions that replicas share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::StoreError;
use mcp_core::store::sessions::{
    LONGEST_IDLE, MOST, Saved, SessionInfo, Sessions, StoredSession, check_size, new_handle, new_version,
};
use redis::{FromRedisValue, ToRedisArgs};

use super::{Redis, key};

/// [`Sessions`] on Redis, by whose clock they end. Each is a hash, and each owner has a list of them in the order of their last use,
/// which lives as long as the longest of them.
///
/// Each operation is one script, and may be run twice, since a connection that broke may have carried it: a handle and a version
/// are drawn before the script that writes them, which finds its own work done. A session that is removed the second time was not
/// there, and whoever asked is told so.
///
/// Whatever happens to Redis, an error is an error: that there is no such session is said by Redis alone. Where it was full and has
/// put out a list, its sessions are listed again from their next use on; where it has put out a session, that is gone.
pub(super) struct RedisSessions {
    redis: Redis,
    clock: Arc<dyn Clock>,
}

/// What every script begins with. Its keys are what the keys of the owner's sessions begin with, and the list; its arguments
/// begin with a handle and the time.
const BEGIN: &str = "
    local sessions, list, handle, now = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
    local function use(idle)
        redis.call('HSET', sessions .. handle, 'used', now)
        redis.call('PEXPIRE', sessions .. handle, idle)
        redis.call('ZADD', list, now, handle)
        if redis.call('PTTL', list) < tonumber(idle) then redis.call('PEXPIRE', list, idle) end
    end
";

/// Keeps a session, forgets what has ended, and removes what is too much, but never the new one.
const CREATE: &str = "
    local value, version, idle, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
    redis.call('HSET', sessions .. handle, 'value', value, 'version', version, 'created', now, 'idle', idle)
    use(idle)
    local others = {}
    for _, other in ipairs(redis.call('ZRANGE', list, 0, -1)) do
        if redis.call('EXISTS', sessions .. other) == 0 then
            redis.call('ZREM', list, other)
        elseif other ~= handle then
            others[#others + 1] = other
        end
    end
    for n = 1, #others + 1 - most do
        redis.call('DEL', sessions .. others[n])
        redis.call('ZREM', list, others[n])
    end
";

const LOAD: &str = "
    local found = redis.call('HMGET', sessions .. handle, 'version', 'value', 'idle')
    if not found[1] then return false end
    use(found[3])
    return {found[1], found[2]}
";

/// 0 is gone, 1 a conflict, 2 saved. The second time, the version is the new one, and the same is written again.
const SAVE: &str = "
    local old, new, value = ARGV[3], ARGV[4], ARGV[5]
    local found = redis.call('HMGET', sessions .. handle, 'version', 'idle')
    if not found[1] then return 0 end
    if found[1] ~= old and found[1] ~= new then return 1 end
    redis.call('HSET', sessions .. handle, 'version', new, 'value', value)
    use(found[2])
    return 2
";

const REMOVE: &str = "
    redis.call('ZREM', list, handle)
    return redis.call('DEL', sessions .. handle)
";

const LIST: &str = "
    local all = {}
    for _, each in ipairs(redis.call('ZREVRANGE', list, 0, -1)) do
        local found = redis.call('HMGET', sessions .. each, 'created', 'used')
        if found[1] then
            all[#all + 1] = {each, found[1], found[2], redis.call('HSTRLEN', sessions .. each, 'value')}
        end
    end
    return all
";

const STORE: &str = "store of sessions";

/// For a script that needs no arguments of its own.
const NO_MORE: &[&str; 0] = &[];

/// What [`LIST`] tells of each.
type Listed = (String, i64, i64, usize);

impl RedisSessions {
    pub(super) fn new(redis: Redis, clock: Arc<dyn Clock>) -> Self {
        Self { redis, clock }
    }

    /// Runs one of the scripts for an owner's session.
    async fn run<T: FromRedisValue>(
        &self,
        script: &str,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        arguments: impl ToRedisArgs,
    ) -> Result<T, StoreError> {
        let (script, now) = (format!("{BEGIN}{script}"), self.clock.now().as_micros());
        let keys = [key::sessions(tenant, owner), key::session_list(tenant, owner)];
        let commands = || {
            let mut pipeline = redis::pipe();
            pipeline.cmd("EVAL").arg(&script).arg(keys.len()).arg(&keys).arg(handle).arg(now).arg(&arguments);
            pipeline
        };
        let (value,) = self.redis.run::<(T,)>(STORE, commands).await?.value;
        Ok(value)
    }
}

#[async_trait]
impl Sessions for RedisSessions {
    async fn create(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        value: Bytes,
        idle: Duration,
    ) -> Result<StoredSession, StoreError> {
        check_size(STORE, &value)?;
        let session = StoredSession { handle: new_handle()?, version: new_version()?, value };
        let idle = u64::try_from(idle.min(LONGEST_IDLE).as_millis()).unwrap_or(u64::MAX);
        let arguments = (&session.value[..], session.version, idle, MOST);
        self.run::<()>(CREATE, tenant, owner, &session.handle, arguments).await?;
        Ok(session)
    }

    async fn load(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
    ) -> Result<Option<StoredSession>, StoreError> {
        let found = self.run::<Option<(u64, Bytes)>>(LOAD, tenant, owner, handle, NO_MORE).await?;
        Ok(found.map(|(version, value)| StoredSession { handle: handle.to_owned(), version, value }))
    }

    async fn save(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        version: u64,
        value: Bytes,
    ) -> Result<Saved, StoreError> {
        check_size(STORE, &value)?;
        let new = new_version()?;
        let saved = self.run::<u8>(SAVE, tenant, owner, handle, (version, new, &value[..])).await?;
        Ok(match saved {
            0 => Saved::Gone,
            1 => Saved::Conflict,
            _ => Saved::As(new),
        })
    }

    async fn remove(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Result<bool, StoreError> {
        self.run(REMOVE, tenant, owner, handle, NO_MORE).await
    }

    async fn list(&self, tenant: &Tenant, owner: &Principal) -> Result<Vec<SessionInfo>, StoreError> {
        let listed = self.run::<Vec<Listed>>(LIST, tenant, owner, "", NO_MORE).await?;
        let info = |(handle, created, used, bytes)| SessionInfo {
            handle,
            created: Timestamp::from_micros(created),
            used: Timestamp::from_micros(used),
            bytes,
        };
        Ok(listed.into_iter().map(info).collect())
    }
}

#[cfg(test)]
mod tests;
