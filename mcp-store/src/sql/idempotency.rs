//! Keys under which calls are sent twice, in SQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::idempotency::{CallKey, Claim, Claimed, Idempotency};
use mcp_core::store::ledger::CallId;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::Database;
use super::content::{Content, Digested};
use super::entity::call::uuid;
use super::error::store_error;
use super::now::{Now, micros};
use super::replicas::bits;
use super::text::stored;
use crate::random::random;

/// [`Idempotency`] in SQL. Each step is one statement, so that a replica which is stopped in the middle holds up nobody.
pub(crate) struct SqlIdempotency {
    database: Database,
    now: Now,
    content: Content,
    /// How many keys are remembered of one caller.
    most: usize,
}

/// Gives a row if the key is the claimer's now. Run twice, it gives none the second time, and [`LOOK`] finds that it is.
const CLAIM: &str = "INSERT INTO mcp_claims (tenant, principal, tool, key, digest, owner, replica, owners, answered, at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, 1, FALSE, {now}) \
                     ON CONFLICT (tenant, principal, tool, key) DO UPDATE \
                     SET owner = EXCLUDED.owner, replica = EXCLUDED.replica, owners = mcp_claims.owners + 1, digest = EXCLUDED.digest \
                     WHERE NOT mcp_claims.answered AND mcp_claims.digest IN (EXCLUDED.digest, $8) AND mcp_claims.owner <> EXCLUDED.owner \
                     AND NOT EXISTS (SELECT 1 FROM mcp_replicas WHERE id = mcp_claims.replica AND until > {now}) \
                     RETURNING owners";

const LOOK: &str = "SELECT digest, owner, owners, answered FROM mcp_claims \
                    WHERE tenant = $1 AND principal = $2 AND tool = $3 AND key = $4";

/// Run twice, it does nothing the second time, as do the others.
const FREE: &str = "DELETE FROM mcp_claims WHERE tenant = $1 AND principal = $2 AND tool = $3 AND key = $4 \
                    AND owner = $5 AND owners = 1 AND NOT answered";

const GIVE_UP: &str = "UPDATE mcp_claims SET replica = 0 WHERE tenant = $1 AND principal = $2 AND tool = $3 AND key = $4 \
                       AND owner = $5 AND NOT answered";

/// The condition stands there twice, since a row may have changed when its turn comes.
const PRUNE: &str = "DELETE FROM mcp_claims WHERE (tenant, principal, tool, key) IN \
                     (SELECT tenant, principal, tool, key FROM mcp_claims WHERE at < {now} - $1 AND {over} ORDER BY at LIMIT $2) \
                     AND {over}";

const TOO_MANY: &str = "SELECT tenant, count(*) FROM mcp_claims GROUP BY tenant HAVING count(*) > $1";

const PRUNE_SURPLUS: &str = "DELETE FROM mcp_claims WHERE (tenant, principal, tool, key) IN \
     (SELECT tenant, principal, tool, key FROM mcp_claims WHERE tenant = $1 AND {over} ORDER BY at LIMIT $2) AND {over}";

const ERASE: &str = "DELETE FROM mcp_claims WHERE (tenant, principal, tool, key) IN \
     (SELECT tenant, principal, tool, key FROM mcp_claims WHERE tenant = $1 AND principal = $2 LIMIT $3)";

/// Whether nobody is going to answer.
const OVER: &str =
    "(answered OR NOT EXISTS (SELECT 1 FROM mcp_replicas WHERE id = mcp_claims.replica AND until > {now}))";

const TRIM: &str = "DELETE FROM mcp_claims WHERE tenant = $1 AND principal = $2 AND answered AND at <= \
                    (SELECT at FROM mcp_claims WHERE tenant = $1 AND principal = $2 ORDER BY at DESC LIMIT 1 OFFSET $3)";

/// How often a key is claimed again that was free, and taken, and free, and taken by others.
const ATTEMPTS: usize = 10;

impl SqlIdempotency {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, most: usize) -> Self {
        let now = Now::new(database.backend(), clock);
        Self { database, now, content: Content::default(), most }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// The digest of arguments as it is stored now, and as it may have been stored: the digest of what is short tells what it is,
    /// where there is no key in it.
    fn digests(&self, claim: &Claim) -> [Vec<u8>; 2] {
        let (plain, sealed) = (claim.digest, self.content.any_digest(Digested::Arguments, &claim.digest));
        let sealed = sealed.unwrap_or(plain);
        let now_and_before = if self.content.seals() { [sealed, plain] } else { [plain, sealed] };
        now_and_before.map(Vec::from)
    }

