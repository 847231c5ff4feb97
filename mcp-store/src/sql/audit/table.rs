//! What is asked of the table of links.

use mcp_core::caller::Tenant;
use mcp_core::store::audit::{ChainId, Kind, Link, LinkQuery};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::sql::Database;
use crate::sql::entity::link::link;
use crate::sql::text::{stored, stored_tenant};

/// The links are asked for in their order, or PostgreSQL would rather look through those of all chains for the first that fits.
pub(in crate::sql) const MOVED: &str =
    "SELECT 1 FROM mcp_links WHERE chain = $1 AND sequence > $2 AND kind <> 'anchor' ORDER BY sequence LIMIT 1";

/// The table of links. Somebody may have written anything into it: SQLite takes any value in any column.
#[derive(Clone, Copy)]
pub(super) struct LinkTable<'d>(pub(super) &'d Database);

impl LinkTable<'_> {
    pub(super) async fn rows(self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, DbErr> {
        let statement = Statement::from_sql_and_values(self.0.backend(), sql, values);
        self.0.readers().query_all_raw(statement).await
    }

    async fn row(self, sql: &str, values: Vec<Value>) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// The links of a tenant that satisfy `query`.
    pub(super) async fn of(self, tenant: &Tenant, query: &LinkQuery) -> Result<Vec<Link>, DbErr> {
        let mut sql = "SELECT * FROM mcp_links WHERE tenant = $1".to_owned();
        let mut values: Vec<Value> = vec![stored(tenant.as_str()).into_owned().into()];
        let mut filter = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        };
        if let Some(subject) = query.subject {
            filter("subject =", id(subject));
        }
        if let Some(kind) = &query.kind {
            filter("kind =", kind.as_str().into());
        }
        if let Some(from) = query.from {
            filter("at >=", from.as_micros().into());
        }
        if let Some(to) = query.to {
            filter("at <", to.as_micros().into());
        }
        if let Some(before) = query.before {
            let n = values.len();
            sql.push_str(&format!(
                " AND (subject, number, chain, sequence) < (${}, ${}, ${}, ${})",
                n + 1,
                n + 2,
                n + 3,
                n + 4
            ));
            values.extend([
                id(before.subject),
                before.number.cast_signed().into(),
                id(before.chain.as_u128()),
                before.sequence.cast_signed().into(),
            ]);
        }
        values.push(i64::from(query.limit).into());
        sql.push_str(&format!(
            " ORDER BY subject DESC, number DESC, chain DESC, sequence DESC LIMIT ${}",
            values.len()
        ));
        self.rows(&sql, values).await?.iter().map(link).collect()
    }

    /// The links of all chains after one of them.
    pub(super) async fn walk(self, (chain, sequence): (ChainId, u64), limit: u16) -> Result<Vec<Link>, DbErr> {
        let walk = "SELECT * FROM mcp_links WHERE (chain, sequence) > ($1, $2) ORDER BY chain, sequence LIMIT $3";
        let after = [id(chain.as_u128()), sequence.cast_signed().into(), i64::from(limit).into()];
        self.rows(walk, after.to_vec()).await?.iter().map(link).collect()
    }

    /// The first chain after one, as its bytes: they may be any.
    pub(super) async fn next_chain(self, after: Option<&[u8]>) -> Result<Option<Vec<u8>>, DbErr> {
        let (condition, value) = match after {
            Some(after) => ("chain >", self.id_of(after)),
            None => ("chain >=", self.first_id()),
        };
        let next = format!("SELECT chain FROM mcp_links WHERE {condition} $1 ORDER BY chain LIMIT 1");
        let row = self.row(&next, vec![value]).await?;
        row.map(|row| self.id_at(&row, "chain")).transpose()
    }

    /// Whether there are links of a chain whose name is no bytes.
    pub(super) async fn has_nameless_chains(self) -> Result<bool, DbErr> {
        let nameless = "SELECT 1 FROM mcp_links WHERE chain < $1 LIMIT 1";
        Ok(self.row(nameless, vec![self.first_id()]).await?.is_some())
    }

    /// The first chain after one whose name can be read.
    pub(super) async fn next_sound_chain(self, after: Option<ChainId>) -> Result<Option<ChainId>, DbErr> {
        let mut last = after.unwrap_or(ChainId::PIN).as_u128().to_be_bytes().to_vec();
        loop {
            let Some(next) = self.next_chain(Some(&last)).await? else { return Ok(None) };
            if let Ok(chain) = <[u8; 16]>::try_from(&*next) {
                return Ok(Some(ChainId::from_u128(u128::from_be_bytes(chain))));
            }
            last = next;
        }
    }

    /// The first chain after one that links are about.
    pub(super) async fn next_subject(self, after: Option<u128>) -> Result<Option<u128>, DbErr> {
        let next = "SELECT subject FROM mcp_links WHERE tenant = $1 AND subject > $2 ORDER BY subject LIMIT 1";
        let row = self.row(next, vec![house(), id(after.unwrap_or(0))]).await?;
        let Some(row) = row else { return Ok(None) };
        // Bytes of another length sort somewhere between; then no more can be told.
        let bytes = self.id_at(&row, "subject")?;
        Ok(<[u8; 16]>::try_from(&*bytes).ok().map(u128::from_be_bytes))
    }

    /// The links of a chain after one of them, in their order. Any value may stand in any column.
    pub(super) async fn page(self, chain: ChainId, after: i64, limit: usize) -> Result<Vec<QueryResult>, DbErr> {
        let page = "SELECT * FROM mcp_links WHERE chain = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(page, vec![id(chain.as_u128()), after.into(), limit.into()]).await
    }

    /// The last link of a chain, whatever stands in it.
    pub(super) async fn last(self, chain: ChainId) -> Result<Option<QueryResult>, DbErr> {
        let last = "SELECT * FROM mcp_links WHERE chain = $1 ORDER BY sequence DESC LIMIT 1";
        self.row(last, vec![id(chain.as_u128())]).await
    }

    /// Of the links of a kind about a chain that of its latest link, as far as it can be read.
    pub(super) async fn latest(self, kind: &Kind, about: ChainId) -> Result<Option<Link>, DbErr> {
        let latest = "SELECT * FROM mcp_links WHERE tenant = $1 AND subject = $2 AND kind = $3 \
                      ORDER BY number DESC LIMIT 1";
        let row = self.row(latest, vec![house(), id(about.as_u128()), kind.as_str().into()]).await?;
        Ok(row.and_then(|row| link(&row).ok()))
    }

    /// Whether a chain has a link after one that is not an anchor.
    pub(super) async fn has_moved(self, chain: ChainId, after: i64) -> Result<bool, DbErr> {
        Ok(self.row(MOVED, vec![id(chain.as_u128()), after.into()]).await?.is_some())
    }

    /// What comes before all ids. In SQLite numbers and texts come before all bytes.
    fn first_id(self) -> Value {
        match self.0.backend() {
            DbBackend::Postgres => id(0),
            _ => Vec::<u8>::new().into(),
        }
    }

    pub(super) fn id_of(self, bytes: &[u8]) -> Value {
        match (self.0.backend(), Uuid::from_slice(bytes)) {
            (DbBackend::Postgres, Ok(id)) => id.into(),
            _ => bytes.to_vec().into(),
        }
    }

    /// The bytes in a column of ids.
    pub(super) fn id_at(self, row: &QueryResult, column: &str) -> Result<Vec<u8>, DbErr> {
        match self.0.backend() {
            DbBackend::Postgres => row.try_get::<Uuid>("", column).map(|id| id.as_bytes().to_vec()),
            _ => row.try_get("", column),
        }
    }
}

pub(super) fn id(id: u128) -> Value {
    Uuid::from_u128(id).into()
}

fn house() -> Value {
    stored_tenant(None).into_owned().into()
}
