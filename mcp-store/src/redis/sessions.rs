//! Sessions that replicas share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::{Clock, Timestamp};
use mcp_core::store::StoreError;
use mcp_core::store::sessions::{
    LONGEST_IDLE, Saved, SessionInfo, SessionRoom, Sessions, StoredSession, check_size, new_handle, new_version,
};
use redis::{FromRedisValue, ToRedisArgs};

use super::{Redis, key};
use crate::sql::content::{Content, OVERHEAD, Place};

/// [`Sessions`] on Redis, by whose clock they end. Each is a hash; each owner has a list of them in the order of their last use, and
/// so has the room, which live as long as the longest of them.
///
/// Each operation is one script, and may be run twice, since a connection that broke may have carried it: a handle and a version
/// are drawn before the script that writes them, which finds its own work done. A session that is removed the second time was not
/// there, and whoever asked is told so.
///
/// A session that has ended is counted until it is met: in its owner's list, or as the one that is idle longest. Where all have the same
/// idle lifetime, it goes before any that has not ended.
///
/// Whatever happens to Redis, an error is an error: that there is no such session is said by Redis alone. Where it was full and has
/// put out a list, its sessions are listed and counted again from their next use on; where it has put out a session, that is gone.
pub(super) struct RedisSessions {
    redis: Redis,
    clock: Arc<dyn Clock>,
    room: SessionRoom,
    content: Content,
}

/// What every script begins with. Its key is what the keys of the room begin with; its arguments begin with the owner, a handle and
/// the time.
const BEGIN: &str = "
    local room, owner, handle, now = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
    local session, list, all = room .. 'value:' .. owner .. handle, room .. 'list:' .. owner, room .. 'all'
    local function use(idle)
        redis.call('HSET', session, 'used', now)
        redis.call('PEXPIRE', session, idle)
        for order, member in pairs({[list] = handle, [all] = owner .. handle}) do
            redis.call('ZADD', order, now, member)
            if redis.call('PTTL', order) < tonumber(idle) then redis.call('PEXPIRE', order, idle) end
        end
    end
    local function remove(owner, handle)
        redis.call('ZREM', room .. 'list:' .. owner, handle)
        redis.call('ZREM', all, owner .. handle)
        return redis.call('DEL', room .. 'value:' .. owner .. handle)
    end
";

/// Keeps a session, and removes what is too much, but never the new one, and no more at a time than a few. No handle has a colon.
const CREATE: &str = "
    local value, version, idle, of_owner, in_all = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
    redis.call('HSET', session, 'value', value, 'version', version, 'created', now, 'idle', idle)
    use(idle)
    local function surplus(order, most, new)
        local many, found = math.min(redis.call('ZCARD', order) - most, 100), {}
        if many < 1 then return found end
        for _, member in ipairs(redis.call('ZRANGE', order, 0, many)) do
            if member ~= new and #found < many then found[#found + 1] = member end
        end
        return found
    end
    for _, other in ipairs(surplus(list, of_owner, handle)) do
        remove(owner, other)
    end
    for _, other in ipairs(surplus(all, in_all, owner .. handle)) do
        remove(string.match(other, '^(.*:)([^:]*)$'))
    end
";

const LOAD: &str = "
    local found = redis.call('HMGET', session, 'version', 'value', 'idle')
    if not found[1] then return false end
    use(found[3])
    return {found[1], found[2]}
";

/// 0 is gone, 1 a conflict, 2 saved. The second time, the version is the new one, and the same is written again.
const SAVE: &str = "
    local old, new, value = ARGV[4], ARGV[5], ARGV[6]
    local found = redis.call('HMGET', session, 'version', 'idle')
    if not found[1] then return 0 end
    if found[1] ~= old and found[1] ~= new then return 1 end
    redis.call('HSET', session, 'version', new, 'value', value)
    use(found[2])
    return 2
";

const REMOVE: &str = "return remove(owner, handle)";

/// Forgets what has ended.
const LIST: &str = "
    local found = {}
    for _, each in ipairs(redis.call('ZREVRANGE', list, 0, -1)) do
        local session = room .. 'value:' .. owner .. each
        local about = redis.call('HMGET', session, 'created', 'used')
        if about[1] then
            found[#found + 1] = {each, about[1], about[2], redis.call('HSTRLEN', session, 'value')}
        else
            remove(owner, each)
        end
    end
    return found
";

const STORE: &str = "store of sessions";

/// For a script that needs no arguments of its own.
const NO_MORE: &[&str; 0] = &[];

/// What [`LIST`] tells of each.
type Listed = (String, i64, i64, usize);

impl RedisSessions {
    pub(super) fn new(redis: Redis, clock: Arc<dyn Clock>, room: SessionRoom) -> Self {
        Self { redis, clock, room, content: Content::default() }
    }

    pub(super) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Where the value of a session is.
    fn place(&self, tenant: &Tenant, owner: &Principal, handle: &str) -> Place {
        Place::of(self.room.name).text(&key::session_owner(tenant, owner)).text(handle)
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
        let (room, owner) = (key::sessions(self.room.name), key::session_owner(tenant, owner));
        let commands = || {
            let mut pipeline = redis::pipe();
            pipeline.cmd("EVAL").arg(&script).arg(1).arg(&room).arg(&owner).arg(handle).arg(now).arg(&arguments);
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
        let (of_owner, in_all) = (self.room.of_owner.max(1), self.room.in_all.max(1));
        let sealed = self.content.seal(|| self.place(tenant, owner, &session.handle), &session.value)?;
        let arguments = (&sealed[..], session.version, idle, of_owner, in_all);
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
        let Some((version, mut value)) = found else { return Ok(None) };
        if Content::is_marked(&value) {
            value = self.content.open(|| self.place(tenant, owner, handle), value.to_vec()).await?.into();
        }
        Ok(Some(StoredSession { handle: handle.to_owned(), version, value }))
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
        let sealed = self.content.seal(|| self.place(tenant, owner, handle), &value)?;
        let saved = self.run::<u8>(SAVE, tenant, owner, handle, (version, new, &sealed[..])).await?;
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
        let more = if self.content.seals() { OVERHEAD } else { 0 };
        let info = |(handle, created, used, bytes): Listed| SessionInfo {
            handle,
            created: Timestamp::from_micros(created),
            used: Timestamp::from_micros(used),
            bytes: bytes.saturating_sub(more),
        };
        Ok(listed.into_iter().map(info).collect())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let all = format!("{}all", key::sessions(self.room.name));
        let commands = || {
            let mut pipeline = redis::pipe();
            pipeline.cmd("ZCARD").arg(&all);
            pipeline
        };
        let (count,) = self.redis.run::<(u64,)>(STORE, commands).await?.value;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