    async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Option<QueryResult>, StoreError> {
        self.database.writer().query_one_raw(self.now.statement(sql, values)).await.map_err(store_error(STORE))
    }

    async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        let done = self.database.writer().execute_raw(self.now.statement(sql, values)).await;
        Ok(done.map_err(store_error(STORE))?.rows_affected())
    }

    /// Forgets the oldest answers of a caller who has too many: now and then, so that the others do not pay for it.
    async fn trim(&self, key: &CallKey) {
        let seldom = u64::try_from(self.most / 100).unwrap_or(u64::MAX).max(1);
        if random().is_multiple_of(seldom) {
            let most = i64::try_from(self.most).unwrap_or(i64::MAX);
            let values = vec![text(key.tenant.as_str()), text(key.principal.as_str()), most.into()];
            if let Err(error) = self.execute(TRIM, values).await {
                tracing::warn!(%error, "a caller's oldest keys could not be forgotten");
            }
        }
    }
}

const STORE: &str = "idempotency";

#[async_trait]
impl Idempotency for SqlIdempotency {
    async fn claim(&self, key: &CallKey, claim: &Claim) -> Result<Claimed, StoreError> {
        for _ in 0..ATTEMPTS {
            let mut values = columns(key);
            let digests = self.digests(claim);
            let [digest, before] = digests.clone();
            let claimer: [Value; 4] =
                [digest.into(), uuid(claim.owner).into(), bits(claim.replica).into(), before.into()];
            values.extend(claimer);
            if let Some(row) = self.query(CLAIM, values).await? {
                let owners = row.try_get_by_index(0).map_err(store_error(STORE))?;
                if owners == 1 {
                    self.trim(key).await;
                }
                return Ok(mine(owners));
            }
            if let Some(row) = self.query(LOOK, columns(key)).await? {
                return found(&row, claim, &digests).map_err(store_error(STORE));
            }
        }
        Err(StoreError::Unavailable { store: STORE, source: None })
    }

    async fn release(&self, key: &CallKey, owner: CallId, begun: bool) -> Result<(), StoreError> {
        let values = || [columns(key), vec![uuid(owner).into()]].concat();
        if !begun {
            self.execute(FREE, values()).await?;
        }
        self.execute(GIVE_UP, values()).await.map(drop)
    }

    async fn prune(&self, age: Duration, limit: u16) -> Result<u64, StoreError> {
        self.execute(&PRUNE.replace("{over}", OVER), vec![micros(age), i64::from(limit).into()]).await
    }

    async fn prune_surplus(&self, most: u64, limit: u16) -> Result<u64, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let too_many = self.now.statement(TOO_MANY, vec![most.into()]);
        let tenants = self.database.readers().query_all_raw(too_many).await.map_err(store_error(STORE))?;
        // All that one has may be running.
        for row in tenants {
            let read = || Ok((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i64>(1)?));
            let (tenant, count) = read().map_err(store_error(STORE))?;
            let surplus = (count - most).min(limit.into());
            match self.execute(&PRUNE_SURPLUS.replace("{over}", OVER), vec![tenant.into(), surplus.into()]).await? {
                0 => {}
                removed => return Ok(removed),
            }
        }
        Ok(0)
    }

    async fn erase(&self, tenant: &Tenant, principal: &Principal, limit: u16) -> Result<u64, StoreError> {
        let values = vec![text(tenant.as_str()), text(principal.as_str()), i64::from(limit).into()];
        self.execute(ERASE, values).await
    }
}

/// What has become of a key that is not the claimer's by this claim.
fn found(row: &QueryResult, claim: &Claim, digests: &[Vec<u8>]) -> Result<Claimed, DbErr> {
    let (digest, owner): (Vec<u8>, Uuid) = (row.try_get("", "digest")?, row.try_get("", "owner")?);
    Ok(if !digests.contains(&digest) {
        Claimed::Mismatch
    } else if row.try_get("", "answered")? {
        Claimed::Answered(CallId::from_u128(owner.as_u128()))
    } else if owner == uuid(claim.owner) {
        mine(row.try_get("", "owners")?)
    } else {
        Claimed::Running
    })
}

/// What is told to the last of so many owners.
fn mine(owners: i32) -> Claimed {
    if owners == 1 { Claimed::First } else { Claimed::TakenOver }
}

fn columns(key: &CallKey) -> Vec<Value> {
    vec![text(key.tenant.as_str()), text(key.principal.as_str()), text(&key.tool), text(&key.key)]
}

fn text(text: &str) -> Value {
    stored(text).into_owned().into()
}
