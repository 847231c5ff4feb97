//! What one replica does for all chains: anchors, and checkpoints.

use std::time::Duration;

use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::audit::{ChainId, Head, Kind, Link};
use mcp_core::store::ledger::{Entry, Ledger};
use sea_orm::{DbErr, QueryResult};

use super::STORE;
use super::table::{LinkTable, id};
use crate::sql::entity::link::link;
use crate::sql::error::store_error;

/// How many heads are anchored in one commit.
const HEADS: usize = 500;

/// How many links of a chain are trimmed in one commit.
const LINKS: usize = 1_000;

/// How much longer the links stay by which others are explained: those that were made at the same time by a clock that is
/// this much ahead are gone by then.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// Anchors the chains that have more than what was anchored of them. That an anchor was written is no reason for another one.
pub(super) async fn anchor(table: LinkTable<'_>, ledger: &dyn Ledger) -> Result<(), StoreError> {
    let (mut chain, mut heads) = (None, Vec::new());
    while let Some(next) = table.next_sound_chain(chain).await.map_err(store_error(STORE))? {
        heads.extend(head(table, next).await.map_err(store_error(STORE))?);
        if heads.len() == HEADS {
            ledger.commit(vec![Entry::Anchor(std::mem::take(&mut heads))]).await?;
        }
        chain = Some(next);
    }
    if !heads.is_empty() {
        ledger.commit(vec![Entry::Anchor(heads)]).await?;
    }
    Ok(())
}

/// The head of a chain, if that is to be anchored.
async fn head(table: LinkTable<'_>, chain: ChainId) -> Result<Option<Head>, DbErr> {
    let anchored = table.latest(&Kind::ANCHOR, chain).await?.map_or(-1, |anchor| anchor.number.cast_signed());
    if !table.has_moved(chain, anchored).await? {
        return Ok(None);
    }
    // One that cannot be read is not vouched for.
    let last = table.last(chain).await?.and_then(|row| link(&row).ok());
    Ok(last.map(|last| Head { chain, sequence: last.sequence, mac: last.mac }))
}

/// Trims each chain by some links, and tells whether there are more.
pub(super) async fn trim(table: LinkTable<'_>, ledger: &dyn Ledger, before: Timestamp) -> Result<bool, StoreError> {
    // First the checkpoints that are still needed, since they may be trimmed themselves.
    let mut subject = None;
    while let Some(next) = table.next_subject(subject).await.map_err(store_error(STORE))? {
        if let Some(head) = ageing(table, ChainId::from_u128(next), before).await.map_err(store_error(STORE))? {
            ledger.commit(vec![Entry::Checkpoint(head)]).await?;
        }
        subject = Some(next);
    }
    let (mut chain, mut more) = (None, false);
    while let Some(next) = table.next_sound_chain(chain).await.map_err(store_error(STORE))? {
        let old = old(table, next, before).await.map_err(store_error(STORE))?;
        if let Some(last) = old.last {
            ledger.commit(vec![Entry::Checkpoint(last)]).await?;
            more |= old.more;
        }
        chain = Some(next);
    }
    Ok(more)
}

/// The checkpoint of a chain that is to be written again, since it is old and something stands on it.
async fn ageing(table: LinkTable<'_>, chain: ChainId, before: Timestamp) -> Result<Option<Head>, DbErr> {
    let Some(checkpoint) = table.latest(&Kind::CHECKPOINT, chain).await? else { return Ok(None) };
    if checkpoint.at >= before {
        return Ok(None);
    }
    let stands = table.last(chain).await?.is_some()
        || table.latest(&Kind::ANCHOR, chain).await?.is_some()
        || table.latest(&Kind::PIN, chain).await?.is_some();
    Ok(stands.then_some(Head { chain, sequence: checkpoint.number, mac: checkpoint.digest }))
}

/// The first links of a chain that are old.
struct Old {
    last: Option<Head>,
    more: bool,
}

/// A link is old when it was made long ago and its record is gone.
async fn old(table: LinkTable<'_>, chain: ChainId, before: Timestamp) -> Result<Old, DbErr> {
    let sql = "SELECT l.*, CASE \
               WHEN l.kind IN ('expired', 'erased', 'anchor', 'checkpoint') THEN l.at < $2 \
               WHEN l.kind = 'call' THEN l.at < $3 AND NOT EXISTS \
                   (SELECT 1 FROM mcp_calls AS c WHERE c.tenant = l.tenant AND c.id = l.subject) \
               WHEN l.kind IN ('run', 'step') THEN l.at < $3 AND NOT EXISTS \
                   (SELECT 1 FROM mcp_runs AS r WHERE r.tenant = l.tenant AND r.id = l.subject) \
               ELSE l.at < $3 END AS is_old \
               FROM mcp_links AS l WHERE l.chain = $1 ORDER BY l.sequence LIMIT $4";
    let skew = i64::try_from(SKEW.as_micros()).unwrap_or(i64::MAX);
    let values = vec![
        id(chain.as_u128()),
        before.as_micros().saturating_sub(skew).into(),
        before.as_micros().into(),
        i64::try_from(LINKS).unwrap_or(i64::MAX).into(),
    ];
    let rows = table.rows(sql, values).await?;
    let is_old = |row: &&QueryResult| row.try_get::<bool>("", "is_old").is_ok_and(|is_old| is_old);
    let old: Vec<Link> = rows.iter().take_while(is_old).map_while(|row| link(row).ok()).collect();
    let last = old.last().map(|last| Head { chain, sequence: last.sequence, mac: last.mac });
    Ok(Old { more: old.len() == LINKS, last })
}
