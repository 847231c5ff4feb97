//! A row of `mcp_links`.

use mcp_core::clock::Timestamp;
use mcp_core::store::audit::{ChainId, Kind, Link};
use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, FromQueryResult, QueryResult};

use crate::sql::text::{shown_tenant, stored_tenant};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_links")]
pub(crate) struct Model {
    /// 16 bytes, which sort as the ids do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) chain: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sequence: i64,
    /// How the row is to be read: [`Link::FORMAT`].
    pub(crate) format: i16,
    pub(crate) kind: String,
    /// As [`stored_tenant`].
    pub(crate) tenant: String,
    pub(crate) subject: Uuid,
    pub(crate) number: i64,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
    /// 32 bytes.
    pub(crate) digest: Vec<u8>,
    /// 32 bytes.
    pub(crate) mac: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Link> for Model {
    fn from(link: &Link) -> Self {
        Self {
            chain: Uuid::from_u128(link.chain.as_u128()),
            sequence: link.sequence.cast_signed(),
            format: Link::FORMAT,
            kind: link.kind.as_str().to_owned(),
            tenant: stored_tenant(link.tenant.as_ref()).into_owned(),
            subject: Uuid::from_u128(link.subject),
            number: link.number.cast_signed(),
            at: link.at.as_micros(),
            digest: link.digest.to_vec(),
            mac: link.mac.to_vec(),
        }
    }
}

impl TryFrom<Model> for Link {
    type Error = DbErr;

    /// Only of a row that [`Model::from`] makes.
    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = || {
            DbErr::Type(format!("link {} of the chain {}: this version does not write it so", row.sequence, row.chain))
        };
        let code = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| unreadable());
        let link = Self {
            chain: ChainId::from_u128(row.chain.as_u128()),
            sequence: row.sequence.cast_unsigned(),
            kind: Kind::named(&*row.kind),
            tenant: shown_tenant(&row.tenant),
            subject: row.subject.as_u128(),
            number: row.number.cast_unsigned(),
            at: Timestamp::from_micros(row.at),
            digest: code(&row.digest)?,
            mac: code(&row.mac)?,
        };
        let is_written_so = row.sequence >= 0 && row.number >= 0 && Model::from(&link) == row;
        if is_written_so { Ok(link) } else { Err(unreadable()) }
    }
}

/// The link in a row with all columns.
pub(crate) fn link(row: &QueryResult) -> Result<Link, DbErr> {
    Model::from_query_result(row, "")?.try_into()
}
